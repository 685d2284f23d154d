"""The verbs on facts that the recorder could not read: have them read again, or discard them.

What they change lies in Redis and the trail in the database, so no transaction holds both. The trail is told before
anything moves, and again with the true number; an end of which it could not be told stands in the log of the process.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from django.db import DatabaseError

from jobs.errors import JobsError
from jobs.fleet import dead_letters as fleet
from jobs.fleet.dead_letters import Moved, Which
from jobs.models import AuditEvent

from .audit import Actor, Subject, record
from .verbs import BEGIN_SETTLING, DISCARD_FACTS, REREAD_FACTS, Verb, require

logger = logging.getLogger(__name__)

#: One press moves for no longer than this.
_SECONDS = 5.0


class FactsGone(JobsError):
    """Nothing was there any more."""


class FactsStayed(JobsError):
    """Redis refused, or did not answer."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What came of it: `count` were moved; `rest` says in a sentence what was not, "" where all were."""

    count: int
    rest: str


def reread_facts(which: Which, *, actor: Actor, reason: str = "") -> Settled:
    """Put facts back for the recorder, oldest first; each goes back once. What it cannot read it sets aside anew.

    Args:
        which: with the newest id that the person has seen, so that nothing unseen is touched.

    Raises:
        NotPermitted: the actor may not; it is in the trail.
        FactsGone: somebody was faster; the text says who.
        FactsStayed: Redis is full or away.
    """
    return _settle(REREAD_FACTS, fleet.put_back, which, actor, reason)


def discard_facts(which: Which, *, actor: Actor, reason: str = "") -> Settled:
    """Remove facts for good: what they told of their runs is lost. Otherwise as `reread_facts`."""
    return _settle(DISCARD_FACTS, fleet.discard, which, actor, reason)


def _settle(verb: Verb, move: Callable[..., Moved], which: Which, actor: Actor, reason: str) -> Settled:
    if not which.until:
        raise ValueError("Say up to which fact.")
    require(verb, actor, subject_of(which))
    details = {"command": verb.name, "up_to": which.until}
    record(BEGIN_SETTLING.name, actor, subject_of(which), reason=reason, details=details)
    moved = _all(move, which)
    gone = not moved.count and moved.answered and not moved.refused and not moved.stuck
    faster = _who_was_faster(which) if gone else ""
    _tell(verb, which, moved, actor, reason)
    if gone:
        raise FactsGone(faster)
    if not moved.count and moved.stuck and moved.answered and not moved.refused:
        raise FactsStayed("Nothing was put back: it has more fields than any fact. It can only be discarded.")
    if not moved.count:
        raise FactsStayed(_why_not(moved))
    return Settled(moved.count, _rest(moved))


def _all(move: Callable[..., Moved], which: Which) -> Moved:
    ends = time.monotonic() + _SECONDS
    total = moved = move(which)
    while moved.further and moved.answered and not moved.refused and time.monotonic() < ends:
        moved = move(which, after=moved.further)
        total = replace(moved, count=total.count + moved.count, stuck=total.stuck + moved.stuck)
    return total


def _tell(verb: Verb, which: Which, moved: Moved, actor: Actor, reason: str) -> None:
    details = {"facts": moved.count, "up_to": which.until}
    if not moved.answered:
        details["perhaps_more"] = "Redis stopped answering"
    try:
        record(verb.name, actor, subject_of(which, moved.count), reason=reason, details=details)
    except DatabaseError:
        logger.exception(
            "%s %s %s facts up to %s; the audit trail took no note.", actor.label, verb.name, moved.count, which.until
        )
        raise


def subject_of(which: Which, count: int | None = None) -> Subject:
    """What the trail calls them."""
    if which.since and which.since == which.until:
        return Subject("fact", which.since, f"a fact set aside, {which.since}")
    kind = {None: "all", True: "newer", False: "damaged"}[which.newer]
    number = "facts" if count is None else "1 fact" if count == 1 else f"{count:,} facts"
    return Subject("facts", kind, f"{number} set aside")


def _who_was_faster(which: Which) -> str:
    verbs = {REREAD_FACTS.name: "read again", DISCARD_FACTS.name: "discarded"}
    done = AuditEvent.objects.filter(verb__in=verbs, outcome=AuditEvent.Outcome.DONE)
    last = done.exclude(details__facts=0).first()
    who = f" {last.actor_label} was the last to have facts {verbs[last.verb]}." if last else ""
    return f"Nothing was done: what you saw is not set aside any more.{who}"


def _why_not(moved: Moved) -> str:
    if "OOM" in moved.refused:
        return "Nothing was put back: Redis is full. Raise its maxmemory, or discard what nobody needs."
    if moved.refused:
        return f"Nothing was done: Redis refused it ({moved.refused[:200]})."
    return "Redis did not answer. If it had taken the order, the list will show it: look again when it is back."


def _rest(moved: Moved) -> str:
    if not moved.answered:
        return "Then Redis stopped answering: look again when it is back."
    if moved.refused:
        return f"Then Redis took no more ({moved.refused[:200]}); the rest is still here."
    if moved.further:
        return "That took long, so the rest is still here: press once more."
    if moved.stuck:
        return f"{moved.stuck:,} have more fields than any fact and can only be discarded."
    return ""
