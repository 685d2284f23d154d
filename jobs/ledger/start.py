"""The verb *run*: accept one run or many. The database row is the truth; nothing is published here."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import DatabaseError, IntegrityError, OperationalError, transaction
from django.db.models import Model
from django.db.models.functions import Now
from django.utils import timezone

from jobs.catalog.parameters import Call
from jobs.catalog.registry import Job
from jobs.errors import FormReused, InvalidArguments
from jobs.models import Run, RunObject
from jobs.pipeline.arguments import encode
from jobs.states import Source, State

from .audit import Actor, Subject, record
from .dry_runs import is_dry_run
from .redaction import hide
from .summary import summarise
from .verbs import START_RUN, require

logger = logging.getLogger(__name__)

#: Runs that one act may start; the page says so before it asks.
MAX_RUNS = 10_000
#: So many that are left out of one act are named.
NAMED = 20


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
        priority: 0 (first) to 9; None leaves it to the queue.
        based_on: the id of the run that the form was filled from.
        schedule: id and name of the schedule that a person runs by hand; its moments are not touched.
    """

    reason: str = ""
    nonce: str | None = None
    not_before: datetime | None = None
    queue: str = ""
    priority: int | None = None
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


@dataclass(frozen=True, slots=True)
class StartedMany:
    """What one act on many started.

    Attributes:
        created: False when the same form had already done so.
        left_out: the places of the argument sets that started nothing, each with the reason in a sentence.
    """

    count: int
    batch_id: str
    created: bool
    left_out: Mapping[int, str] = field(default_factory=dict)


def start_many(
    job: Job,
    each: Iterable[Mapping[str, Any]],
    *,
    actor: Actor,
    batch_id: str,
    wish: Wish | None = None,
    names: Sequence[str] = (),
) -> StartedMany:
    """Accept one run for each of the argument sets that fit, in one transaction with one audit event.

    Args:
        batch_id: one per form shown; the same one again starts nothing.
        names: what each set is about, for the trail.

    Raises:
        NotPermitted: as `start_run`.
        InvalidArguments: none of them fits: what the first one is refused for. Also more than MAX_RUNS sets.
    """
    wish = wish or Wish()
    subject = Subject("job", job.name, job.title)
    require(START_RUN, actor, subject, job.permission)
    prepared: dict[int, Prepared] = {}
    refused: dict[int, InvalidArguments] = {}
    for number, arguments in enumerate(each):
        if number >= MAX_RUNS:
            raise InvalidArguments({"": f"At most {MAX_RUNS:,} runs can be started at once; choose fewer objects."})
        try:
            one = prepare(job, arguments, actor, Source.CONSOLE, wish)
        except InvalidArguments as error:
            refused[number] = error
            continue
        one.run.nonce = f"{batch_id}:{number}"
        prepared[number] = one
    if not prepared:
        raise next(iter(refused.values()), InvalidArguments({"": "Nothing is selected any more."}))
    left_out = {number: _in_one_line(error) for number, error in refused.items()}
    of_batch = Run.objects.filter(nonce__startswith=f"{batch_id}:")
    try:
        with transaction.atomic():
            left_out |= _keep_all(prepared)
            if len(left_out) == len(prepared) + len(refused):
                raise InvalidArguments({"": next(iter(left_out.values()))})
            details: dict[str, Any] = {"runs": len(prepared) + len(refused) - len(left_out), "batch": batch_id}
            if left_out:
                named = {place: names[place] if place < len(names) else f"number {place + 1}" for place in left_out}
                told = [f"{named[place]}: {why}" for place, why in sorted(left_out.items())[:NAMED]]
                details |= {"left_out": len(left_out), "named": told}
            first = next(one.run for place, one in prepared.items() if place not in left_out)
            details |= {"first": first.task_id} | _dryness(first, job)
            record(START_RUN.name, actor, subject, reason=wish.reason, details=details)
    except IntegrityError:
        return StartedMany(of_batch.count(), batch_id, created=False)
    return StartedMany(details["runs"], batch_id, created=True, left_out=left_out)


def _in_one_line(error: InvalidArguments) -> str:
    return " ".join(f"{name}: {sentence}" if name else sentence for name, sentence in error.fields.items())


def _keep_all(prepared: Mapping[int, Prepared]) -> dict[int, str]:
    """Insert them all; where the database refuses, one by one, and the places of those that it refused, with why."""
    try:
        with transaction.atomic():
            keep(list(prepared.values()))
        return {}
    except (IntegrityError, OperationalError):
        raise  # the same form again, or the database is away
    except (DatabaseError, ValueError) as error:
        logger.info("Runs are inserted one by one: %s", error)
    refused = {}
    for place, one in prepared.items():
        try:
            with transaction.atomic():
                keep([one])
        except (IntegrityError, OperationalError):
            raise
        except (DatabaseError, ValueError) as error:
            refused[place] = f"The database refuses it ({type(error).__name__})."
    return refused


def prepare(
    job: Job, values: Mapping[str, Any], actor: Actor, source: Source, wish: Wish, positional: Sequence[Any] = ()
) -> Prepared:
    """The run that these values ask for, checked and not yet kept; raises InvalidArguments."""
    objects: list[Model] = []
    if job.parameters is not None:
        call, typed = job.parameters.check(values)
        objects = job.parameters.objects(typed)
    else:
        call = Call(list(positional), dict(values))
    text, exact = encode(call.args, call.kwargs)
    if not exact:
        raise InvalidArguments({"": "The arguments cannot be kept: together they are longer than 256,000 characters."})
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
        queue=wish.queue or job.queue,
        priority=wish.priority,
        not_before=wish.not_before,
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
    details |= _dryness(run, job)
    if wish.queue and wish.queue != job.queue:
        details["queue"] = wish.queue
    if wish.priority is not None:
        details["priority"] = wish.priority
    if wish.not_before is not None:
        details["not_before"] = wish.not_before.isoformat()
    if wish.schedule is not None:
        details["schedule"] = wish.schedule[1]
    return details


def _dryness(run: Run, job: Job) -> dict[str, Any]:
    return {"dry_run": True} if is_dry_run(run, job) else {}
