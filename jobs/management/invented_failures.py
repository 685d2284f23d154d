"""The groups of invented failures: written before the runs that refer to them, and completed at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.db.models import F
from django.db.models.functions import Greatest, Least

from jobs.failures.cases import case_digest, pieces_of_work
from jobs.failures.fingerprint import Fingerprint, fingerprint
from jobs.failures.upserts import add_counts
from jobs.models import FailureCase, FailureCount, FailureGroup
from jobs.states import State

from .invented_rows import Chunk, InventedRun
from .loading import Table, moment_text

GROUP_COLUMNS = (
    *("id", "fingerprint", "basis", "task_name", "error_type", "title", "place", "sample_message", "last_run"),
    *("first_seen", "last_seen", "total", "hurting", "healed_at", "healed_by"),
)
CASE_COLUMNS = ("group_id", "digest", "hurting", "last_failed_at", "last_run", "healed_at", "healed_by")
_TROUBLE = {State.FAILED.value, State.LOST.value}
_HOUR = 3600
#: Counts by the hour are kept for so many days (`jobs.failures.lists.HOURS`, and one more).
_DAYS_COUNTED = 8


@dataclass(slots=True)
class _Case:
    hurting: int = 0
    last_failed_at: str = ""
    last_run: str = ""
    healed_at: str | None = None
    healed_by: str = ""


@dataclass(slots=True, eq=False)
class _Group:
    pk: int
    made: Fingerprint
    task_name: str
    sample_message: str = ""
    last_run: str = ""
    first_seen: str = ""
    last_seen: str = ""
    total: int = 0
    hours: Counter[int] = field(default_factory=Counter)
    cases: dict[str, _Case] = field(default_factory=dict)


class InventedFailures:
    """Gives each failed run of each chunk its group, oldest first.

    Args:
        known: groups that are there already, by their fingerprint.
        first_id: the key of the first new group.
        until: epoch seconds of the newest moment.
    """

    def __init__(self, known: dict[str, int], *, first_id: int, until: float) -> None:
        self._known = known
        self._next_id = first_id
        self._counted_from = until - _DAYS_COUNTED * 86_400
        self._groups: dict[str, _Group] = {}
        self._made: dict[tuple[str, ...], Fingerprint] = {}
        #: The groups in which equal runs hurt.
        self._hurting: dict[str, list[_Group]] = {}

    def note(self, chunk: Chunk) -> None:
        """Set the group of the chunk's failed runs; the groups that are new are written."""
        before = len(self._groups)
        for run in chunk.runs:
            if run.state in _TROUBLE:
                self._failed(run)
            elif run.state == State.SUCCEEDED.value and self._hurting:
                self._succeeded(run)
        # Rows that refer to what is not there yet make SQLite look for them at every further row.
        new = [group for group in list(self._groups.values())[before:] if group.made.key not in self._known]
        Table(FailureGroup, GROUP_COLUMNS).load(map(_row, new))

    def write(self) -> None:
        """What the groups have become, with their counts and cases; to those that were there before it is added."""
        groups = [group for group in self._groups.values() if group.made.key not in self._known]
        for group in self._groups.values():
            if group.made.key in self._known:
                _add(group)
        rows = [FailureGroup(**dict(zip(GROUP_COLUMNS, _row(group), strict=True))) for group in groups]
        for row in rows:
            for name in ("first_seen", "last_seen", "healed_at"):
                setattr(row, name, _moment(getattr(row, name)))
        FailureGroup.objects.bulk_update(rows, GROUP_COLUMNS[7:])
        Table(FailureCount, ("group_id", "hour", "n")).load(_hours(groups))
        Table(FailureCase, CASE_COLUMNS).load(_cases(groups))

    def _failed(self, run: InventedRun) -> None:
        group = self._group(run)
        run.failure_group_id, run.failed_attempt = group.pk, run.attempt
        at = run.finished_at or run.accepted_at
        group.total += 1
        group.first_seen = group.first_seen or at
        group.last_seen, group.last_run, group.sample_message = at, run.task_id, run.error_message
        if run.accepted >= self._counted_from:
            group.hours[int(run.accepted // _HOUR)] += 1
        digest = case_digest(run.task_name, run.arguments, exact=True)
        case = group.cases.setdefault(digest, _Case())
        case.hurting, case.last_failed_at, case.last_run = case.hurting + 1, at, run.task_id
        if group not in (hurting := self._hurting.setdefault(digest, [])):
            hurting.append(group)

    def _succeeded(self, run: InventedRun) -> None:
        # Only a retry, or a run without arguments, can be equal to an earlier one: the others are as good as unique.
        if run.retry_of_id is None and len(run.arguments) > len("[[], {}]"):
            return
        digest = case_digest(run.task_name, run.arguments, exact=True)
        for group in self._hurting.pop(digest, ()):
            case = group.cases[digest]
            case.hurting, case.healed_at, case.healed_by = 0, run.finished_at, run.task_id

    def _group(self, run: InventedRun) -> _Group:
        place = run.traceback.partition(run.error_message)[0]
        signs = (run.task_name, run.error_type, place)
        if (made := self._made.get(signs)) is None:
            made = self._made[signs] = fingerprint(
                run.task_name, error_type=run.error_type, error_message=run.error_message, traceback=run.traceback
            )
        if (group := self._groups.get(made.key)) is None:
            pk = self._known.get(made.key, self._next_id)
            self._next_id += pk == self._next_id
            group = self._groups[made.key] = _Group(pk, made, run.task_name)
        return group


def _add(group: _Group) -> None:
    """To a group of an earlier history: what it counts, and the cases that it does not have."""
    seen = [_moment(group.first_seen), _moment(group.last_seen)]
    FailureGroup.objects.filter(pk=group.pk).update(
        total=F("total") + group.total,
        hurting=F("hurting") + _work(group),
        first_seen=Least(F("first_seen"), *seen),
        last_seen=Greatest(F("last_seen"), *seen),
    )
    add_counts(Counter({(group.pk, datetime.fromtimestamp(h * _HOUR, UTC)): n for h, n in group.hours.items()}))
    rows = [dict(zip(CASE_COLUMNS, values, strict=True)) for values in _cases([group])]
    moments = ("last_failed_at", "healed_at")
    cases = [FailureCase(**row | {name: _moment(row[name]) for name in moments}) for row in rows]
    FailureCase.objects.bulk_create(cases, ignore_conflicts=True)


def _work(group: _Group) -> int:
    return sum(pieces_of_work(case.hurting, digest) for digest, case in group.cases.items())


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).replace(tzinfo=UTC) if text else None


def _row(group: _Group) -> tuple[Any, ...]:
    cases = group.cases.values()
    last = max((case for case in cases if case.healed_at), key=lambda case: case.healed_at or "", default=_Case())
    made = group.made
    return (
        *(group.pk, made.key, made.basis.value, group.task_name, made.error_type, made.title, made.place),
        *(group.sample_message, group.last_run, group.first_seen, group.last_seen, group.total),
        *(_work(group), last.healed_at, last.healed_by),
    )


def _hours(groups: list[_Group]) -> Iterator[tuple[Any, ...]]:
    for group in groups:
        for hour, n in group.hours.items():
            yield group.pk, moment_text(hour * _HOUR), n


def _cases(groups: list[_Group]) -> Iterator[tuple[Any, ...]]:
    for group in groups:
        for digest, case in group.cases.items():
            yield (
                *(group.pk, digest, case.hurting, case.last_failed_at, case.last_run),
                *(case.healed_at, case.healed_by),
            )
