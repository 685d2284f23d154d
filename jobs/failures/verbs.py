"""The verbs on failure groups: put aside until a time, call it done, open it again, write a note.

Each changes the version that the person saw, in one conditional UPDATE; who comes second is told who was first.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from jobs.catalog.registry import job_title
from jobs.errors import JobsError
from jobs.ledger.audit import Actor, Subject, record
from jobs.ledger.verbs import NOTE_FAILURE, REOPEN_FAILURE, RESOLVE_FAILURE, SNOOZE_FAILURE, Verb, require
from jobs.models import FailureGroup, FailureNote

State = FailureGroup.State
LONGEST_NOTE = 2_000
#: Longer is not putting aside.
LONGEST_SNOOZE = timedelta(days=90)


class FailureGone(JobsError):
    """The group exists no more: its last run was pruned."""


class FailureDecided(JobsError):
    """Somebody else was faster, or it failed again."""


class InvalidSnooze(JobsError):
    """The time to wake is none, or lies too far away."""


class EmptyNote(JobsError):
    """Nothing was written."""


def snooze(pk: int, *, until: datetime, seen: int, actor: Actor, reason: str = "") -> FailureGroup:
    """Put a group aside until a time, or change that time. Its runs go on being counted.

    Args:
        seen: the version that the page showed.

    Raises:
        NotPermitted, FailureGone, FailureDecided, InvalidSnooze: nothing was changed.
    """
    group = _allowed(SNOOZE_FAILURE, pk, actor)
    now = timezone.now()
    if until <= now:
        raise InvalidSnooze("Nothing was changed: that time has passed. Choose a later one.")
    if until > now + LONGEST_SNOOZE:
        raise InvalidSnooze(f"Nothing was changed: choose a time within {LONGEST_SNOOZE.days} days, or resolve it.")
    values = {"state": State.SNOOZED, "snoozed_until": until}
    return _decide(SNOOZE_FAILURE, group, seen, {State.OPEN, State.SNOOZED}, actor, reason, values, until=str(until))


def resolve(pk: int, *, seen: int, actor: Actor, reason: str = "") -> FailureGroup:
    """Call a group done. A run that begins after this and fails again opens it as *regressed*.

    Raises:
        NotPermitted, FailureGone, FailureDecided: nothing was changed.
    """
    group = _allowed(RESOLVE_FAILURE, pk, actor)
    values = {"state": State.RESOLVED, "snoozed_until": None, "regressed_at": None}
    return _decide(RESOLVE_FAILURE, group, seen, {State.OPEN, State.SNOOZED}, actor, reason, values)


def reopen(pk: int, *, seen: int, actor: Actor, reason: str = "") -> FailureGroup:
    """Bring a snoozed or resolved group back.

    Raises:
        NotPermitted, FailureGone, FailureDecided: nothing was changed.
    """
    group = _allowed(REOPEN_FAILURE, pk, actor)
    values = {"state": State.OPEN, "snoozed_until": None}
    return _decide(REOPEN_FAILURE, group, seen, {State.SNOOZED, State.RESOLVED}, actor, reason, values)


def note(pk: int, text: str, *, actor: Actor) -> FailureNote:
    """Write something about a group, for whoever looks at it next.

    Raises:
        NotPermitted, FailureGone, EmptyNote: nothing was kept.
    """
    group = _allowed(NOTE_FAILURE, pk, actor)
    text = text.replace("\x00", "").strip()[:LONGEST_NOTE]
    if not text:
        raise EmptyNote("Nothing was kept: the note is empty.")
    with transaction.atomic():
        written = FailureNote.objects.create(group=group, actor_id=actor.id, actor_label=actor.label[:255], text=text)
        record(NOTE_FAILURE.name, actor, subject_of(group), reason=text[:500])
    return written


def subject_of(group: FailureGroup) -> Subject:
    """How the audit trail names a group."""
    return Subject("failure", str(group.pk), f"{group.error_type or 'Failure'} in {job_title(group.task_name)}")


def _allowed(verb: Verb, pk: int, actor: Actor) -> FailureGroup:
    group = FailureGroup.objects.filter(pk=pk).first()
    if group is None:
        raise FailureGone("Nothing was changed: this group exists no more, its last run was pruned.")
    require(verb, actor, subject_of(group))
    return group


def _decide(
    verb: Verb,
    group: FailureGroup,
    seen: int,
    possible: set[FailureGroup.State],
    actor: Actor,
    reason: str,
    values: dict[str, Any],
    **details: Any,
) -> FailureGroup:
    with transaction.atomic():
        changed = FailureGroup.objects.filter(pk=group.pk, version=seen, state__in=possible).update(
            **values, version=F("version") + 1, decided_at=timezone.now(), decided_by=actor.label[:255]
        )
        if changed:
            record(verb.name, actor, subject_of(group), reason=reason, details=details)
    after = FailureGroup.objects.filter(pk=group.pk).first()
    if after is None:
        raise FailureGone("Nothing was changed: this group exists no more, its last run was pruned.")
    if not changed:
        raise FailureDecided(f"Nothing was changed: {_what_happened(after)}")
    return after


def _what_happened(group: FailureGroup) -> str:
    """Who was first, and when."""
    now = timezone.now()
    if group.regressed_at is not None and group.state == State.OPEN and group.regressed_at > (group.decided_at or now):
        return f"it failed again {_ago(group.regressed_at, now)} and is open. Look at it once more."
    word = {State.OPEN: "opened", State.SNOOZED: "snoozed", State.RESOLVED: "resolved"}[State(group.state)]
    if group.decided_at is None:
        return f"it is {word} already."
    return f"already {word} by {group.decided_by} {_ago(group.decided_at, now)}."


def _ago(moment: datetime, now: datetime) -> str:
    seconds = max(int((now - moment).total_seconds()), 0)
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"
