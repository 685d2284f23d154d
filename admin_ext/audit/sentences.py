"""Audit events as sentences: actor, verb in the past, object, because "reason"."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlencode

from django.contrib.admin.utils import quote
from django.urls import NoReverseMatch, reverse

from admin_ext.parts.words import initials
from jobs.ledger.verbs import VERBS, done_words
from jobs.models import AuditEvent

_VIA = {"command": "from the command line", "schedule": "by a schedule", "system": "by the console itself"}


@dataclass(frozen=True, slots=True)
class Sentence:
    """One event in words.

    Attributes:
        verb: in the past; "was refused to" and the infinitive when it did not happen.
        href: the object's page; "" where it has none.
        note: the file, whose preset it replaced, what a refusal lacked, and where the act came from.
    """

    event: AuditEvent
    initials: str
    verb: str
    href: str
    note: str


def sentences(events: Iterable[AuditEvent]) -> tuple[Sentence, ...]:
    """The events in their order."""
    return tuple(_sentence(event) for event in events)


def _sentence(event: AuditEvent) -> Sentence:
    verb = VERBS.get(event.verb)
    denied = event.outcome == AuditEvent.Outcome.DENIED
    act = (verb and verb.infinitive) or event.verb.replace("_", " ")
    notes = [str(event.details.get("file", ""))]
    notes.append(f"replaced that of {event.details['replaced']}" if event.details.get("replaced") else "")
    notes.append(f"lacked {event.details['missing']}" if denied and event.details.get("missing") else "")
    notes.append(str(event.details.get("refused", "")).rstrip("."))
    notes.append(_answered(event))
    notes.append(_VIA.get(event.via, ""))
    if event.ip:
        notes.append(f"from {event.ip}")
    return Sentence(
        event=event,
        initials=initials(event.actor_label),
        verb=f"was refused to {act}:" if denied else done_words(event),
        href=_href(event),
        note=", ".join(note for note in notes if note),
    )


def _answered(event: AuditEvent) -> str:
    """What became of a command to workers; "" for any other act."""
    told = event.details
    if event.object_type != "worker" or "asked" not in told:
        return ""
    what = str(told.get("queue", "")) or (f"{told['slots']} slots" if "slots" in told else "")
    outcome = f"answered by {told['answered']} of {told['asked']}" if "answered" in told else "Redis did not take it"
    return f"{what}, {outcome}" if what else outcome


def _href(event: AuditEvent) -> str:
    try:
        return _address(event)
    except NoReverseMatch:  # of a job whose name no address can hold
        return ""


def _address(event: AuditEvent) -> str:
    if event.object_type == "run":
        return reverse("admin:jobs_run_change", args=[quote(event.object_id)])
    if event.object_type == "job":
        return reverse("admin:jobs_start", args=[event.object_id])
    if event.object_type == "queue":
        return f"{reverse('admin:jobs_queue')}?{urlencode({'name': event.object_id})}"
    if event.object_type == "worker":
        return f"{reverse('admin:jobs_worker')}?{urlencode({'name': event.object_id})}"
    if event.object_type == "failure" and event.object_id.isdigit():
        return reverse("admin:jobs_failuregroup_change", args=[event.object_id])
    if event.object_type == "schedule" and event.object_id.isdigit():
        return reverse("admin:django_celery_beat_periodictask_change", args=[event.object_id])
    return ""
