"""What an address asks of the audit trail: person, act, object, period, outcome; all in the URL, all checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta

from django.utils import timezone

from admin_ext.parts.keyset import link
from jobs.ledger.audit_trail import NOBODY, AuditQuery
from jobs.ledger.people import key_from
from jobs.ledger.verbs import VERBS

#: Parameters of the address, besides the position.
NAMES = ("who", "verb", "object", "q", "since", "from", "to", "outcome")
#: `since=` in words; None: since midnight.
PERIODS: dict[str, tuple[str, timedelta | None]] = {
    "today": ("Today", None),
    "24h": ("Last 24 hours", timedelta(hours=24)),
    "7d": ("Last 7 days", timedelta(days=7)),
    "30d": ("Last 30 days", timedelta(days=30)),
}
CONSOLE = "console"
REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class AuditAsked:
    """The parameters of the address, as given. `problem` says which of them makes no sense."""

    given: Mapping[str, str] = field(default_factory=dict)
    query: AuditQuery = field(default_factory=AuditQuery)
    problem: str = ""

    @classmethod
    def of(cls, parameters: Mapping[str, str], viewer_key: str | None) -> AuditAsked:
        """Read and check them."""
        texts = {name: parameters.get(name, "").replace("\0", "").strip()[:255] for name in NAMES}
        given = {name: text for name, text in texts.items() if text}
        try:
            return cls(given, _query(given, viewer_key))
        except ValueError as error:
            return cls(given, AuditQuery(), str(error))

    def link(self, **changes: object) -> str:
        """The address of this view with some parameters changed, from its top."""
        return link(**{**self.given, **changes})

    def filters(self, people: Mapping[str, str]) -> list[tuple[str, str]]:
        """Each filter in words, with the address of the view without it."""
        return [(_words(name, text, people), self.link(**{name: ""})) for name, text in self.given.items()]


def _words(name: str, text: str, people: Mapping[str, str]) -> str:
    if name == "who":
        named = {"me": "you", CONSOLE: "the console itself"}
        return f"by {named.get(text) or people.get(key_from(text)) or f'user {text}'}"
    if name == "verb":
        return f"act “{VERBS[text].past}”"
    if name == "since":
        return PERIODS[text][0].lower()
    if name == "outcome":
        return "only what was refused"
    return {"object": "object", "q": "name or id", "from": "from", "to": "to"}[name] + f" {text.replace(':', ' ', 1)}"


def _query(given: Mapping[str, str], viewer_key: str | None) -> AuditQuery:
    """What to read; raises ValueError with a sentence."""
    who = given.get("who", "")
    people = {"": None, "me": viewer_key, CONSOLE: NOBODY}
    verb = given.get("verb", "")
    if verb and verb not in VERBS:
        raise ValueError(f"No act is called “{verb}”.")
    outcome = given.get("outcome", "")
    if outcome not in ("", REFUSED):
        raise ValueError(f"outcome={outcome} is not known; {REFUSED} shows what was refused.")
    kind, _, key = given.get("object", "").partition(":")
    since, until = _period(given)
    return AuditQuery(
        actor_id=people[who] if who in people else key_from(who),
        verb=verb,
        object_type=kind,
        object_id=key,
        text=given.get("q", ""),
        since=since,
        until=until,
        refused=bool(outcome),
    )


def _period(given: Mapping[str, str]) -> tuple[datetime | None, datetime | None]:
    now, since, until = timezone.now(), None, None
    if preset := given.get("since", ""):
        if preset not in PERIODS:
            raise ValueError(f"since={preset} is not known; it is one of {', '.join(PERIODS)}.")
        length = PERIODS[preset][1]
        since = now - length if length else _midnight(timezone.localdate(now))
    if given.get("from"):
        first = _midnight(_date(given["from"]))
        since = max(since, first) if since else first
    if given.get("to"):
        until = _midnight(_date(given["to"]) + timedelta(days=1))
    if since and until and since >= until:
        raise ValueError("The period ends before it begins.")
    return since, until


def _date(text: str) -> date:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"“{text}” is no date; write it as 2026-09-30.") from None
    if not 2000 <= found.year <= 9000:
        raise ValueError(f"“{text}” lies outside of the trail; it begins in this century.")
    return found


def _midnight(on: date) -> datetime:
    return timezone.make_aware(datetime.combine(on, time()))
