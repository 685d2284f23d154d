"""A message in words, and as JSON: what has begun and what is over since the last one."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jobs.models import Alert

#: So many troubles of each kind are named in the text; JSON has MOST_LISTED of each.
MOST_NAMED, MOST_LISTED = 20, 100
LONGEST_SUBJECT, LONGEST_FACT = 150, 500
VERSION = 1


@dataclass(frozen=True, slots=True)
class Words:
    """One message, the same for every channel."""

    subject: str
    text: str
    payload: dict[str, Any]


def words(begun: Sequence[Alert], over: Sequence[Alert], *, place: str, console: str, at: datetime) -> Words:
    """The message of what has begun and what is over; at least one is.

    Args:
        place: the name of the environment.
        console: the console's address; without one there are no links.
    """
    lines = [*_named(begun, _begun, console), *_named(over, _over, console)]
    text = "\n\n".join([*lines, f"{place}: {console}" if console else f"Operations console, {place}"])
    payload = {
        "version": VERSION,
        "kind": "troubles",
        "environment": place,
        "at": at.isoformat(),
        "console": console,
        "text": _plain(text),
        "begun": [_told(one, console) for one in begun[:MOST_LISTED]],
        "solved": [_told(one, console) for one in over[:MOST_LISTED]],
        "begun_count": len(begun),
        "solved_count": len(over),
    }
    return Words(f"[{place}] {_headline(begun, over)}"[:LONGEST_SUBJECT], text, payload)


def words_of_test(*, place: str, console: str, at: datetime) -> Words:
    """A message that says only that messages arrive."""
    text = f"This is a test alert of the operations console, {place}. Nothing is wrong."
    text = f"{text}\n\n{console}" if console else text
    payload = words([], [], place=place, console=console, at=at).payload | {"kind": "test", "text": _plain(text)}
    return Words(f"[{place}] Test alert"[:LONGEST_SUBJECT], text, payload)


def clean(text: str, longest: int = LONGEST_FACT) -> str:
    """On one line and without what is no character: names come from outside."""
    shown = "".join(one if unicodedata.category(one)[0] != "C" else " " for one in text)
    shown = " ".join(shown.split())
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


def _plain(text: str) -> str:
    """Receivers such as Slack read <…> as a mention or a link; a name from outside must not make one."""
    return text.replace("<", "\u2039").replace(">", "\u203a")


def lasted(seconds: float) -> str:
    """`12 s`, `12 min`, `2 h 5 min`, `3 d 4 h`."""
    whole = max(round(seconds), 0)
    for size, unit, smaller, small in ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 60, "")):
        if whole >= size:
            rest = whole % size // smaller if small else 0
            return f"{whole // size} {unit}" + (f" {rest} {small}" if rest else "")
    return f"{whole} s"


def _headline(begun: Sequence[Alert], over: Sequence[Alert]) -> str:
    if len(begun) == 1 and not over:
        return begun[0].fact
    if len(over) == 1 and not begun:
        return _over(over[0])
    parts = [f"{len(begun)} {'trouble' if len(begun) == 1 else 'troubles'}"] if begun else []
    return ", ".join([*parts, f"{len(over)} solved"] if over else parts)


def _named(found: Sequence[Alert], sentence: Any, console: str) -> list[str]:
    named = [
        f"{sentence(one)}\n{console}{one.href}" if console and one.href else sentence(one) for one in found[:MOST_NAMED]
    ]
    left = len(found) - len(named)
    return [*named, f"and {left} more"] if left > 0 else named


def _begun(one: Alert) -> str:
    return f"{one.fact} {one.more}".strip()


def _over(one: Alert) -> str:
    return f"Solved: {one.fact} After {lasted(_seconds(one))}."


def _seconds(one: Alert) -> float:
    return ((one.gone_since or one.looked_at) - one.since).total_seconds()


def _told(one: Alert, console: str) -> dict[str, Any]:
    told: dict[str, Any] = {"key": one.key, "tone": one.tone, "fact": one.fact, "more": one.more}
    told |= {"since": one.since.isoformat(), "url": f"{console}{one.href}" if console and one.href else ""}
    return told if one.gone_since is None else {**told, "lasted_seconds": round(_seconds(one))}
