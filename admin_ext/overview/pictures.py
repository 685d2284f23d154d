"""The small pictures of the Overview: the day or the hour behind a number, and the runs that are planned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from admin_ext.failures.numbers import Column, picture
from admin_ext.parts.chart import Mark, Spark, line_spark
from jobs.fleet.beacon import Beacon
from jobs.fleet.samples import Series
from jobs.fleet.vitals import TREND_POINTS, read_busy
from jobs.schedules.planned import Planned

#: The picture of the next 24 hours has a bar for each half hour, so high in units of its own.
HALF_HOURS, HEIGHT = 48, 44
_HALF_HOUR = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Day:
    """The planned runs of 24 hours: bars and what stands below them."""

    bars: tuple[Column, ...]
    marks: tuple[Mark, ...]
    words: str


def by_hour(hours: Sequence[int | None], tone: str, what: str) -> Spark | None:
    """The runs of each of the last 24 hours."""
    known = [hour for hour in hours if hour is not None]
    words = f"{what} in each of the last {len(known)} hours: at most {max(known, default=0):,}"
    return line_spark([None if hour is None else float(hour) for hour in hours], tone, words)


def longest_waits(series: Mapping[str, Series], tone: str) -> Spark | None:
    """The greatest age of a waiting message in each minute of the last hour, over all queues."""
    if not series:
        return None
    minutes = zip(*series.values(), strict=True)
    waits = [max((float(one.oldest) for one in each if one is not None), default=None) for each in minutes]
    known = [wait for wait in waits if wait is not None]
    words = f"The longest wait of the last hour: {max(known, default=0):,.0f} s at most"
    return line_spark(waits, tone, words)


def slots_in_use(beacons: Sequence[Beacon]) -> Spark | None:
    """The slots in use of all workers that are alive, in each minute of the last hour."""
    used: list[float | None] = [None] * TREND_POINTS
    for beacon in beacons:
        busy = read_busy(beacon.trend)[-TREND_POINTS:]
        for place, share in enumerate(busy, start=TREND_POINTS - len(busy)):
            used[place] = (used[place] or 0.0) + share / 100 * beacon.concurrency
    known = [one for one in used if one is not None]
    if len(known) < 2:
        return None
    words = f"Slots in use in the last {len(known)} min: at most {max(known):,.1f}"
    return line_spark(used, "live", words, most=float(sum(beacon.concurrency for beacon in beacons)))


def next_day(planned: Sequence[Planned], now: datetime) -> Day:
    """The bars of the next 24 hours."""
    counts = [0] * HALF_HOURS
    for one in planned:
        for moment in one.moments:
            counts[min(int((moment - now) / _HALF_HOUR), HALF_HOURS - 1)] += 1
    local = timezone.localtime(now)
    # Every sixth hour of the clock; "now" has its own place at the left end.
    first = local.replace(minute=0, second=0, microsecond=0) + timedelta(hours=6 - local.hour % 6)
    marks = [Mark("0%", "now", "start")]
    for number in range(4):
        at = timezone.localtime(first + timedelta(hours=6 * number))
        share = (at - local) / timedelta(hours=24) * 100
        if 8 <= share <= 96:
            marks.append(Mark(f"{share:.2f}%", f"{at:%a}" if at.hour == 0 else f"{at:%H:%M}"))
    words = f"Planned runs of each half hour: at most {max(counts):,}"
    return Day(picture(counts, HEIGHT), tuple(marks), words)
