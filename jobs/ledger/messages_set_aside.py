"""The verbs on messages that workers could not read: give them back to their queues, or discard them.

As with facts (`dead_letters.py`) the trail is told before anything moves, and again with the true number.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.db import DatabaseError

from jobs.fleet import quarantined as fleet
from jobs.fleet.dead_letters import Moved
from jobs.fleet.quarantined import Meant

from .audit import Actor, Subject, record
from .dead_letters import FactsGone, FactsStayed, Settled
from .verbs import BEGIN_SETTLING, DISCARD_MESSAGES, PUT_BACK_MESSAGES, Verb, require

logger = logging.getLogger(__name__)


class MessagesGone(FactsGone):
    """Nothing was there any more."""


class MessagesStayed(FactsStayed):
    """Redis refused, did not answer, or nothing of it can go back."""


def put_back_messages(meant: Meant, *, actor: Actor, reason: str = "") -> Settled:
    """Give messages back to their queues, oldest first; each goes back once. What stays unreadable is set aside anew.

    Raises:
        NotPermitted: the actor may not; it is in the trail.
        MessagesGone: somebody was faster.
        MessagesStayed: Redis is full or away, or none of them is kept whole.
    """
    return _settle(PUT_BACK_MESSAGES, fleet.put_messages_back, meant, actor, reason)


def discard_messages(meant: Meant, *, actor: Actor, reason: str = "") -> Settled:
    """Remove messages for good. Raises as `put_back_messages`."""
    return _settle(DISCARD_MESSAGES, fleet.discard_messages_there, meant, actor, reason)


def _settle(verb: Verb, move: Callable[[Meant], Moved], meant: Meant, actor: Actor, reason: str) -> Settled:
    require(verb, actor, subject_of(meant))
    details = {"command": verb.name, "until": meant.until}
    record(BEGIN_SETTLING.name, actor, subject_of(meant), reason=reason, details=details)
    moved = move(meant)
    _tell(verb, meant, moved, actor, reason)
    if moved.count:
        return Settled(moved.count, _rest(moved))
    if not moved.answered:
        raise MessagesStayed("Redis did not answer. If it had taken the order, the list will show it: look again.")
    if moved.refused:
        full = "OOM" in moved.refused
        why = "Redis is full. Raise its maxmemory, or discard what nobody needs" if full else moved.refused[:200]
        raise MessagesStayed(f"Nothing was done: {why}.")
    if moved.stuck:
        raise MessagesStayed(
            "Nothing was put back: what is kept of it is not whole, or names no queue. It can only be discarded."
        )
    raise MessagesGone("Nothing was done: what you saw is not set aside any more. Somebody was faster.")


def _tell(verb: Verb, meant: Meant, moved: Moved, actor: Actor, reason: str) -> None:
    details: dict[str, object] = {"messages": moved.count}
    if not moved.answered:
        details["perhaps_more"] = "Redis stopped answering"
    try:
        record(verb.name, actor, subject_of(meant, moved.count), reason=reason, details=details)
    except DatabaseError:
        logger.exception("%s %s %s messages; the audit trail took no note.", actor.label, verb.name, moved.count)
        raise


def subject_of(meant: Meant, count: int | None = None) -> Subject:
    """What the trail calls them."""
    if meant.id:
        return Subject("message", meant.id, f"a message set aside, {meant.id[:8]}")
    number = "messages" if count is None else "1 message" if count == 1 else f"{count:,} messages"
    return Subject("messages", "all", f"{number} set aside")


def _rest(moved: Moved) -> str:
    if not moved.answered:
        return "Then Redis stopped answering: look again when it is back."
    if moved.refused:
        return f"Then Redis took no more ({moved.refused[:200]}); the rest is still here."
    if moved.further:
        return "That took long, so the rest is still here: press once more."
    if moved.stuck:
        return f"{moved.stuck:,} are not kept whole, or name no queue, and can only be discarded."
    return ""
