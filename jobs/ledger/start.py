"""The verb *run*: accept a run. The database row is the truth; nothing is published here."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils import timezone

from jobs.catalog.registry import Job
from jobs.errors import FormReused, InvalidArguments
from jobs.models import Run
from jobs.pipeline.arguments import encode
from jobs.states import Source, State

from .audit import Actor, Subject, record
from .verbs import START_RUN, require


@dataclass(frozen=True, slots=True)
class Moment:
    """The due moment of a schedule that asks for a run."""

    schedule_id: int
    schedule_name: str
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Started:
    """The run of this request; `created` is False when the same form or moment had already started it."""

    run: Run
    created: bool


def start_run(
    job: Job,
    arguments: Mapping[str, Any],
    *,
    actor: Actor,
    positional: Sequence[Any] = (),
    source: Source = Source.CONSOLE,
    reason: str = "",
    nonce: str | None = None,
    not_before: datetime | None = None,
    moment: Moment | None = None,
) -> Started:
    """Accept one run of `job` and write the audit event, in one transaction. The dispatcher publishes it.

    Args:
        job: from the catalogue.
        arguments: by parameter name, typed or as text; checked here.
        positional: arguments without a name, for a task that declares no job; a job's parameters all have names.
        nonce: one per form shown; a second submission with it is the same run.
        not_before: aware; the run waits in the database until then.
        moment: for source SCHEDULE; the same moment gives the same run, and no audit event.

    Raises:
        NotPermitted: the actor lacks `jobs.run_job` or the job's own permission.
        InvalidArguments: with one sentence for each field.
        FormReused: the nonce already started a run with other values.
    """
    subject = Subject("job", job.name, job.title)
    require(START_RUN, actor, subject, job.permission)
    if job.parameters and positional:
        raise InvalidArguments({"": "A job's arguments are given by name, not by position."})
    kwargs = job.parameters.to_json(arguments) if job.parameters else dict(arguments)
    text, exact = encode(positional, kwargs)
    if not exact:
        raise InvalidArguments({"": "The arguments cannot be kept: too long, or not JSON."})
    if moment is not None:
        nonce = f"schedule:{moment.schedule_id}:{moment.due_at.isoformat()}"
    waits = not_before is not None and not_before > timezone.now()
    run = Run(
        task_id=str(uuid.uuid4()),
        task_name=job.name,
        arguments=text,
        guaranteed=True,
        source=source,
        actor_id=actor.id,
        actor_label=actor.label,
        reason=reason,
        nonce=nonce,
        schedule_id=moment.schedule_id if moment else None,
        schedule_name=moment.schedule_name if moment else "",
        due_at=moment.due_at if moment else None,
        queue=job.queue,
        not_before=not_before,
        state=State.WAITING if waits else State.ACCEPTED,
        publish_after=not_before if waits else Now(),
    )
    run.root_id = run.task_id
    try:
        with transaction.atomic():
            run.save(force_insert=True)
            if moment is None:
                record(
                    START_RUN.name,
                    actor,
                    Subject("run", run.task_id, f"{job.title} {run.short_id}"),
                    reason=reason,
                    details={"job": job.name, "arguments": kwargs},
                )
    except IntegrityError:
        # Only the nonce can collide: somebody pressed twice, or two beats decided the same moment.
        earlier = Run.objects.get(nonce=nonce)
        if (earlier.task_name, earlier.arguments, earlier.actor_id) != (run.task_name, run.arguments, run.actor_id):
            raise FormReused(earlier.task_id) from None
        return Started(earlier, created=False)
    run.refresh_from_db()
    return Started(run, created=True)
