"""When a schedule fires, as a person asks for it: every so often, by the calendar, once. What cannot be is refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache, cached_property
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from celery.schedules import ParseException, crontab

from jobs.errors import JobsError

#: A schedule that has no moment within so long is refused: nobody means it.
HORIZON = timedelta(days=5 * 366)
LONGEST_EVERY = timedelta(days=5 * 366)


class InvalidSchedule(JobsError):
    """What was asked for cannot be kept: one sentence for each field; "" holds what belongs to none."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self.fields = dict(fields)
        super().__init__(" ".join(fields.values()))


class BrokenSchedule(JobsError):
    """A stored schedule cannot fire; the text says why and what to do."""


class Unit(StrEnum):
    SECONDS = "seconds"
    MINUTES = "minutes"
    HOURS = "hours"
    DAYS = "days"
    #: Rows made elsewhere may count in these; the form does not offer them.
    MICROSECONDS = "microseconds"


@dataclass(frozen=True, slots=True)
class Every:
    """Every so many units of elapsed time, counted from the schedule's anchor."""

    count: int
    unit: Unit

    @property
    def length(self) -> timedelta:
        return timedelta(**{self.unit.value: self.count})


@dataclass(frozen=True, slots=True)
class Numbers:
    """What the five fields stand for, as Celery reads them; Sunday is 0."""

    minute: frozenset[int]
    hour: frozenset[int]
    day_of_month: frozenset[int]
    month: frozenset[int]
    day_of_week: frozenset[int]


@dataclass(frozen=True)
class Calendar:
    """Five cron fields in a zone. Celery's meaning: a day must fit both the day of the month and of the week."""

    minute: str = "*"
    hour: str = "*"
    day_of_month: str = "*"
    month: str = "*"
    day_of_week: str = "*"
    zone: str = "UTC"

    @cached_property
    def tz(self) -> ZoneInfo:
        return ZoneInfo(self.zone)

    @cached_property
    def cron(self) -> Numbers:
        """Celery's own reading of the fields; raises what Celery raises for those that cannot be."""
        cron: Any = crontab(self.minute, self.hour, self.day_of_week, self.day_of_month, self.month)
        sets = (cron.minute, cron.hour, cron.day_of_month, cron.month_of_year, cron.day_of_week)
        return Numbers(*map(frozenset, sets))

    @property
    def text(self) -> str:
        """The five fields in cron's order."""
        return f"{self.minute} {self.hour} {self.day_of_month} {self.month} {self.day_of_week}"

    @property
    def elapsed(self) -> bool:
        """Whether it counts elapsed time, as cron does for `*` in hour or minute: of two equal hours it takes both."""
        return self.minute.startswith("*") or self.hour.startswith("*")


@dataclass(frozen=True, slots=True)
class Once:
    """A single moment."""

    at: datetime


Spec = Every | Calendar | Once


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    noun: str
    low: int
    high: int
    longest: int


_FIELDS = (
    _Field("minute", "minute", 0, 59, 240),
    _Field("hour", "hour", 0, 23, 96),
    _Field("day_of_month", "day of the month", 1, 31, 124),
    _Field("month", "month", 1, 12, 64),
    _Field("day_of_week", "day of the week", 0, 6, 64),
)
_LONGEST = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}
_NO_SUCH_DAY = "There is no such day: none of these months has it."
_NOT_UNDERSTOOD = "These five fields are not understood."
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_NUMBER = r"[a-z]+|\d{1,3}"
_PART = re.compile(
    rf"(?:(?P<star>\*)|(?P<first>{_NUMBER})(?:-(?P<last>{_NUMBER}))?)(?:/(?P<step>\d{{1,3}}))?", re.ASCII
)


def calendar_of(text: str, zone: str) -> Calendar:
    """The calendar that five cron fields ask for, in the words that Celery takes; raises InvalidSchedule for `cron`."""
    parts = text.lower().split()
    if len(parts) != len(_FIELDS):
        wanted = "Write five fields: minute, hour, day of the month, month, day of the week."
        raise InvalidSchedule({"cron": f"{wanted} These are {len(parts)}."})
    values: dict[str, str] = {}
    for field, part in zip(_FIELDS, parts, strict=True):
        try:
            values[field.name] = _settled(field, part)
        except ValueError as error:
            raise InvalidSchedule({"cron": f"{field.noun.capitalize()}: {error}"}) from None
    return checked_calendar(Calendar(**values, zone=zone), "cron")


def checked_calendar(calendar: Calendar, field: str) -> Calendar:
    """The calendar itself, when Celery takes it; raises InvalidSchedule for `field` or `zone`."""
    if calendar.zone not in zones():
        raise InvalidSchedule({"zone": "Choose a zone of the list, such as Europe/Vilnius."})
    try:
        _ = calendar.cron
    except (ValueError, ParseException, TypeError, IndexError) as error:
        raise InvalidSchedule({field: _NO_SUCH_DAY if "never occurs" in str(error) else _NOT_UNDERSTOOD}) from None
    if all(min(calendar.cron.day_of_month) > _LONGEST.get(month, 31) for month in calendar.cron.month):
        raise InvalidSchedule({field: _NO_SUCH_DAY})  # Celery says so from 5.7 on
    return calendar


def _settled(field: _Field, text: str) -> str:
    """The field as Celery and the database take it; raises ValueError with a sentence."""
    written = []
    for part in text.split(","):
        found = _PART.fullmatch(part)
        if found is None:
            raise ValueError(f"“{part[:40]}” is not understood. Use *, 5, 1-5, */15 or 1,15.")
        low = _number(field, found["first"]) if found["first"] else field.low
        high = _number(field, found["last"]) if found["last"] else field.high if found["star"] else low
        if found["step"]:
            _check_step(field, part, found, low, high)
        if found["star"]:
            written.append(part)
        elif field.name == "day_of_week" and 7 in (low, high):
            written += _with_sunday(low, high, int(found["step"] or 1))
        else:
            written.append(
                str(low) + (f"-{high}" if found["last"] else "") + (f"/{found['step']}" if found["step"] else "")
            )
    settled = ",".join(dict.fromkeys(written))
    if len(settled) > field.longest:
        raise ValueError(f"It is longer than the {field.longest} characters that can be kept.")
    return settled


def _with_sunday(low: int, high: int, step: int) -> list[str]:
    """Celery knows no day 7; elsewhere it is Sunday."""
    first = 0 if low == 7 > high else low
    return [str(number % 7) for number in range(first, high + 1, step)]


def _number(field: _Field, word: str) -> int:
    names = {"month": (_MONTHS, 1), "day_of_week": (_DAYS, 0)}.get(field.name)
    if not word.isdigit():
        if names is None or word[:3] not in names[0]:
            raise ValueError(f"“{word[:20]}” is no {field.noun}. Use {field.low} to {field.high}.")
        return names[0].index(word[:3]) + names[1]
    number, highest = int(word), 7 if field.name == "day_of_week" else field.high
    if not field.low <= number <= highest:
        raise ValueError(f"{number} is no {field.noun}. Use {field.low} to {field.high}.")
    return number


def _check_step(field: _Field, part: str, found: re.Match[str], low: int, high: int) -> None:
    step = int(found["step"])
    if not step:
        raise ValueError(f"“{part}” has a step of 0. Use 1 or more.")
    if not found["star"] and not found["last"]:
        raise ValueError(f"“{part}” is not understood. Write a range before the step, such as 0-30/5.")
    if found["star"] and step > (field.high - field.low + 1) / 2:
        meant = ",".join(str(n) for n in range(low, high + 1, step))
        raise ValueError(f"“{part}” is not every {step}: it means only {meant}. Write {meant} if you mean that.")


def every_of(count: int, unit: Unit) -> Every:
    """An interval that can be; raises InvalidSchedule for `count`."""
    if count < 1:
        raise InvalidSchedule({"count": "Enter 1 or more."})
    try:
        every = Every(count, unit)
        longest = every.length > LONGEST_EVERY
    except OverflowError:
        longest = True
    if longest:
        raise InvalidSchedule({"count": "This is longer than five years. Choose Once, or a calendar."})
    if every.length < timedelta(seconds=1):
        raise InvalidSchedule({"count": "A schedule fires at most once a second."})
    return every


def once_at(at: datetime, now: datetime) -> Once:
    """A moment to come; raises InvalidSchedule for `at`."""
    if at <= now:
        raise InvalidSchedule({"at": "This moment has passed. Choose one to come, or press Run now."})
    if at > now + HORIZON:
        raise InvalidSchedule({"at": "This is more than five years away. Choose a moment within five years."})
    return Once(at.astimezone(UTC))


@cache
def zones() -> frozenset[str]:
    """Every zone that can be chosen, by IANA name; `Factory` and `localtime` are none."""
    return frozenset(available_timezones() - {"Factory", "localtime"})
