"""What the recorder tells of failures: each belongs to a group, is counted once, hurts until an equal run succeeds.

A fixed number of statements a batch; a batch in which nothing failed and nothing that hurts has succeeded costs none,
but one every few seconds that asks what hurts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db.models import BigIntegerField, Case, F, Q, Value, When
from django.utils import timezone

from jobs.catalog.registry import find_job
from jobs.errors import UnknownJob
from jobs.models import FailureCase, FailureGroup, Run
from jobs.pipeline.facts import Fact
from jobs.states import State

from .cases import case_digest, pieces_of_work
from .fingerprint import NO_FAILURE, Fingerprint, fingerprint
from .healing import expect_healing, heal
from .upserts import CaseRow, GroupRow, add_cases, add_counts, add_groups

_TROUBLE = {State.FAILED, State.LOST}


@dataclass(frozen=True, slots=True)
class _Failure:
    """One run that failed, and what the group of this fingerprint needs to know of it."""

    run: Run
    fingerprint: Fingerprint
    message: str
    at: datetime

    @property
    def began(self) -> datetime:
        return self.run.started_at or self.run.accepted_at


def note_failures(failed: Sequence[tuple[Run, Fact]], succeeded: Sequence[Run]) -> None:
    """Keep groups, hour counts and cases; call it inside the recorder's transaction, after the runs are written.

    Safe to repeat: a run counts once for each of its attempts, and remembers which (`Run.failed_attempt`).

    Args:
        failed: runs that failed or were lost in this batch, each with the fact that said so. Too many do no harm:
            pairs in which the run has another state or tells of another error are passed over.
        succeeded: runs that this batch found to have succeeded.
    """
    failures = _new_failures(failed) if failed else []
    undone = [run for run in succeeded if run.failure_group_id is not None]
    if undone:
        _leave_group(undone, counted=[run for run in undone if run.failed_attempt == run.attempt])
    if failures:
        _join_groups(failures)
    if succeeded:
        heal([run for run in succeeded if run.state == State.SUCCEEDED])


def fingerprint_of(run: Run, fact: Fact) -> Fingerprint:
    """The fingerprint of the failure that `fact` tells of."""
    return fingerprint(
        run.task_name,
        error_type=fact.error_type,
        error_message=fact.error_message,
        traceback=fact.traceback,
        given=fact.fingerprint or _of_job(run.task_name),
    )


def _of_job(task_name: str) -> str:
    try:
        return find_job(task_name).fingerprint
    except UnknownJob:
        return ""


def _new_failures(failed: Sequence[tuple[Run, Fact]]) -> list[_Failure]:
    """One for each run that its group has not counted yet; the last fact of a run decides."""
    deciding = {
        run.task_id: (run, fact)
        for run, fact in failed
        if run.state in _TROUBLE
        and fact.fingerprint != NO_FAILURE
        and (fact.error_type, fact.error_message) == (run.error_type, run.error_message)
    }
    found = [_failure(run, fact) for run, fact in deciding.values()]
    again = [one for one in found if one.run.failed_attempt == one.run.attempt]
    if not again:
        return found
    # Told before; only where that was a guess (lost) and the worker's own word says otherwise, it changes groups.
    known = dict(
        FailureGroup.objects.filter(pk__in={one.run.failure_group_id for one in again}).values_list("pk", "fingerprint")
    )
    moved = [one for one in again if known.get(one.run.failure_group_id or 0, "") != one.fingerprint.key]
    if moved:
        _leave_group([one.run for one in moved], counted=[one.run for one in moved])
    told = {one.run.task_id for one in again} - {one.run.task_id for one in moved}
    return [one for one in found if one.run.task_id not in told]


def _failure(run: Run, fact: Fact) -> _Failure:
    at = run.finished_at or datetime.fromtimestamp(fact.at, UTC)
    return _Failure(run, fingerprint_of(run, fact), fact.error_message, at)


def _join_groups(failures: Sequence[_Failure]) -> None:
    by_key: dict[str, list[_Failure]] = {}
    for one in failures:
        by_key.setdefault(one.fingerprint.key, []).append(one)
    kept = {group.key: group for group in add_groups([_group_row(by_key[key]) for key in sorted(by_key)])}
    keys = {key: kept[key].pk for key in by_key}
    add_counts(Counter((keys[one.fingerprint.key], hour_of(one.run.accepted_at)) for one in failures))
    add_cases(_case_rows(failures, keys))
    ended = [(kept[key].pk, max(one.began for one in ones)) for key, ones in by_key.items() if kept[key].resolved]
    if ended:
        _reopen(ended)
    for one in failures:
        one.run.failure_group_id, one.run.failed_attempt = keys[one.fingerprint.key], one.run.attempt
    members = [
        When(task_id__in=[one.run.task_id for one in ones], then=Value(keys[key])) for key, ones in by_key.items()
    ]
    runs = Run.objects.filter(task_id__in=[one.run.task_id for one in failures])
    runs.update(failure_group_id=Case(*members, output_field=BigIntegerField()), failed_attempt=F("attempt"))
    expect_healing({one.run.task_name for one in failures})


def _group_row(failures: Sequence[_Failure]) -> GroupRow:
    newest = max(failures, key=lambda one: one.at)
    return GroupRow(
        fingerprint=failures[0].fingerprint,
        task_name=newest.run.task_name,
        sample_message=newest.message[:500],
        last_run=newest.run.task_id,
        first_seen=min(one.at for one in failures),
        last_seen=newest.at,
        n=len(failures),
        varied=len({one.fingerprint.message_key for one in failures}) > 1,
    )


def _case_rows(failures: Sequence[_Failure], keys: dict[str, int]) -> list[CaseRow]:
    rows: dict[tuple[int, str], CaseRow] = {}
    for one in sorted(failures, key=lambda one: one.at):
        group, digest = keys[one.fingerprint.key], digest_of(one.run)
        n = rows[group, digest].n + 1 if (group, digest) in rows else 1
        rows[group, digest] = CaseRow(group, digest, n, one.at, one.run.task_id)
    return [rows[place] for place in sorted(rows)]


def digest_of(run: Run) -> str:
    """What equal runs have in common; "" where nobody knows."""
    return case_digest(run.task_name, run.arguments, exact=run.arguments_exact)


def hour_of(moment: datetime) -> datetime:
    """The beginning of its hour, in UTC."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _reopen(ended: Iterable[tuple[int, datetime]]) -> None:
    """Open resolved groups of which a run failed that began after they were resolved: they have *regressed*.

    One that was already at work then may still carry the old fault, and opens nothing.
    """
    which = Q()
    for pk, began in ended:
        which |= Q(pk=pk, decided_at__lt=began)
    FailureGroup.objects.filter(which, state=FailureGroup.State.RESOLVED).update(
        state=FailureGroup.State.OPEN, regressed_at=timezone.now(), version=F("version") + 1
    )


def _leave_group(runs: Sequence[Run], *, counted: Sequence[Run]) -> None:
    """Take runs out of their groups: lost ones that turned out to be alive, ids that code has used again.

    Args:
        counted: those whose failure was none after all, so that it is no longer counted.
    """
    if counted:
        _take_back(Counter((run.failure_group_id or 0, digest_of(run)) for run in counted))
        hours = Counter((run.failure_group_id or 0, hour_of(run.accepted_at)) for run in counted)
        add_counts(Counter({place: -n for place, n in hours.items()}))
    Run.objects.filter(task_id__in=[run.task_id for run in runs]).update(failure_group=None)
    for run in runs:
        run.failure_group_id = None


def _take_back(places: Counter[tuple[int, str]]) -> None:
    """Count these failures of cases no more; what has been healed meanwhile hurts no less for it."""
    groups, digests = {pk for pk, _ in places}, {digest for _, digest in places}
    cases = FailureCase.objects.select_for_update().filter(group_id__in=groups, digest__in=digests).order_by("pk")
    numbers = Counter(dict.fromkeys(groups, 0))
    hurt = Counter(numbers)
    for (pk, _), n in places.items():
        numbers[pk] += n
    found = [case for case in cases if (case.group_id, case.digest) in places]
    for case in found:
        before = pieces_of_work(case.hurting, case.digest)
        case.hurting -= min(case.hurting, places[case.group_id, case.digest])
        hurt[case.group_id] += before - pieces_of_work(case.hurting, case.digest)
    FailureCase.objects.bulk_update(found, ["hurting"])
    FailureGroup.objects.filter(pk__in=groups).update(
        total=F("total") - _by_group(numbers), hurting=F("hurting") - _by_group(hurt)
    )


def _by_group(numbers: Counter[int]) -> Case:
    return Case(*(When(pk=pk, then=Value(n)) for pk, n in numbers.items()), output_field=BigIntegerField())
