"""Nouns for pages: what to show of runs, jobs and the machinery. Nothing here changes anything."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Q, Subquery, Window

from jobs.catalog.fields import Kind
from jobs.catalog.registry import Job, find_job, job_title
from jobs.errors import InvalidArguments, UnknownJob
from jobs.models import Attempt, AuditEvent, Run, RunFile, RunObject
from jobs.pipeline.arguments import decode
from jobs.pipeline.stored import stored_result
from jobs.states import State

from .redaction import redact
from .refill import changed

#: Objects that a run's page names; the others are counted.
OBJECTS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Step:
    """One dot of the state timeline.

    Attributes:
        status: "done", "now", "failed" or "ahead".
        note: the wait before it or the time it took, as seconds; None where there is nothing to say.
    """

    label: str
    status: str
    at: datetime | None = None
    seconds: float | None = None
    #: What `seconds` measures: "waited" or "took".
    measures: str = ""


@dataclass(frozen=True, slots=True)
class BasedOn:
    """The run whose values the form of another was filled from.

    Attributes:
        run: None when it is no longer kept.
        differing: labels of the parameters whose values differ; None where that cannot be told any more. Secrets are
            not compared: each is encrypted anew.
    """

    task_id: str
    run: Run | None
    differing: tuple[str, ...] | None

    @property
    def short_id(self) -> str:
        return self.task_id[:8]


@dataclass(frozen=True, slots=True)
class RunPage:
    """Everything that a run's page shows, read in a fixed number of queries.

    Attributes:
        objects: the first OBJECTS_SHOWN of what it is about; `more_objects` counts the others.
        based_on: None where the form was not filled from another run.
    """

    run: Run
    title: str
    job: Job | None
    arguments: list[tuple[str, Any]]
    steps: tuple[Step, ...]
    attempts: tuple[Attempt, ...]
    files: tuple[RunFile, ...]
    result: Any
    has_result: bool
    traceback: str
    events: tuple[AuditEvent, ...]
    objects: tuple[RunObject, ...]
    more_objects: int
    based_on: BasedOn | None


def run_page(task_id: str) -> RunPage | None:
    """The page of the run `task_id`; None when there is no such run. Six queries, seven when it is based on another."""
    run = Run.objects.select_related("retry_of").filter(task_id=task_id).first()
    if run is None:
        return None
    try:
        job = find_job(run.task_name)
    except UnknownJob:
        job = None
    attempts = tuple(run.attempts.all())
    stored = stored_result(run.task_id)
    objects = list(run.objects_of.annotate(of=Window(Count("pk"))).order_by("pk")[:OBJECTS_SHOWN])
    return RunPage(
        run=run,
        title=job_title(run.task_name),
        job=job,
        arguments=shown_arguments(run, job),
        steps=timeline(run),
        attempts=attempts,
        files=tuple(run.files.order_by("pk")),
        result=stored.value,
        has_result=stored.exists and run.state == State.SUCCEEDED,
        traceback=stored.traceback or (attempts[-1].traceback if attempts else ""),
        events=tuple(AuditEvent.objects.filter(object_type="run", object_id=task_id).order_by("id")[:100]),
        objects=tuple(objects),
        more_objects=objects[0].of - len(objects) if objects else 0,
        based_on=_based_on(run, job) if run.based_on else None,
    )


def _based_on(run: Run, job: Job | None) -> BasedOn:
    earlier = Run.objects.filter(task_id=run.based_on).first()
    if earlier is None or job is None or job.parameters is None or earlier.task_name != run.task_name:
        return BasedOn(run.based_on, earlier, None)
    if not (run.arguments_exact and earlier.arguments_exact):
        return BasedOn(run.based_on, earlier, None)
    try:
        then, now = (job.parameters.bind(*decode(one.arguments)) for one in (earlier, run))
    except InvalidArguments:  # the parameters have changed since
        return BasedOn(run.based_on, earlier, None)
    differing = changed(then, now, job.parameters)
    return BasedOn(run.based_on, earlier, tuple(field.label for field in differing if field.kind is not Kind.SECRET))


def shown_arguments(run: Run, job: Job | None) -> list[tuple[str, Any]]:
    """The arguments with the labels of the job's form; positional ones of other tasks are numbered."""
    args, kwargs = redact(decode(run.arguments))
    labels = {field.name: field.label for field in job.parameters.fields} if job and job.parameters else {}
    positional = [(f"Argument {number}", value) for number, value in enumerate(args, 1)]
    return positional + [(labels.get(name, name), value) for name, value in kwargs.items()]


def timeline(run: Run) -> tuple[Step, ...]:
    """The run's way from asked to ended, with the waits between."""
    state = State(run.state)
    steps = [Step("Asked for", "done", run.accepted_at)]
    if state is State.WAITING:
        return (*steps, Step("Waits until", "now", run.not_before), Step("Queued", "ahead"), Step("Running", "ahead"))
    started = run.started_at
    queued = run.published_at
    if queued is None and state is State.ACCEPTED:
        steps.append(Step("To be queued", "now"))
    elif queued is not None:
        status = "now" if state is State.QUEUED else "done"
        if status == "done" or run.publish_count <= 1:
            steps.append(Step("Queued", status, queued, _seconds(run.accepted_at, queued), "waited"))
        else:
            steps.append(Step(f"Queued, try {run.publish_count}", status, queued))
    if started is not None and state not in {State.ACCEPTED, State.QUEUED}:
        status = "now" if state is State.RUNNING else "done"
        steps.append(Step("Running", status, started, _seconds(queued or run.accepted_at, started), "waited"))
    elif run.is_active:
        steps.append(Step("Running", "ahead"))
    if state is State.RETRYING:
        steps.append(Step("Retrying", "now"))
    if run.is_finished:
        bad = state in {State.FAILED, State.LOST}
        steps.append(Step(state.value.capitalize(), "failed" if bad else "done", run.finished_at, run.runtime, "took"))
    else:
        steps.append(Step("Ended", "ahead"))
    return tuple(steps)


def _seconds(earlier: datetime | None, later: datetime | None) -> float | None:
    # Two clocks may be involved: a wait is never shown as negative.
    return max((later - earlier).total_seconds(), 0.0) if earlier and later else None


def last_runs(names: Iterable[str]) -> dict[str, Run]:
    """The newest run of each task; one index look-up a name, in one query."""
    newest = Q(pk__in=[])
    for name in names:
        newest |= Q(pk=Subquery(Run.objects.filter(task_name=name).order_by("-id").values("pk")[:1]))
    return {run.task_name: run for run in Run.objects.filter(newest)}


def counts_by_state(states: Iterable[State], *, cap: int) -> dict[State, int]:
    """How many runs are in each state, counted up to `cap`."""
    return {state: Run.objects.filter(state=state).order_by()[:cap].count() for state in states}
