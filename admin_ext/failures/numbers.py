"""How often a group of failures fails: numbers that are links, and pictures of seven days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from admin_ext.parts.keyset import link
from admin_ext.parts.places import place
from admin_ext.parts.words import capped, clock
from jobs.failures.lists import HOUR_CAP, Pace

RUNS = "admin:jobs_run_changelist"


@dataclass(frozen=True, slots=True)
class Column:
    """One bar of a picture: `x` in per cent of its width, the others in its own units."""

    x: str
    y: str
    height: str


@dataclass(frozen=True, slots=True)
class Window:
    """A time back from now.

    Attributes:
        asked: what it adds to the address of a list of runs.
        words: the same for a reader.
    """

    asked: str
    words: str


@dataclass(frozen=True, slots=True)
class Number:
    """A count and the list that it counts."""

    text: str
    href: str
    since: str
    none: bool


def picture(numbers: Sequence[int], height: int) -> tuple[Column, ...]:
    """Bars of these numbers; what is not zero is at least two units high."""
    most = max(*numbers, 1)
    columns = []
    for at, number in enumerate(numbers):
        if number:
            tall = max(2.0, height * number / most)
            columns.append(Column(f"{100 * at / len(numbers):.2f}", f"{height - tall:.1f}", f"{tall:.1f}"))
    return tuple(columns)


def outline(numbers: Sequence[int], height: int, *, step: float, width: float) -> str:
    """The same bars as one path, each `width` wide and `step` from the next: a list draws fifty such pictures."""
    most = max(*numbers, 1)
    talls = [(at, max(2.0, height * number / most)) for at, number in enumerate(numbers) if number]
    return "".join(f"M{step * at:g} {height}v-{tall:.1f}h{width:g}v{tall:.1f}z" for at, tall in talls)


def runs_of(pk: int, **asked: object) -> str:
    """The list of the group's runs."""
    return place(RUNS) + link(group=pk, **asked)


def windows_of(pace: Pace) -> tuple[Window, ...]:
    """The last hour, 24 hours and 7 days as `pace` counts them; all paces of one moment have the same."""
    return (
        Window("&since=1h", "asked for in the last hour"),
        *(Window(f"&since={_since(at)}", f"asked for since {clock(at)}") for at in (pace.day_since, pace.week_since)),
    )


def numbers_of(pk: int, pace: Pace, windows: Sequence[Window] = ()) -> tuple[Number, ...]:
    """Of the last hour, 24 hours and 7 days, each with the list of those runs; a list gives `windows` once for all."""
    counts = ((pace.last_hour, capped(pace.last_hour, HOUR_CAP)), *((n, f"{n:,}") for n in (pace.day, pace.week)))
    address = f"{place(RUNS)}?group={pk}"
    return tuple(
        Number(text, address + window.asked, window.words, not count)
        for (count, text), window in zip(counts, windows or windows_of(pace), strict=True)
    )


def _since(at: datetime) -> str:
    return quote(at.strftime("%Y-%m-%dT%H:%MZ"), safe="")
