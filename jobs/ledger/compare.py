"""What differs between two runs of a job: since it last worked, or between any two."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from jobs.catalog.registry import Job, find_job
from jobs.errors import UnknownJob
from jobs.models import Run
from jobs.states import Source, State

from .dry_runs import is_dry_run
from .shown_arguments import shown_arguments
from .slices import begins_with

#: So many runs before a failed one are looked through for the last that succeeded.
LOOKED_THROUGH = 300
#: Two lengths of time are the same unless one is so much longer, and by so many seconds.
_LONGER, _AT_LEAST = 1.5, 1.0
#: From here on a longer time is worth a flag.
_MUCH_LONGER = 3.0
#: Fewer letters of an id say too little.
SHORTEST_ID = 6
_ABSENT = object()


class Measure(StrEnum):
    """How a page writes a value."""

    TEXT = "text"
    VALUE = "value"
    SECONDS = "seconds"


@dataclass(frozen=True, slots=True)
class Pair:
    """One fact of both runs.

    Attributes:
        suspicious: a difference of this kind is often the reason.
        parameter: an argument of the job.
    """

    name: str
    then: Any
    now: Any
    measure: Measure = Measure.TEXT
    differs: bool = False
    suspicious: bool = False
    parameter: bool = False


def last_success(run: Run) -> Run | None:
    """The last run of its job that was asked for before it and succeeded, among the LOOKED_THROUGH before it; a dry run
    has done nothing that could have worked. One query."""
    before = Run.objects.filter(task_name=run.task_name, accepted_at__lte=run.accepted_at).exclude(pk=run.pk)
    near = before.order_by("-accepted_at", "-id").values("pk")[:LOOKED_THROUGH]
    worked = Run.objects.filter(pk__in=near, state=State.SUCCEEDED).order_by("-accepted_at", "-id")
    job = _job_of(run)
    if job is None or not job.dry_run:
        return worked.first()
    return next((one for one in worked.iterator(chunk_size=20) if not is_dry_run(one, job)), None)


def _job_of(run: Run) -> Job | None:
    try:
        return find_job(run.task_name)
    except UnknownJob:
        return None


def find_run(text: str) -> tuple[Run, ...]:
    """The run with this id, or the first two whose ids begin so; none for fewer letters than SHORTEST_ID."""
    text = text.strip()[:255]
    exact = Run.objects.filter(task_id=text).first() if text else None
    if exact is not None:
        return (exact,)
    if len(text) < SHORTEST_ID:
        return ()
    return tuple(Run.objects.filter(begins_with("task_id", text)).order_by("task_id")[:2])


def compare(then: Run, now: Run, job: Job | None, then_job: Job | None = None) -> tuple[Pair, ...]:
    """Every fact of both runs, the suspicious differences first, then the others, then what is the same.

    Args:
        job: of `now`; `then_job` where the other run is of another one.
    """
    pairs = [
        _text("Release", _known(then.release), _known(now.release), suspicious=True),
        _text("Queue", then.queue, now.queue, suspicious=True),
        *_parameters(then, now, job, job if then.task_name == now.task_name else then_job),
        _text("Worker", then.worker, now.worker),
        _text("Started by", _source(then), _source(now)),
        _seconds("Waited", waited(then), waited(now)),
        _seconds("Took", then.runtime, now.runtime),
    ]
    return tuple(sorted(pairs, key=lambda pair: (not pair.differs, not pair.suspicious)))


def waited(run: Run) -> float | None:
    """Seconds between the moment from which it could have run, and its start; None where it never started, or where
    earlier attempts lie between."""
    if run.started_at is None or run.attempt > 1:
        return None
    asked = max(run.accepted_at, run.not_before or run.accepted_at)
    return max((run.started_at - asked).total_seconds(), 0.0)


def _parameters(then: Run, now: Run, job: Job | None, then_job: Job | None) -> list[Pair]:
    if then.withheld or now.withheld or not (then.arguments_exact and now.arguments_exact):
        return []
    old, new = _named(then, then_job), _named(now, job)
    pairs = []
    for name in dict.fromkeys([*new, *old]):
        before, after = old.get(name, _ABSENT), new.get(name, _ABSENT)
        differs = before != after or type(before) is not type(after)
        pairs.append(
            Pair(
                name,
                None if before is _ABSENT else before,
                None if after is _ABSENT else after,
                Measure.VALUE,
                differs,
                parameter=True,
            )
        )
    return pairs


def _named(run: Run, job: Job | None) -> dict[str, Any]:
    """Arguments by the name that both runs share: what code gave by position is named as the form names it."""
    shown = shown_arguments(run, job)
    labels = iter([field.label for field in job.parameters.fields] if job and job.parameters else [])
    return {next(labels, name) if name.startswith("Argument ") else name: value for name, value in shown}


def _text(name: str, then: str, now: str, *, suspicious: bool = False) -> Pair:
    return Pair(name, then, now, differs=then != now, suspicious=suspicious and then != now)


def _seconds(name: str, then: float | None, now: float | None) -> Pair:
    if then is None or now is None:
        return Pair(name, then, now, Measure.SECONDS, differs=then is not now)
    longer, shorter = max(then, now), min(then, now)
    differs = longer - shorter > _AT_LEAST and longer > shorter * _LONGER
    return Pair(name, then, now, Measure.SECONDS, differs, differs and now > then * _MUCH_LONGER)


def _source(run: Run) -> str:
    if run.source == Source.SCHEDULE:
        return f"the schedule {run.schedule_name}".strip()
    return run.actor_label or run.source


def _known(release: str) -> str:
    return "" if release == "unknown" else release
