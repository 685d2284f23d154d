"""How often a group of failures fails: numbers that are links, and pictures of seven days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse

from admin_ext.parts.keyset import link
from admin_ext.parts.words import capped, clock
from jobs.failures.lists import CAP, Pace


@dataclass(frozen=True, slots=True)
class Column:
    """One bar of a picture: `x` in per cent of its width, the others in its own units."""

    x: str
    y: str
    height: str


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


def runs_of(pk: int, **asked: object) -> str:
    """The list of the group's runs."""
    return reverse("admin:jobs_run_changelist") + link(group=pk, **asked)


def numbers_of(pk: int, pace: Pace) -> tuple[Number, ...]:
    """Of the last hour, 24 hours and 7 days, each with the list of those runs."""
    return (
        Number(capped(pace.last_hour, CAP), runs_of(pk, since="1h"), "asked for in the last hour", not pace.last_hour),
        *(
            Number(f"{n:,}", runs_of(pk, since=_since(at)), f"asked for since {clock(at)}", not n)
            for n, at in ((pace.day, pace.day_since), (pace.week, pace.week_since))
        ),
    )


def _since(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%MZ")
