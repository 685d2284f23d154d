"""Nouns for lists: runs page by page, counts that stop, what short lists on other pages need. Nothing changes here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Model, Q, QuerySet

from jobs.catalog.registry import job_title
from jobs.models import AuditEvent, Run, RunObject
from jobs.states import State

from .summary import key_arguments


@dataclass(frozen=True, slots=True)
class RunQuery:
    """Which runs a list shows; each part that is set narrows it."""

    state: State | None = None
    task_name: str = ""
    actor_id: int | None = None
    id_prefix: str = ""

    def runs(self) -> QuerySet[Run]:
        """The matching runs, newest first, not yet read."""
        found = Run.objects.order_by("-id")
        if self.state is not None:
            found = found.filter(state=self.state)
        if self.task_name:
            found = found.filter(task_name=self.task_name)
        if self.actor_id is not None:
            found = found.filter(actor_id=self.actor_id)
        if self.id_prefix:
            found = _with_prefix(found, self.id_prefix)
        return found


def _with_prefix(runs: QuerySet[Run], prefix: str) -> QuerySet[Run]:
    if connection.vendor == "sqlite":
        # LIKE does not use the index there, a range does: its order is that of the characters' numbers.
        return runs.filter(task_id__gte=prefix, task_id__lt=prefix[:-1] + chr(ord(prefix[-1]) + 1))
    return runs.filter(task_id__startswith=prefix)


@dataclass(frozen=True, slots=True)
class RunLine:
    """A run of a list, with its job's title and its arguments in one short line."""

    run: Run
    title: str
    arguments: str


@dataclass(frozen=True, slots=True)
class RunSlice:
    """One page of a list, newest first, and whether there are newer and older runs beyond it."""

    lines: tuple[RunLine, ...]
    newer: bool
    older: bool


def run_slice(query: RunQuery, *, before: int | None = None, after: int | None = None, limit: int) -> RunSlice:
    """At most `limit` runs older than the row id `before`, or newer than `after`, else the newest. One query."""
    found = query.runs().select_related("retry_of").defer("arguments", "retry_of__arguments")
    if after is not None:
        rows = list(found.filter(pk__gt=after).order_by("id")[: limit + 1])
        newer, older = len(rows) > limit, True
        rows = rows[:limit][::-1]
    else:
        if before is not None:
            found = found.filter(pk__lt=before)
        rows = list(found[: limit + 1])
        newer, older = before is not None, len(rows) > limit
        rows = rows[:limit]
    return RunSlice(tuple(_line(run) for run in rows), newer, older)


def _line(run: Run) -> RunLine:
    return RunLine(run, job_title(run.task_name), key_arguments(run))


@dataclass(frozen=True, slots=True)
class RunCounts:
    """How many runs of a query are in each state, and how many of all runs are running; counting stops at `cap`.

    Attributes:
        partial: the query matches more than `cap` runs and only the newest `cap` were looked at.
    """

    by_state: dict[State, int]
    running: int
    cap: int
    partial: bool


def run_counts(query: RunQuery, *, cap: int) -> RunCounts:
    """Count what the list of `query` would show for each state, whatever state it asks for. One bounded statement."""
    narrowed = RunQuery(task_name=query.task_name, actor_id=query.actor_id, id_prefix=query.id_prefix)
    parts = [_counted(State.RUNNING, cap, as_label="")]
    if narrowed == RunQuery():
        parts += [_counted(state, cap, as_label=state.value) for state in State]
    else:
        # No index knows the states of one job's runs, so the newest are looked at.
        sql, values = narrowed.runs().values("state")[:cap].query.sql_with_params()
        parts.append((f"SELECT state, COUNT(*) FROM ({sql}) newest GROUP BY state", values))  # noqa: S608 - from the ORM
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(sql for sql, _ in parts), [value for _, values in parts for value in values])
        counts: dict[str, int] = dict(cursor.fetchall())
    running = counts.pop("", 0)
    by_state = {state: counts.get(state.value, 0) for state in State}
    return RunCounts(by_state, running, cap, partial=narrowed != RunQuery() and sum(by_state.values()) >= cap)


def _counted(state: State, cap: int, *, as_label: str) -> tuple[str, tuple[Any, ...]]:
    """SQL of one row: the label, and how many runs are in `state`; one more than the cap means "more than that"."""
    sql, values = Run.objects.filter(state=state).order_by().values("pk")[: cap + 1].query.sql_with_params()
    return f"SELECT %s, COUNT(*) FROM ({sql}) counted", (as_label, *values)  # noqa: S608 - from the ORM


def running_count(*, cap: int) -> int:
    """How many runs are running, counted up to one more than `cap`."""
    return Run.objects.filter(state=State.RUNNING).order_by().values("pk")[: cap + 1].count()


def running_lines(*, limit: int) -> tuple[RunLine, ...]:
    """The runs that have been running longest."""
    found = Run.objects.filter(state=State.RUNNING).select_related("retry_of").order_by("claimed_at", "id")
    return tuple(_line(run) for run in found.defer("arguments", "retry_of__arguments")[:limit])


def troubled_since(moment: datetime, *, limit: int) -> tuple[RunLine, ...]:
    """Runs that failed or were lost since `moment`, newest first, out of the newest `limit` of each state."""
    lines: list[RunLine] = []
    for state in (State.FAILED, State.LOST):
        lines += run_slice(RunQuery(state=state), limit=limit).lines
    recent = [line for line in lines if (line.run.finished_at or line.run.accepted_at) >= moment]
    return tuple(sorted(recent, key=lambda line: line.run.pk, reverse=True))


def runs_of_object(obj: Model, *, limit: int) -> tuple[RunLine, ...]:
    """The newest runs that are about `obj`. One query."""
    about = RunObject.objects.filter(model=obj._meta.label_lower, key=str(obj.pk)).order_by("-run_id")
    found = Run.objects.filter(pk__in=about.values("run_id")[:limit]).select_related("retry_of").order_by("-id")
    return tuple(_line(run) for run in found.defer("arguments", "retry_of__arguments"))


def was_started(nonce: str) -> bool:
    """Whether a form with this nonce has already started a run."""
    return Run.objects.filter(nonce=nonce).exists()


def acts_by_hand(*, limit: int, actor_id: int | None = None) -> tuple[AuditEvent, ...]:
    """The newest acts of people, of one person where `actor_id` is given."""
    by_people = Q(actor_id__isnull=False) if actor_id is None else Q(actor_id=actor_id)
    return tuple(AuditEvent.objects.filter(by_people).order_by("-id")[:limit])


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
    runs = list(Run.objects.filter(task_name=task_name).order_by("-id").defer("arguments")[:limit])
    durations = tuple(r.runtime for r in runs if r.state == State.SUCCEEDED and r.runtime is not None)
    return JobHistory(durations, tuple(r for r in runs if r.is_active), len(runs))


def waiting_in_queue(queue: str, *, cap: int) -> int:
    """How many runs wait for a worker of `queue`, counted up to one more than `cap`."""
    waiting = Run.objects.filter(state__in=[State.ACCEPTED, State.QUEUED], queue=queue)
    return waiting.order_by().values("pk")[: cap + 1].count()
