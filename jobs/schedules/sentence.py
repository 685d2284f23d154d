"""A schedule's time as one sentence: `On weekdays at 06:30`, `Every 15 minutes from 07:00 to 18:59`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from itertools import pairwise, product
from zoneinfo import ZoneInfo

from jobs.text import in_zone

from .spec import Calendar, Every, Once, Spec

_DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
#: So many clock times are listed; more are told by minutes and hours.
MOST_TIMES = 4


def sentence(spec: Spec, zone: str = "") -> str:
    """The time in words; `zone` for a single moment, which has none of its own."""
    match spec:
        case Every():
            noun = spec.unit.value
            return f"Every {noun[:-1]}" if spec.count == 1 else f"Every {spec.count:,} {noun}"
        case Once():
            at = in_zone(spec.at, ZoneInfo(zone or "UTC"))
            return f"Once, on {day_words(at)} at {at:%H:%M}, {zone or 'UTC'}"
        case Calendar():
            return f"{calendar_words(spec)}, {spec.zone}"


def day_words(moment: datetime) -> str:
    """`Sun 22 Nov 2026`."""
    return f"{moment:%a} {moment.day} {moment:%b %Y}"


def calendar_words(calendar: Calendar) -> str:
    """The calendar without its zone."""
    cron = calendar.cron
    days = _day_words(calendar)
    minutes, hours = sorted(cron.minute), sorted(cron.hour)
    if len(minutes) * len(hours) <= MOST_TIMES:
        clocks = [f"{h:02}:{m:02}" for h, m in product(hours, minutes)]
        return f"{days or 'Every day'}{',' if ', if' in days else ''} at {listed(clocks)}"
    often = _often(minutes, hours)
    return f"{often} {days[0].lower()}{days[1:]}" if days else often


def _often(minutes: Sequence[int], hours: Sequence[int]) -> str:
    step = _step(minutes, 60)
    span = "" if len(hours) == 24 else _span(hours, last_minute=minutes[-1] if step is None else 59)
    if step is not None:
        return ("Every minute" if step == 1 else f"Every {step} minutes") + span
    at = f"at minute {minutes[0]}" if len(minutes) == 1 else f"at minutes {listed(minutes)}"
    if len(hours) == 24:
        return "Every hour" if minutes == [0] else f"Every hour {at}"
    by = _step(hours, 24)
    if by is not None:
        return f"Every {by} hours" + ("" if minutes == [0] else f" {at}") + ", from midnight"
    if len(minutes) == 1 and not span.startswith(" in"):
        return f"Every hour{span}" if minutes == [0] else f"Every hour {at}{span}"
    return f"{at[:1].upper()}{at[1:]}{span}"


def _step(numbers: Sequence[int], size: int) -> int | None:
    """`n` where the numbers are every n-th of `size`, beginning with 0."""
    if numbers[0] != 0 or len(numbers) < 2:
        return None
    step = numbers[1]
    return step if list(numbers) == list(range(0, size, step)) and size % step == 0 else None


def _span(hours: Sequence[int], last_minute: int) -> str:
    if len(hours) > 1 and all(b - a == 1 for a, b in pairwise(hours)):
        return f" from {hours[0]:02}:00 to {hours[-1]:02}:{last_minute:02}"
    if len(hours) == 1:
        return f" from {hours[0]:02}:00 to {hours[0]:02}:{last_minute:02}"
    return f" in the hours {listed([f'{h:02}' for h in hours])}"


def _day_words(calendar: Calendar) -> str:
    """`On weekdays`, `On the 1st and 15th of March`; "" for every day."""
    cron = calendar.cron
    week = _week(cron.day_of_week)
    month = "" if len(cron.month) == 12 else listed([MONTHS[m - 1] for m in sorted(cron.month)])
    days = sorted(cron.day_of_month)
    if len(days) == 31:
        words = f"On {week}" if week else "Every day" if month else ""
        return f"{words} in {month}" if month else words
    of = f" of {month}" if month else " of the month"
    words = f"On the {_ordinals(days)}{of}"
    return f"{words}, if it is {_one_of(cron.day_of_week)}" if week else words


def _week(days: Collection[int]) -> str:
    if len(days) == 7:
        return ""
    if set(days) == {1, 2, 3, 4, 5}:
        return "weekdays"
    return listed([f"{_DAYS[d]}s" for d in sorted(days, key=lambda d: d or 7)])


def _one_of(days: Collection[int]) -> str:
    if set(days) == {1, 2, 3, 4, 5}:
        return "a weekday"
    return "a " + " or a ".join(_DAYS[d] for d in sorted(days, key=lambda d: d or 7))


def _ordinals(days: Sequence[int]) -> str:
    if len(days) > 3 and all(b - a == 1 for a, b in pairwise(days)):
        return f"{_ordinal(days[0])} to {_ordinal(days[-1])}"
    return listed([_ordinal(day) for day in days])


def _ordinal(day: int) -> str:
    ending = "th" if 10 <= day % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{ending}"


def listed(words: Sequence[object]) -> str:
    """`1, 2 and 3`."""
    texts = [str(word) for word in words]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"
