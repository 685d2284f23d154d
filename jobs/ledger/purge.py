"""The verb that removes the ready messages of a queue, and what becomes of their runs."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import DatabaseError
from django.db.models.functions import Now

from jobs.errors import JobsError
from jobs.fleet.breaker import ask
from jobs.fleet.broker import Redis, RedisError, steady_client
from jobs.fleet.messages import Waiting
from jobs.fleet.removal import Removal, is_queue
from jobs.models import Run
from jobs.pipeline.facts import Fact, Kind, append
from jobs.states import CLAIMABLE, State

from .audit import Actor, Subject, record
from .verbs import BEGIN_PURGE, PURGE_QUEUE, require

#: One purge removes no more: it must end within a request.
MOST_PURGED = 20_000


class NotConfirmed(JobsError):
    """The name that was typed is not that of the queue, or no reason was given."""


class NotAQueue(JobsError):
    """No setting, no worker and no binding names a queue of this name: another application's list, or none."""


class PurgeStopped(JobsError):
    """Redis or the database failed on the way; the text tells what was removed until then."""


@dataclass(slots=True)
class Purged:
    """What a purge did.

    Attributes:
        removed: messages that were taken out of the queue.
        cancelled: console runs that became cancelled.
        observed: runs that code had published; each becomes cancelled when the recorder reads of it.
        unreadable: messages that do not tell whose they are.
        left: messages that were ready in the end.
    """

    removed: int = 0
    cancelled: int = 0
    observed: int = 0
    unreadable: int = 0
    left: int = 0

    def details(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in ("removed", "cancelled", "observed", "unreadable", "left")}


def purge_queue(queue: str, *, typed: str, actor: Actor, reason: str) -> Purged:
    """Remove the messages that are ready now, at most MOST_PURGED. What workers hold or run is not touched.

    The trail gets an event before the first message goes, and one with the numbers in the end.

    Raises:
        NotPermitted: the actor may not remove messages.
        NotConfirmed: `typed` is not the queue's name, or there is no reason.
        NotAQueue: nothing that the console knows calls this a queue.
        PurgeStopped: Redis or the database failed on the way.
    """
    subject = Subject("queue", queue[:255], queue)
    require(PURGE_QUEUE, actor, subject)
    if typed != queue:
        raise NotConfirmed(f"Nothing was removed: type {queue} to confirm.")
    if not reason:
        raise NotConfirmed("Nothing was removed: say why. The reason stands in the audit trail.")
    known = ask(lambda redis: is_queue(redis, queue))
    if known is None:
        raise PurgeStopped("Nothing was removed: Redis does not answer.")
    if not known:
        raise NotAQueue("Nothing was removed: no setting, no worker and no message names a queue of this name.")
    client, done = steady_client(), Purged()
    removal = Removal(client, queue)
    try:
        ready = removal.ready()
    except RedisError:
        raise PurgeStopped("Nothing was removed: Redis does not answer.") from None
    record(BEGIN_PURGE.name, actor, subject, reason=reason, details={"ready": ready})
    try:
        _remove(removal, client, min(ready, MOST_PURGED), done, queue, actor)
    except (RedisError, DatabaseError) as error:
        record(PURGE_QUEUE.name, actor, subject, reason=reason, details={**done.details(), "stopped": str(error)[:200]})
        raise PurgeStopped(
            f"It stopped after {done.removed:,} messages: {type(error).__name__}. The others are still in the queue."
        ) from error
    record(PURGE_QUEUE.name, actor, subject, reason=reason, details=done.details())
    return done


def _remove(removal: Removal, client: Redis, most: int, done: Purged, queue: str, actor: Actor) -> None:
    note = f"its message was removed from {queue[:80]} by {actor.label[:80]}"
    while done.removed < most and (portion := removal.take(most - done.removed)):
        try:
            cancelled = _cancel_unclaimed(portion, note)
        except DatabaseError:
            removal.put_back()
            raise
        pipe = client.pipeline(transaction=True)
        observed = [one for one in portion if one.task_id and one.execution is None]
        for one in observed:
            append(pipe, _revoked(one, note))
        removal.drop(pipe)
        pipe.execute()
        done.removed += len(portion)
        done.cancelled += cancelled
        done.observed += len(observed)
        done.unreadable += sum(not one.task_id for one in portion)
    done.left = removal.ready()


def _cancel_unclaimed(portion: Sequence[Waiting], note: str) -> int:
    """Cancel the console runs that these messages could still have started: the claim's own condition, one UPDATE.

    A message that lost its claim to a copy of itself cancels nothing, and what is cancelled here no copy can claim.
    """
    by_execution: dict[int, list[str]] = defaultdict(list)
    for one in portion:
        if one.task_id and one.execution is not None:
            by_execution[one.execution].append(one.task_id)
    return sum(
        Run.objects.filter(
            task_id__in=ids,
            attempt=n - 1,
            guaranteed=True,
            state__in=CLAIMABLE,
            cancel_requested_at__isnull=True,
        ).update(
            state=State.CANCELLED,
            provisional=False,
            state_note=note,
            cancel_requested_at=Now(),
            finished_at=Now(),
            publish_after=None,
        )
        for n, ids in by_execution.items()
    )


def _revoked(one: Waiting, note: str) -> Fact:
    """The end of an observed run, told as its worker would have: after its publishing, which may not be read yet."""
    return Fact(
        kind=Kind.ENDED,
        task_id=one.task_id,
        at=time.time(),
        task=one.task,
        state="REVOKED",
        retries=one.retries,
        published=one.first_published,
        note=note,
    )
