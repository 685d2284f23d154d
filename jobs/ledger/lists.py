"""Nouns for short lists: what pages other than the list of runs show of runs and acts. Nothing here changes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Model

from jobs.fleet.headers import recorded_id
from jobs.models import Run, RunObject
from jobs.states import State

from .readable import NOTHING, Withheld
from .run_counts import running_count as running_count
from .run_query import NEWEST_FIRST
from .run_query import RunQuery as RunQuery
from .run_slices import RunLine as RunLine
from .run_slices import line_of, listed, run_slice


def running_lines(*, limit: int, withheld: Withheld = NOTHING) -> tuple[RunLine, ...]:
    """The runs that have been running longest."""
    found = Run.objects.filter(state=State.RUNNING).order_by("claimed_at", "id")
    return tuple(line_of(run, withheld) for run in listed(found)[:limit])


def unknown_of(began: Mapping[str, float]) -> int:
    """Of so many executions that nobody has heard of since: those whose runs the ledger knows no end of, and did not
    publish again. One query, or none.

    Args:
        began: the runs' ids and when each was begun, in epoch seconds.
    """
    ids = [recorded_id(task_id) for task_id in began][:500]
    found = Run.objects.filter(task_id__in=ids).values_list("task_id", "state", "published_at") if ids else ()
    asked = dict(zip(ids, began.values(), strict=False))
    known = [
        task_id
        for task_id, state, published in found
        if state != State.QUEUED or (published is not None and published.timestamp() > asked[task_id])
    ]
    return len(ids) - len(known)


def troubled_since(moment: datetime, *, limit: int) -> tuple[RunLine, ...]:
    """Runs that failed or were lost since `moment`, newest first, out of the newest `limit` of each state."""
    lines: list[RunLine] = []
    for state in (State.FAILED, State.LOST):
        lines += run_slice(RunQuery(state=state), limit=limit).lines
    recent = [line for line in lines if (line.run.finished_at or line.run.accepted_at) >= moment]
    return tuple(sorted(recent, key=lambda line: (line.run.accepted_at, line.run.pk), reverse=True))


def runs_of_object(obj: Model, *, limit: int, withheld: Withheld = NOTHING) -> tuple[RunLine, ...]:
    """The newest runs that are about `obj`: not those that the viewer may not read, who would learn of what they are.
    One query."""
    about = RunObject.objects.filter(model=obj._meta.label_lower, key=str(obj.pk)).order_by("-run_id")
    about = about.exclude(run__task_name__in=withheld) if withheld else about
    found = Run.objects.filter(pk__in=about.values("run_id")[:limit]).order_by("-id")
    return tuple(line_of(run) for run in listed(found))


def was_started(nonce: str) -> bool:
    """Whether a form with this nonce has already started a run."""
    return Run.objects.filter(nonce=nonce).exists()


@dataclass(frozen=True, slots=True)
class JobHistory:
    """What a job's newest runs tell somebody who is about to start it.

    Attributes:
        durations: seconds of the successful ones, newest first.
        active: those that have not finished, newest first.
        read: how many were looked at; 0 means it has never run.
    """

    durations: tuple[float, ...]
    active: tuple[Run, ...]
    read: int


def job_history(task_name: str, *, limit: int = 50) -> JobHistory:
    """Look at the newest `limit` runs of a task. One query."""
    runs = list(Run.objects.filter(task_name=task_name).order_by(*NEWEST_FIRST).defer("arguments")[:limit])
    durations = tuple(r.runtime for r in runs if r.state == State.SUCCEEDED and r.runtime is not None)
    return JobHistory(durations, tuple(r for r in runs if r.is_active), len(runs))


def waiting_in_queue(queue: str, *, cap: int) -> int:
    """How many runs wait for a worker of `queue`, counted up to one more than `cap`."""
    waiting = Run.objects.filter(state__in=[State.ACCEPTED, State.QUEUED], queue=queue)
    return waiting.order_by().values("pk")[: cap + 1].count()
