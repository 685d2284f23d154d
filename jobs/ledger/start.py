"""The verb *run*: accept one run or many. The database row is the truth; nothing is published here."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Model
from django.db.models.functions import Now
from django.utils import timezone

from jobs.catalog.applications import task_of
from jobs.catalog.parameters import Call
from jobs.catalog.registry import Job
from jobs.catalog.routing import NoRoute, Route, route
from jobs.errors import FormReused, InvalidArguments
from jobs.models import Run, RunObject
from jobs.pipeline.arguments import encode
from jobs.pipeline.joined import why_unclaimed
from jobs.states import Source, State

from .audit import Actor, Subject, record
from .dry_runs import is_dry_run
from .redaction import hide
from .summary import summarise
from .verbs import START_RUN, require

logger = logging.getLogger(__name__)

#: How the note of a run begins that cannot be published yet.
UNPUBLISHED = "cannot be published: "


@dataclass(frozen=True, slots=True)
class Moment:
    """The due moment of a schedule that asks for a run."""

    schedule_id: int
    schedule_name: str
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Wish:
    """How and when to run it.

    Attributes:
        reason: why, for the run's page and the audit trail.
        nonce: one per form shown; a second submission with it is the same run.
        not_before: aware; the run waits in the database until then.
        queue: instead of the job's own; must be one that exists.
        priority: 0 (first) to 9; None leaves it to the job's route.
        expires_at: aware; who has not started by then does not.
        based_on: the id of the run that the form was filled from.
        schedule: id and name of the schedule that a person runs by hand; its moments are not touched.
    """

    reason: str = ""
    nonce: str | None = None
    not_before: datetime | None = None
    queue: str = ""
    priority: int | None = None
    expires_at: datetime | None = None
    based_on: str = ""
    schedule: tuple[int, str] | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """The run of this request; `created` is False when the same form or moment had already started it."""

    run: Run
    created: bool


@dataclass(slots=True)
class Prepared:
    """One run that may be accepted, and what it is about."""

    run: Run
    objects: list[Model] = field(default_factory=list)


def start_run(
    job: Job,
    arguments: Mapping[str, Any],
    *,
    actor: Actor,
    positional: Sequence[Any] = (),
    source: Source = Source.CONSOLE,
    moment: Moment | None = None,
    wish: Wish | None = None,
) -> Started:
    """Accept one run of `job` and write the audit event, in one transaction. The dispatcher publishes it.

    Args:
        job: from the catalogue.
        arguments: by parameter name, typed or as text; checked here.
        positional: arguments without a name, as a schedule of a plain task may have them.
        moment: for source SCHEDULE; the same moment gives the same run, and no audit event.

    Raises:
        NotPermitted: the actor lacks `jobs.run_job` or the job's own permission.
        InvalidArguments: with one sentence for each field.
        FormReused: the nonce already started a run with other values.
    """
    wish = wish or Wish()
    require(START_RUN, actor, Subject("job", job.name, job.title), job.permission)
    values = job.parameters.bind(positional, arguments) if job.parameters and positional else arguments
    prepared = prepare(job, values, actor, source, wish, positional)
    run = prepared.run
    if moment is not None:
        run.nonce = f"schedule:{moment.schedule_id}:{moment.due_at.isoformat()}"
        run.schedule_id, run.schedule_name, run.due_at = moment.schedule_id, moment.schedule_name, moment.due_at
    else:
        run.nonce = wish.nonce
    try:
        with transaction.atomic():
            keep([prepared])
            if moment is None:
                record(
                    START_RUN.name,
                    actor,
                    Subject("run", run.task_id, f"{job.title} {run.short_id}"),
                    reason=wish.reason,
                    details=details_of(job, run, wish),
                )
    except IntegrityError:
        # Only the nonce can collide: somebody pressed twice, or two beats decided the same moment.
        earlier = Run.objects.get(nonce=run.nonce)
        if _asked(job, earlier) != _asked(job, run):
            raise FormReused(earlier.task_id) from None
        return Started(earlier, created=False)
    run.refresh_from_db()
    return Started(run, created=True)


def why_not_startable(job: Job) -> str:
    """Why the console starts no run of this job, whatever its values; "" where it does."""
    task = task_of(job.name)
    why = "" if task is None else why_unclaimed(task)
    return why and f"The console does not start {job.title}, because a run of it might execute twice: {why}."


def prepare(
    job: Job, values: Mapping[str, Any], actor: Actor, source: Source, wish: Wish, positional: Sequence[Any] = ()
) -> Prepared:
    """The run that these values ask for, checked and not yet kept; raises InvalidArguments."""
    if refusal := why_not_startable(job):
        raise InvalidArguments({"": refusal})
    objects: list[Model] = []
    if job.parameters is not None:
        call, typed = job.parameters.check(values)
        objects = job.parameters.objects(typed)
    else:
        call = Call(list(positional), dict(values))
    text, exact = encode(call.args, call.kwargs)
    if not exact:
        raise InvalidArguments({"": "The arguments cannot be kept: together they are longer than 256,000 characters."})
    note = ""
    try:
        way = route(job.name, call.args, call.kwargs, queue=wish.queue, priority=wish.priority)
    except NoRoute as error:
        logger.warning("%s", error, exc_info=error.__cause__)
        if source is not Source.SCHEDULE:
            raise InvalidArguments({"": str(error)}) from None
        # Its moment is not lost: the dispatcher asks again until there is a way.
        way, note = Route(wish.queue, wish.priority), f"{UNPUBLISHED}{error}"[:255]
    waits = wish.not_before is not None and wish.not_before > timezone.now()
    run = Run(
        task_id=str(uuid.uuid4()),
        task_name=job.name,
        arguments=text,
        summary=summarise(text, job.name, dry_run=job.dry_run),
        guaranteed=True,
        source=source,
        actor_id=actor.id,
        actor_label=actor.label,
        reason=wish.reason,
        queue=way.queue,
        priority=way.priority,
        not_before=wish.not_before,
        expires_at=wish.expires_at,
        state_note=note,
        based_on=wish.based_on,
        schedule_id=wish.schedule[0] if wish.schedule else None,
        schedule_name=wish.schedule[1] if wish.schedule else "",
        state=State.WAITING if waits else State.ACCEPTED,
        publish_after=wish.not_before if waits else Now(),
    )
    return Prepared(run, objects)


def keep(prepared: Sequence[Prepared]) -> None:
    """Insert the runs and what they are about; the caller holds the transaction."""
    if len(prepared) == 1:
        prepared[0].run.save(force_insert=True)
    else:
        Run.objects.bulk_create([one.run for one in prepared], batch_size=500)
    RunObject.objects.bulk_create(
        [
            RunObject(run=one.run, model=o._meta.label_lower, key=str(o.pk), label=str(o)[:255])
            for one in prepared
            for o in {(type(o), o.pk): o for o in one.objects}.values()
        ],
        batch_size=500,
    )


def _asked(job: Job, run: Run) -> tuple[Any, ...]:
    """What makes two submissions the same wish; a secret is encrypted anew each time and cannot be compared."""
    arguments = hide(run.arguments, job.name) if job.parameters else run.arguments
    return run.task_name, arguments, run.actor_id, run.queue, run.priority, run.not_before


def details_of(job: Job, run: Run, wish: Wish) -> dict[str, Any]:
    """What the audit trail keeps of a start."""
    arguments = hide(run.arguments, job.name)
    details: dict[str, Any] = {"job": job.name, "arguments": arguments}
    details |= dryness(run, job)
    if wish.queue and wish.queue != job.queue:
        details["queue"] = wish.queue
    if wish.priority is not None:
        details["priority"] = wish.priority
    if wish.expires_at is not None:
        details["expires_at"] = wish.expires_at.isoformat()
    if wish.not_before is not None:
        details["not_before"] = wish.not_before.isoformat()
    if wish.schedule is not None:
        details["schedule"] = wish.schedule[1]
    return details


def dryness(run: Run, job: Job) -> dict[str, Any]:
    """What the audit trail keeps of whether it was a dry run."""
    return {"dry_run": True} if is_dry_run(run, job) else {}
