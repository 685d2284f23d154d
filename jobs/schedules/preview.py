"""What a schedule will do: its sentence and the next moments, each in its zone and in UTC, with what the clocks do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from zoneinfo import ZoneInfo

from django.conf import settings

from .moments import Occurrence, Plan, Twist
from .sentence import day_words, sentence
from .spec import Calendar

#: So many moments are foretold.
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Foretold:
    """One moment to come.

    Attributes:
        local: in the schedule's zone.
        note: what the clocks do to it; "" on an ordinary day.
    """

    at: datetime
    local: datetime
    note: str

    @property
    def day(self) -> str:
        return day_words(self.local)

    @property
    def clock(self) -> str:
        """`06:30 EET`, with seconds where it has some."""
        return f"{_clock(self.local)} {self.local.tzname()}"

    @property
    def utc(self) -> str:
        """`04:30 UTC`, with the day where it is another."""
        utc = self.at.astimezone(UTC)
        day = "" if utc.date() == self.local.date() else f"{utc:%a} "
        return f"{day}{_clock(utc)} UTC"


@dataclass(frozen=True, slots=True)
class Preview:
    """What a schedule will do; `moments` is empty where it never fires again."""

    sentence: str
    zone: str
    moments: tuple[Foretold, ...]


def zone_of(plan: Plan) -> str:
    """The zone in which a schedule's moments are told: its own, else the console's."""
    return plan.spec.zone if isinstance(plan.spec, Calendar) else str(settings.TIME_ZONE)


def preview(plan: Plan, now: datetime, *, zone: str = "", shown: int = SHOWN) -> Preview:
    """The sentence and the next moments; `zone` where the plan has none of its own. The search is bounded."""
    zone = zone_of(plan) if isinstance(plan.spec, Calendar) or not zone else zone
    tz = ZoneInfo(zone)
    moments = tuple(foretold(one, tz) for one in islice(plan.after(now), shown))
    return Preview(sentence(plan.spec, zone), zone, moments)


def foretold(occurrence: Occurrence, tz: ZoneInfo) -> Foretold:
    """One moment as it is told."""
    local = occurrence.at.astimezone(tz)
    return Foretold(occurrence.at, local, _note(occurrence, local))


def _note(occurrence: Occurrence, local: datetime) -> str:
    asked = occurrence.asked
    match occurrence.twist if asked else Twist.NONE:
        case Twist.GAP:
            day = f"{asked.day} {asked:%b}" if asked else ""
            return f"{asked:%H:%M} does not exist on {day}, because clocks go forward. It runs at {local:%H:%M}."
        case Twist.FIRST:
            return f"{asked:%H:%M} comes twice, because clocks go back. It runs once, at the first."
        case Twist.BOTH:
            return f"{asked:%H:%M} comes twice, because clocks go back. It runs at both."
    return ""


def _clock(moment: datetime) -> str:
    return f"{moment:%H:%M:%S}" if moment.second else f"{moment:%H:%M}"
