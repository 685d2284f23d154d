"""What still hurts in a group, and which of its runs a retry of the whole group would start again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from jobs.catalog.registry import RetrySafety, find_job
from jobs.errors import UnknownJob
from jobs.ledger.readable import NOTHING, Withheld
from jobs.ledger.run_slices import RunLine, line_of
from jobs.models import FailureCase, FailureGroup, Run
from jobs.states import ACTIVE, FINISHED

#: So many of a group's cases, the newest, are looked through.
LOOKED_AT = 2_000
#: A retry of a group takes at most so many runs at once.
MOST_RETRIED = 1_000
#: Ids that one statement asks for.
_CHUNK = 500


@dataclass(frozen=True, slots=True)
class HurtingCase:
    """Equal runs that failed with no later success: the newest of them, and how many there are."""

    line: RunLine
    count: int


@dataclass(frozen=True, slots=True)
class Retryable:
    """What a retry of a group would start again.

    Attributes:
        runs: newest first, at most one of each that are equal: the success of one heals them all.
        left_out: how much of the work that hurts is not among them, by the reason in words.
    """

    runs: tuple[Run, ...]
    left_out: dict[str, int]


def hurting_cases(group: FailureGroup, *, limit: int, withheld: Withheld = NOTHING) -> tuple[HurtingCase, ...]:
    """The newest cases that hurt. Two statements."""
    cases = _hurting(group, limit)
    runs = {run.task_id: run for run in _runs([case.last_run for case in cases], "arguments")}
    return tuple(
        HurtingCase(line_of(runs[case.last_run], withheld), case.hurting) for case in cases if case.last_run in runs
    )


def retryable_runs(group: FailureGroup) -> Retryable:
    """The runs of a group that can be retried as they were, with the reasons for what is left out."""
    cases = _hurting(group, MOST_RETRIED)
    left_out: Counter[str] = Counter()
    unknown = sum(case.hurting - 1 for case in cases if not case.digest)
    left_out["older, and their arguments were not kept whole"] = unknown
    left_out[f"beyond the {MOST_RETRIED:,} that are retried at once"] = max(group.hurting - len(cases) - unknown, 0)
    try:
        job = find_job(group.task_name)
    except UnknownJob:
        job = None
    runs = {run.task_id: run for run in _runs([case.last_run for case in cases])}
    being_retried = _being_retried(list(runs.values()))
    chosen = []
    for case in cases:
        run = runs.get(case.last_run)
        if run is None:
            left_out["pruned since"] += 1
        elif run.state not in FINISHED:
            left_out["not finished"] += 1
        elif job is None and group.task_name.startswith("celery."):
            left_out["a task of Celery's own is no job: its run says what to start instead"] += 1
        elif job is None:
            left_out["its job is no longer in the catalogue"] += 1
        elif job.retry is RetrySafety.NEVER:
            left_out["the job says that it must not be retried"] += 1
        elif not run.arguments_exact:
            left_out["its arguments were not kept whole"] += 1
        elif run.pk in being_retried:
            left_out["being retried already"] += 1
        else:
            chosen.append(run)
    return Retryable(tuple(chosen), {reason: count for reason, count in left_out.items() if count})


def _hurting(group: FailureGroup, limit: int) -> list[FailureCase]:
    """Of the newest cases only: an old group may have had any number."""
    newest = FailureCase.objects.filter(group=group).order_by("-last_failed_at", "-id").values("pk")[:LOOKED_AT]
    hurting = FailureCase.objects.filter(pk__in=newest, hurting__gt=0)
    return list(hurting.order_by("-last_failed_at", "-id")[:limit])


def _runs(task_ids: Sequence[str], *deferred: str) -> list[Run]:
    found: list[Run] = []
    for at in range(0, len(task_ids), _CHUNK):
        runs = Run.objects.filter(task_id__in=task_ids[at : at + _CHUNK]).select_related("retry_of")
        found += runs.defer("retry_of__arguments", *deferred)
    return found


def _being_retried(runs: Sequence[Run]) -> set[int]:
    keys = [run.pk for run in runs]
    found: set[int] = set()
    for at in range(0, len(keys), _CHUNK):
        retries = Run.objects.filter(retry_of__in=keys[at : at + _CHUNK], state__in=ACTIVE).order_by()
        found |= {pk for pk in retries.values_list("retry_of_id", flat=True) if pk is not None}
    return found
