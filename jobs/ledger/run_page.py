"""What the pages of one run show: the run and all that stands beside it in one statement, and a statement a tab."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Case, Exists, F, JSONField, Max, OuterRef, Q, QuerySet, Subquery, TextField, Value, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from jobs.catalog.registry import Job, find_job, job_title
from jobs.errors import UnknownJob
from jobs.models import Attempt, AuditEvent, Run, RunFile, RunLog, RunObject
from jobs.pipeline.stored import stored_result
from jobs.states import Source, State

from .based_on import BasedOn, based_on
from .family import MEMBERS_SHOWN
from .needing_action import needing_action
from .nested import CountOf, RowsOf, rows_of
from .readable import NOTHING, Withheld, readable, readable_attempt, readable_events
from .redaction import hide_in_text, redact_said
from .shown_arguments import shown_arguments

#: So many of the runs that retried it are named.
RETRIES_SHOWN = 5
#: So many objects are named, files listed, attempts and audit events shown; what is beyond is counted.
OBJECTS_SHOWN = 20
FILES_SHOWN = 50
ATTEMPTS_SHOWN = 100
EVENTS_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Counts:
    """What the other tabs hold. A number beyond its cap means "more than that".

    Attributes:
        log: lines that a finished run wrote; what an active one has written only Redis knows.
        family: the runs beside this one.
    """

    log: int
    attempts: int
    family: int
    audit: int


@dataclass(frozen=True, slots=True)
class RunPage:
    """A run and what stands beside it, whatever tab is open.

    Attributes:
        older, newer: ids of this task's runs before and after this one; "" where there is none.
        objects: the first OBJECTS_SHOWN of what it is about; `more_objects` counts the others.
        based_on: None where the form was not filled from another run.
        last_attempt: the last that did not succeed, where that was asked for; None where none is kept.
        retries: the newest runs by which staff retried it, with what a mark says of each: who, when, its state.
        running, needing_action: runs and groups of failures, counted up to one more than was asked for.
    """

    run: Run
    title: str
    job: Job | None
    arguments: list[tuple[str, Any]]
    counts: Counts
    older: str
    newer: str
    files: tuple[RunFile, ...]
    objects: tuple[RunObject, ...]
    more_objects: int
    based_on: BasedOn | None
    running: int
    needing_action: int
    last_attempt: Attempt | None = None
    retries: tuple[Run, ...] = ()


def run_page(task_id: str, *, running_cap: int = 0, ended: bool = True, withheld: Withheld = NOTHING) -> RunPage | None:
    """The run `task_id` with what stands beside it; None when there is no such run. One query.

    Args:
        running_cap: also count what the badges tell, up to one more than this.
        ended: also read the last attempt, which `outcome` tells of.
        withheld: the tasks whose runs the viewer may not read.
    """
    base = Run.objects.filter(task_id=task_id).values("based_on")[:1]
    found = {run.task_id: run for run in _beside(Q(task_id=task_id) | Q(task_id=Subquery(base)), running_cap, ended)}
    run: Any = found.get(task_id)
    if run is None:
        return None
    try:
        job = find_job(run.task_name)
    except UnknownJob:
        job = None
    based = based_on(run, found.get(run.based_on), job)
    readable(run, withheld)
    objects = () if run.withheld else rows_of(RunObject, run.its_objects)
    last = next(iter(rows_of(Attempt, run.ended_badly)), None)
    return RunPage(
        run=run,
        title=job_title(run.task_name),
        job=job,
        arguments=shown_arguments(run, job, objects),
        counts=Counts(run.lines, max(run.attempts_kept, run.attempt), run.relatives, run.events),
        older=run.older or "",
        newer=run.newer or "",
        files=() if run.withheld else rows_of(RunFile, run.its_files),
        objects=objects,
        more_objects=0 if run.withheld else run.objects_kept - len(objects),
        based_on=None if run.withheld else based,
        running=run.running_now,
        needing_action=run.needing,
        last_attempt=readable_attempt(last, withheld=run.withheld) if last else None,
        retries=rows_of(Run, run.newest_retries),
    )


def _beside(which: Q, running_cap: int, ended: bool) -> QuerySet[Run]:
    mine = OuterRef("pk")
    members = Run.objects.filter(root_id=OuterRef("root")).exclude(pk=mine)
    root = Run.objects.filter(task_id=OuterRef("root_id"))
    retries = Run.objects.filter(retry_of=mine)
    objects = RunObject.objects.filter(run=mine)
    files = RunFile.objects.filter(run=mine)
    attempts = Attempt.objects.filter(run=mine).order_by("-number", "-pk")
    running = Run.objects.filter(state=State.RUNNING).order_by()
    log = RunLog.objects.filter(run=mine).values("written")[:1]
    events = AuditEvent.objects.filter(object_type="run", object_id=OuterRef("task_id")).order_by()
    beside = Run.objects.filter(which).select_related("retry_of", "failure_group")
    found = beside.defer("retry_of__arguments").order_by()
    return found.annotate(root=Coalesce("root_id", "task_id")).annotate(
        lines=Coalesce(Subquery(log), 0),
        attempts_kept=Coalesce(_last_number(mine), 0),
        relatives=CountOf(members.order_by()[: MEMBERS_SHOWN + 1])
        + CountOf(retries.order_by()[: MEMBERS_SHOWN + 1])
        + Case(When(Exists(root), then=1), default=0)
        + Case(When(retry_of__isnull=False, then=1), default=0),
        events=CountOf(events[: EVENTS_SHOWN + 1])
        + Case(When(retry_of__isnull=False, then=1), default=0)
        + Case(When(source=Source.CONSOLE, nonce__regex=r":[0-9]{1,9}$", then=1), default=0),
        older=Subquery(_neighbours("lt").order_by("-accepted_at", "-id").values("task_id")[:1]),
        newer=Subquery(_neighbours("gt").order_by("accepted_at", "id").values("task_id")[:1]),
        its_files=RowsOf(
            files.order_by("pk")[:FILES_SHOWN], "id", "name", "path", "content_type", "size", "rows", "attempt"
        ),
        its_objects=RowsOf(objects.order_by("pk")[:OBJECTS_SHOWN], "id", "model", "key", "label"),
        objects_kept=CountOf(objects),
        ended_badly=RowsOf(attempts[:1], "id", "number", "worker", "error_type", "error_message", "traceback")
        if ended
        else Value(None, output_field=JSONField()),
        newest_retries=RowsOf(
            retries.order_by("-pk")[:RETRIES_SHOWN],
            "id",
            "task_id",
            "state",
            "actor_label",
            "accepted_at",
            "finished_at",
        ),
        running_now=CountOf(running[: running_cap + 1]) if running_cap else Value(0),
        needing=CountOf(needing_action(timezone.now())[: running_cap + 1]) if running_cap else Value(0),
    )


def _last_number(run: OuterRef) -> Subquery:
    """The number of a run's last attempt that did not succeed."""
    kept = Attempt.objects.filter(run=run).order_by().values("run")
    return Subquery(kept.annotate(last=Max("number")).values_list("last")[:1])


def _neighbours(side: str) -> QuerySet[Run]:
    """This task's runs on one side in the order of the list; both bounds together keep to one range of the index."""
    at, pk = OuterRef("accepted_at"), OuterRef("pk")
    beyond = Q(**{f"accepted_at__{side}": at}) | Q(**{f"pk__{side}": pk})
    return Run.objects.filter(beyond, task_name=OuterRef("task_name"), **{f"accepted_at__{side}e": at})


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended, or its last attempt.

    Attributes:
        result: the return value; `has_result` tells a None that was returned from one that is missing.
        attempt: which attempt the error belongs to; 0 where that is not known.
    """

    result: Any = None
    has_result: bool = False
    error_type: str = ""
    error_message: str = ""
    traceback: str = ""
    attempt: int = 0
    worker: str = ""

    @property
    def is_error(self) -> bool:
        return bool(self.error_type or self.error_message or self.traceback)


def outcome(page: RunPage) -> Outcome:
    """How it ended as far as it may be read, of a page that was read with `ended`. One query where it succeeded or no
    attempt is kept."""
    run = page.run
    if run.withheld:
        return Outcome()
    if run.state == State.SUCCEEDED:
        stored = stored_result(run.task_id)
        return Outcome(result=redact_said(stored.value), has_result=stored.exists)
    if page.counts.attempts == 0 and not run.is_finished:
        return Outcome()
    if (last := page.last_attempt) is not None:
        return Outcome(
            error_type=run.error_type or last.error_type,
            error_message=run.error_message or last.error_message,
            traceback=last.traceback,
            attempt=last.number,
            worker=last.worker,
        )
    traceback = hide_in_text(stored_result(run.task_id).traceback) if run.is_finished else ""
    return Outcome(error_type=run.error_type, error_message=run.error_message, traceback=traceback, worker=run.worker)


@dataclass(frozen=True, slots=True)
class AttemptLine:
    """One attempt that did not succeed; `traceback` is read for the chosen one only."""

    attempt: Attempt
    traceback: str


def attempts(page: RunPage, number: int | None = None) -> tuple[AttemptLine, ...]:
    """The attempts that did not succeed, newest first, at most ATTEMPTS_SHOWN; with the traceback of attempt `number`,
    else of the last. One query."""
    chosen = _last_number(OuterRef("run")) if number is None else Value(number)
    told = Case(When(number=chosen, then=F("traceback")), default=Value(""), output_field=TextField())
    found = page.run.attempts.annotate(told=told).defer("traceback").order_by("-number", "-pk")
    hidden = page.run.withheld
    return tuple(
        AttemptLine(readable_attempt(attempt, withheld=hidden), "" if hidden else hide_in_text(attempt.told))
        for attempt in found[:ATTEMPTS_SHOWN]
    )


def trail(run: Run) -> tuple[AuditEvent, ...]:
    """The first EVENTS_SHOWN acts of people on the run, oldest first. One query."""
    which = Q(object_type="run", object_id=run.task_id)
    # By what it was started stands with what that was about.
    if run.retry_of is not None:
        which |= Q(object_type="run", object_id=run.retry_of.task_id, details__retry=run.task_id)
    if batch := _batch_of(run):
        which |= Q(object_type="job", object_id=run.task_name, details__batch=batch)
    events = AuditEvent.objects.filter(which).order_by("id")[:EVENTS_SHOWN]
    return readable_events(events, frozenset({run.task_name}) if run.withheld else NOTHING)


def _batch_of(run: Run) -> str:
    """The name of the form that started it together with others; "" where none did."""
    name, _, number = (run.nonce or "").rpartition(":")
    return name if run.source == Source.CONSOLE and number.isdigit() else ""
