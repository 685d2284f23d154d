"""What the schedules have before them within a day, and which moments of the last day passed without a run."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice

from .moments import Plan
from .spec import BrokenSchedule
from .stored import Stored, aware

DAY = timedelta(days=1)
#: Beat writes down when a schedule fired every few minutes, so that a moment is missed only after this.
GRACE = timedelta(minutes=10)
#: Of one schedule so many moments of a day are looked at.
MOST_MOMENTS = 1500
#: What is worked out is kept for a while: a poll would do it again and again.
_KEPT = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Planned:
    """A schedule with its moments of the next 24 hours; `more`: there are others besides those."""

    stored: Stored
    moments: tuple[datetime, ...]
    more: bool


@dataclass(frozen=True, slots=True)
class Missed:
    """A schedule that did not fire at its last moment."""

    stored: Stored
    due: datetime


def planned(schedules: Iterable[Stored], now: datetime) -> list[Planned]:
    """The schedules that have a moment within 24 hours, first come first."""
    found = []
    for stored in schedules:
        moments, more = _within_a_day(_plan(stored), now)
        if moments:
            found.append(Planned(stored, moments, more))
    return sorted(found, key=lambda one: (one.moments[0], one.stored.row.name))


def missed(schedules: Iterable[Stored], now: datetime) -> list[Missed]:
    """Those whose last moment of the last 24 hours passed without a run, the oldest first.

    Nothing is missed that lay before a person changed the schedule: what is new does not catch up.
    """
    found = []
    for stored in schedules:
        plan, row = _plan(stored), stored.row
        if plan is None:
            continue
        ran, changed = aware(row.last_run_at), aware(row.date_changed)
        # A last run that lies in the future was written by a clock that was ahead, and tells nothing.
        since = max(now - DAY, changed or now - DAY, ran if ran is not None and ran <= now else now - DAY)
        due = plan.latest(now - GRACE, since=since) if since < now - GRACE else None
        if due is not None:
            found.append(Missed(stored, due))
    return sorted(found, key=lambda one: (one.due, one.stored.row.name))


def _plan(stored: Stored) -> Plan | None:
    try:
        return stored.plan
    except BrokenSchedule:
        return None


def _within_a_day(plan: Plan | None, now: datetime) -> tuple[tuple[datetime, ...], bool]:
    if plan is None:
        return (), False
    start = datetime.fromtimestamp(now.timestamp() // _KEPT.total_seconds() * _KEPT.total_seconds(), UTC)
    moments = _worked_out(plan, start)
    first, last = bisect_right(moments, now), bisect_right(moments, now + DAY)
    return moments[first:last], len(moments) >= MOST_MOMENTS


@lru_cache(maxsize=1024)
def _worked_out(plan: Plan, start: datetime) -> tuple[datetime, ...]:
    """The moments from `start` on for a day and as long as this is kept."""
    end, found = start + DAY + _KEPT, []
    for occurrence in islice(plan.after(start), MOST_MOMENTS):
        if occurrence.at > end:
            break
        found.append(occurrence.at)
    return tuple(found)
