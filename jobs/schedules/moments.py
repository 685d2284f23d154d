"""The moments at which a schedule fires: one computation for every beat and for what a page foretells.

Daylight saving: a calendar schedule with fixed hours whose local time does not exist fires at the first valid minute
after; one whose local time comes twice fires at the first. One with `*` in hour or minute fires at each elapsed
occurrence. An interval counts elapsed time from its anchor, never from the epoch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from itertools import product
from zoneinfo import ZoneInfo

from .spec import HORIZON, Calendar, Every, Once, Spec

_MINUTE, _DAY = timedelta(minutes=1), timedelta(days=1)
#: Beyond this no moment is looked for.
FARTHEST = 5 * HORIZON
#: Between these every zone has a clock, and a moment may be looked for; whoever says another year means none of them.
_EARLIEST, _LATEST = datetime(2, 1, 1, tzinfo=UTC), datetime(9950, 1, 1, tzinfo=UTC)


class Twist(StrEnum):
    """What the clocks do to a moment."""

    NONE = ""
    #: The local time asked for does not exist on that day.
    GAP = "gap"
    #: The local time comes twice, and the schedule fires at the first.
    FIRST = "first"
    #: The local time comes twice, and the schedule fires at both.
    BOTH = "both"


@dataclass(frozen=True, slots=True, order=True)
class Occurrence:
    """One moment; `asked` is the local time that the calendar names, None where none does."""

    at: datetime
    asked: datetime | None = None
    twist: Twist = Twist.NONE


@dataclass(frozen=True, slots=True)
class Plan:
    """All that decides when a schedule fires.

    Attributes:
        anchor: what intervals count from. It is itself a moment only where it is the start that a person asked for.
        start: no moment before it; `until`: none from it on.
    """

    spec: Spec
    anchor: datetime
    start: datetime | None = None
    until: datetime | None = None

    @property
    def first(self) -> int:
        """The number of an interval's first moment, counted from its anchor."""
        return 1 if self.start is None else 0

    def after(self, moment: datetime) -> Iterator[Occurrence]:
        """The moments after `moment`, in their order; they end where none is found within FARTHEST."""
        if self.start is not None and moment < self.start:
            moment = max(self.start, _EARLIEST) - timedelta(microseconds=1)
        for occurrence in _occurrences(self, min(max(moment.astimezone(UTC), _EARLIEST), _LATEST)):
            if self.until is not None and occurrence.at >= self.until:
                return
            yield occurrence

    def next_after(self, moment: datetime) -> datetime | None:
        found = next(self.after(moment), None)
        return found.at if found else None

    def latest(self, now: datetime, *, since: datetime) -> datetime | None:
        """The last moment at or before `now` and after `since`; None where there is none."""
        if isinstance(self.spec, Every):
            passed = (now - self.anchor) // self.spec.length
            at = (self.anchor + self.spec.length * passed).astimezone(UTC)
            return at if passed >= self.first and at > since and (self.start is None or at >= self.start) else None
        found = None
        for occurrence in self.after(since):
            if occurrence.at > now:
                break
            found = occurrence.at
        return found


def _occurrences(plan: Plan, after: datetime) -> Iterator[Occurrence]:
    spec = plan.spec
    match spec:
        case Once():
            return iter([Occurrence(spec.at)] if spec.at > after else [])
        case Every():
            return _intervals(spec, plan.anchor.astimezone(UTC), after, plan.first)
        case Calendar():
            return _elapsed(spec, after) if spec.elapsed else _fixed(spec, after)


def _intervals(every: Every, anchor: datetime, after: datetime, first: int) -> Iterator[Occurrence]:
    step = every.length
    number = max((after - anchor) // step + 1, first)
    try:
        while True:
            yield Occurrence(anchor + step * number)
            number += 1
    except OverflowError:
        return


def _fixed(calendar: Calendar, after: datetime) -> Iterator[Occurrence]:
    """Fixed hours: each local time of each fitting day once."""
    times = sorted(time(h, m) for h, m in product(calendar.cron.hour, calendar.cron.minute))
    last = after
    # A day earlier: a time that does not exist just before midnight fires on the next day.
    for day in _days(calendar, after.astimezone(calendar.tz).date() - _DAY, after):
        for clock in times:
            found = _local(datetime.combine(day, clock), calendar.tz)
            if found.at > last:
                last = found.at
                yield found


def _days(calendar: Calendar, first: date, after: datetime) -> Iterator[date]:
    cron = calendar.cron
    day, end = first, (after + FARTHEST).date()
    while day <= end:
        if day.month not in cron.month:
            day = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
            continue
        if day.day in cron.day_of_month and day.isoweekday() % 7 in cron.day_of_week:
            yield day
        day += _DAY


def _local(asked: datetime, tz: ZoneInfo) -> Occurrence:
    """The moment of a local time: the first of two, the first valid minute after one that does not exist."""
    first, second = (asked.replace(tzinfo=tz, fold=fold) for fold in (0, 1))
    before, behind = first.utcoffset(), second.utcoffset()
    if before == behind or before is None or behind is None:
        return Occurrence(first.astimezone(UTC), asked)
    if before > behind:
        return Occurrence(first.astimezone(UTC), asked, Twist.FIRST)
    # In the gap the later offset lands before the change and the earlier one at or after it.
    low, high = second.astimezone(UTC), first.astimezone(UTC)
    while high - low > _MINUTE:
        middle = low + (high - low) // 2 // _MINUTE * _MINUTE
        if middle.astimezone(tz).utcoffset() == behind:
            high = middle
        else:
            low = middle
    return Occurrence(high, asked, Twist.GAP)


def _elapsed(calendar: Calendar, after: datetime) -> Iterator[Occurrence]:
    """`*` in hour or minute: every minute that passes and fits, looked for by leaps over what cannot fit."""
    cron, tz = calendar.cron, calendar.tz
    minutes = sorted(cron.minute)
    at, end = after.replace(second=0, microsecond=0) + _MINUTE, after + FARTHEST
    while at <= end:
        local = at.astimezone(tz)
        fits = (
            local.month in cron.month and local.day in cron.day_of_month and local.isoweekday() % 7 in cron.day_of_week
        )
        if not fits:
            at = max(_midnight(calendar, local.date(), after), at + _MINUTE)
        elif local.hour not in cron.hour:
            at += timedelta(minutes=60 - local.minute)
        elif local.minute not in cron.minute:
            later = next((m for m in minutes if m > local.minute), 60)
            at += timedelta(minutes=later - local.minute)
        else:
            naive = local.replace(tzinfo=None)
            other = local.replace(fold=1 - local.fold)
            twice = local.utcoffset() != other.utcoffset()
            yield Occurrence(at, naive.replace(fold=0), Twist.BOTH if twice else Twist.NONE)
            at += _MINUTE


def _midnight(calendar: Calendar, day: date, after: datetime) -> datetime:
    """The first moment of the next fitting day after `day`; far away when there is none."""
    following = next(_days(calendar, day + _DAY, after), None)
    if following is None:
        return datetime.max.replace(tzinfo=UTC)
    return _local(datetime.combine(following, time(0)), calendar.tz).at
