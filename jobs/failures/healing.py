"""A later equal success heals: it takes what hurts off the case, and off the case's group."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db.models import BigIntegerField, Case, CharField, DateTimeField, F, Value, When
from django.db.models.functions import Greatest
from django.utils import timezone

from jobs.models import FailureCase, FailureGroup, Run

from .cases import case_digest, pieces_of_work

#: For so many seconds it is known which jobs have something to heal. Shorter than it takes another recorder to take
#: over, so that a new leader never goes by what it knew when it led before.
FRESH = 5.0


#: Failures that another thread has noted but not committed yet are remembered so long.
_UNCOMMITTED = 60.0

_read: tuple[float, frozenset[str]] = (0.0, frozenset())
_expected: dict[str, float] = {}


def heal(succeeded: Sequence[Run]) -> None:
    """Note that these runs have succeeded. A statement every few seconds while nothing that they could heal hurts."""
    names = _hurting_tasks()
    candidates = [run for run in succeeded if run.task_name in names]
    if not candidates:
        return
    healers = _healers(candidates)
    cases = FailureCase.objects.select_for_update().filter(digest__in=list(healers), hurting__gt=0).order_by("pk")
    healed = [case for case in cases if case.last_failed_at < _ended(healers[case.digest])]
    if not healed:
        return
    less: dict[int, int] = {}
    by: dict[int, Run] = {}
    for case in healed:
        run = healers[case.digest]
        less[case.group_id] = less.get(case.group_id, 0) + pieces_of_work(case.hurting, case.digest)
        by[case.group_id] = max(by.get(case.group_id, run), run, key=_ended)
        case.hurting, case.healed_at, case.healed_by = 0, _ended(run), run.task_id
    FailureCase.objects.bulk_update(healed, ["hurting", "healed_at", "healed_by"])
    taken = Case(*(When(pk=pk, then=Value(n)) for pk, n in less.items()), output_field=BigIntegerField())
    FailureGroup.objects.filter(pk__in=list(less)).update(
        hurting=Greatest(F("hurting") - taken, Value(0), output_field=BigIntegerField()),
        healed_at=Case(
            *(When(pk=pk, then=Value(_ended(run), DateTimeField())) for pk, run in by.items()),
            output_field=DateTimeField(),
        ),
        healed_by=Case(*(When(pk=pk, then=Value(run.task_id)) for pk, run in by.items()), output_field=CharField()),
    )


def expect_healing(names: Iterable[str]) -> None:
    """Runs of these tasks have just failed, in a transaction that may not be committed yet."""
    now = time.monotonic()
    for name in names:
        _expected[name] = now + _UNCOMMITTED


def _hurting_tasks() -> frozenset[str]:
    global _read
    now = time.monotonic()
    if not _read[0] or now > _read[0]:
        names = FailureGroup.objects.filter(hurting__gt=0).order_by().values_list("task_name", flat=True).distinct()
        _read = (now + FRESH, frozenset(names))
        for name, until in list(_expected.items()):
            if now > until:
                _expected.pop(name, None)
    return _read[1] | frozenset(_expected)


def _healers(candidates: Sequence[Run]) -> dict[str, Run]:
    """The last success of each kind of equal runs; a retry is equal to what it retries, whatever was edited."""
    found: dict[str, Run] = {}

    def add(digest: str, run: Run) -> None:
        if digest:
            found[digest] = max(found.get(digest, run), run, key=_ended)

    for run in candidates:
        add(case_digest(run.task_name, run.arguments, exact=run.arguments_exact), run)
    retries = {run.retry_of_id: run for run in candidates if run.retry_of_id is not None}
    if retries:
        originals = Run.objects.filter(pk__in=list(retries)).only("task_name", "arguments", "arguments_exact")
        for one in originals:
            add(case_digest(one.task_name, one.arguments, exact=one.arguments_exact), retries[one.pk])
    return found


def _ended(run: Run) -> datetime:
    return run.finished_at or timezone.now()
