"""The audit list: everything that the page shows of the acts that its address asks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from itertools import groupby
from typing import Any

from django.utils import timezone

from admin_ext.parts.chips import Pill
from admin_ext.parts.keyset import PER_PAGE, NotAPosition, Position, link
from admin_ext.parts.words import exact, local_time, plural, value
from jobs.ledger.audit_trail import audit_slice
from jobs.ledger.people import staff_names
from jobs.ledger.readable import Withheld, readable_events
from jobs.ledger.redaction import redact_said
from jobs.ledger.slices import Slice
from jobs.ledger.verbs import VERBS
from jobs.models import AuditEvent

from .filters import CONSOLE, PERIODS, REFUSED, AuditAsked
from .sentences import Sentence, sentences


@dataclass(frozen=True, slots=True)
class Act:
    """One act: its sentence, and what unfolds beneath.

    Attributes:
        time: by the clock, beneath the words of its day.
        facts: label and text, without secrets.
        of_object, by_actor: the lists of everything done to the same object and by the same person.
    """

    sentence: Sentence
    time: str
    exact: str
    facts: tuple[tuple[str, str], ...]
    of_object: str
    by_actor: str


@dataclass(frozen=True, slots=True)
class Choices:
    """What the list can be narrowed by; `kept` are the filters that its form has no field for."""

    pills: tuple[Pill, ...]
    people: tuple[tuple[str, str], ...]
    verbs: tuple[tuple[str, str], ...]
    periods: tuple[tuple[str, str], ...]
    kept: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class AuditListPage:
    """Everything that the audit list shows.

    Attributes:
        days: the acts under the words of their day.
        filters: what narrows the list, each with the address without it.
        further: why the page ended before it was full; "" when it did not.
    """

    asked: AuditAsked
    choices: Choices
    days: tuple[tuple[str, tuple[Act, ...]], ...] = ()
    filters: tuple[tuple[str, str], ...] = ()
    newest: AuditEvent | None = None
    oldest: AuditEvent | None = None
    newer: str = ""
    older: str = ""
    further: str = ""


def audit_list_page(parameters: Mapping[str, str], viewer_key: str | None, withheld: Withheld) -> AuditListPage:
    """Read the list that the address asks for. Three queries at most, four when a page of newer acts is empty."""
    asked = AuditAsked.of(parameters, viewer_key)
    try:
        position = Position.of(parameters)
    except NotAPosition:
        asked = replace(asked, problem="The address names a position in the list that does not exist.")
    people = staff_names()
    choices = _choices(asked, people)
    if asked.problem:
        return AuditListPage(asked, choices)
    found = audit_slice(asked.query, before=position.before, after=position.after, limit=PER_PAGE)
    if not found.rows and position.after is not None and found.newer is None:
        found = audit_slice(asked.query, limit=PER_PAGE)
    return AuditListPage(
        asked,
        choices,
        _days(sentences(readable_events(found.rows, withheld))),
        filters=tuple(asked.filters(people)),
        newest=found.rows[0] if found.rows else None,
        oldest=found.rows[-1] if found.rows else None,
        newer=asked.link(after=found.newer) if found.newer is not None else "",
        older=asked.link(before=found.older) if found.older is not None else "",
        further=_further(found),
    )


def _further(found: Slice[AuditEvent]) -> str:
    if found.looked_at is None:
        return ""
    way = "Newer" if found.older is not None and found.newer is not None and not found.rows else "Older"
    return f"Looked at {plural(found.looked_at, 'act')}; {way} looks further."


def _days(lines: Iterable[Sentence]) -> tuple[tuple[str, tuple[Act, ...]], ...]:
    grouped = groupby(lines, lambda line: local_time(line.event.at).date())
    return tuple((day_words(on), tuple(_act(line) for line in of)) for on, of in grouped)


def day_words(on: date) -> str:
    """`Today, Tuesday 6 October`; with the year when it is another."""
    today = timezone.localdate()
    near = {0: "Today, ", 1: "Yesterday, "}.get((today - on).days, "")
    return f"{near}{on:%A} {on.day} {on:%B}" + (f" {on.year}" if on.year != today.year else "")


def _act(line: Sentence) -> Act:
    event = line.event
    verb = VERBS.get(event.verb)
    denied = event.outcome == AuditEvent.Outcome.DENIED
    details = redact_said({name: told for name, told in event.details.items() if name not in ("file", "missing")})
    facts = [
        ("Act", event.verb),
        ("Object", f"{event.object_type} {event.object_id}"),
        ("Person", f"user {event.actor_id}" if event.actor_id is not None else "nobody: the console itself"),
        ("Came", f"{event.via}, from {event.ip}" if event.ip else f"{event.via}, address not known"),
        ("Refused", verb.sentence if denied and verb else ""),
        *((name.replace("_", " ").capitalize(), _words(told)) for name, told in details.items()),
    ]
    return Act(
        sentence=line,
        time=f"{local_time(event.at):%H:%M:%S}",
        exact=exact(event.at),
        facts=tuple((label, text) for label, text in facts if text),
        of_object=link(object=f"{event.object_type}:{event.object_id}"),
        by_actor=link(who=CONSOLE if event.actor_id is None else event.actor_id),
    )


def _words(told: Any) -> str:
    """A value of an act's details: lists and mappings one entry a line, numbers with their marks."""
    if isinstance(told, dict):
        return "\n".join(f"{name.replace('_', ' ')}: {_words(one)}" for name, one in told.items()) or "none"
    if isinstance(told, list):
        return "\n".join(map(_words, told)) or "none"
    return f"{told:,}" if isinstance(told, int) and not isinstance(told, bool) else value(told)


def _pills(asked: AuditAsked) -> tuple[Pill, ...]:
    given = asked.given
    pills = [Pill("Everything", "?", current=not given)]
    for word, icon, name, text in (
        ("By you", "person", "who", "me"),
        ("By the console itself", "smart_toy", "who", CONSOLE),
        ("Refused", "block", "outcome", REFUSED),
    ):
        current = given.get(name) == text
        pills.append(Pill(word, asked.link(**{name: "" if current else text}), current=current, icon=icon))
    if "object" in given:
        kind, _, key = given["object"].partition(":")
        pills.append(Pill(f"Only {kind} {key[:8]}".rstrip(), asked.link(object=""), current=True, icon="close"))
    return tuple(pills)


def _choices(asked: AuditAsked, people: Mapping[str, str]) -> Choices:
    named = {"me": "You", CONSOLE: "The console itself"} | dict(people)
    if who := asked.given.get("who"):
        named.setdefault(who, f"user {who}")
    return Choices(
        pills=_pills(asked),
        people=tuple(named.items()),
        verbs=tuple((verb.name, verb.past[0].upper() + verb.past[1:]) for verb in VERBS.values()),
        periods=tuple((name, words) for name, (words, _) in PERIODS.items()),
        kept=tuple((name, asked.given[name]) for name in ("object", "outcome") if name in asked.given),
    )
