"""Nouns for the list of failure groups: the tabs with their counts, one page of groups, the badge."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from statistics import median
from typing import Any

from django.db import connection
from django.db.models import Q, QuerySet

from jobs.ledger.needing_action import is_awake
from jobs.ledger.readable import NOTHING, Withheld, readable_group
from jobs.models import FailureCount, FailureGroup, Run
from jobs.states import State as RunState

from .record import hour_of

Sql = tuple[str, tuple[Any, ...]]
State = FailureGroup.State
_RUNNING = "running"
#: So many groups of a tab are read and put in order; of more, those that failed last.
MOST_READ = 300
#: Counting stops here, of groups.
CAP = 1_000
#: And here, of a group's runs in the last hour: above what it counts of 24 hours as a rule.
HOUR_CAP = 10_000
WEEK = timedelta(days=7)
HOURS = 7 * 24
HOUR = timedelta(hours=1)
#: The small picture of seven days has a bar for so many hours.
BAR_HOURS = 6
#: Escalating: so many in the last hour, and so many times the usual hour.
MANY, TIMES = 10, 5
NEW = timedelta(hours=24)


class View(StrEnum):
    """A tab of the list; the value is what the address says."""

    ACTION = "action"
    HEALED = "healed"
    SNOOZED = "snoozed"
    RESOLVED = "resolved"
    ALL = "all"


class Status(StrEnum):
    """What a group's chip says, most urgent first."""

    ESCALATING = "escalating"
    REGRESSED = "regressed"
    NEW = "new"
    ONGOING = "ongoing"
    HEALED = "healed"
    SNOOZED = "snoozed"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a group fails, by when its runs were asked for.

    Attributes:
        last_hour: of the last 60 minutes, exact up to HOUR_CAP.
        day, week: since `day_since` and `week_since`, the full hours at which 24 h and 7 d begin.
        hours: of each of the last HOURS hours of the clock, the one that runs included, oldest first.
    """

    last_hour: int
    day: int
    week: int
    day_since: datetime
    week_since: datetime
    hours: tuple[int, ...]
    escalates: bool

    @property
    def bars(self) -> tuple[int, ...]:
        """The hours in pieces of BAR_HOURS."""
        return tuple(sum(self.hours[at : at + BAR_HOURS]) for at in range(0, HOURS, BAR_HOURS))


@dataclass(frozen=True, slots=True)
class GroupLine:
    """A group of the list."""

    group: FailureGroup
    status: Status
    pace: Pace


@dataclass(frozen=True, slots=True)
class GroupSlice:
    """One page of a tab.

    Attributes:
        counts: how many groups each tab has, counted up to one more than CAP.
        running: how many runs are running, for the badge, counted up to one more than CAP.
        matching: how many were read; `more` says that there are others, which failed longer ago.
    """

    lines: tuple[GroupLine, ...]
    counts: dict[View, int]
    running: int
    matching: int
    more: bool


def group_slice(view: View, *, number: int, per_page: int, now: datetime, withheld: Withheld = NOTHING) -> GroupSlice:
    """The page `number`, counted from 0, of a tab: what matters most first, then what failed last. Three statements.

    Args:
        withheld: the tasks whose runs the viewer may not read.
    """
    groups = list(FailureGroup.objects.filter(_of(view, now)).order_by("-last_seen", "-id")[: MOST_READ + 1])
    more = len(groups) > MOST_READ
    groups = groups[:MOST_READ]
    groups.sort(key=lambda group: _first(group, now))
    shown = [readable_group(group, withheld) for group in groups[number * per_page : (number + 1) * per_page]]
    pks = [group.pk for group in shown]
    numbers = _numbers([*_last_hour(pks, now), *_tab_counts(now), _running()])
    found = _paces(pks, numbers, now)
    lines = [GroupLine(group, status_of(group, found[group.pk], now), found[group.pk]) for group in shown]
    order = list(Status)
    lines.sort(key=lambda line: order.index(line.status))
    counts = {view: numbers[view.value] for view in View}
    return GroupSlice(tuple(lines), counts, numbers[_RUNNING], len(groups), more)


def status_of(group: FailureGroup, pace: Pace, now: datetime) -> Status:
    """What the chip of a group says."""
    if group.state == State.RESOLVED:
        return Status.RESOLVED
    if _sleeps(group, now):
        return Status.SNOOZED
    if not group.hurting:
        return Status.HEALED
    if pace.escalates and group.first_seen < now - timedelta(hours=1):
        return Status.ESCALATING
    if group.regressed_at is not None:
        return Status.REGRESSED
    return Status.NEW if group.first_seen > now - NEW else Status.ONGOING


def _sleeps(group: FailureGroup, now: datetime) -> bool:
    return group.state == State.SNOOZED and group.snoozed_until is not None and group.snoozed_until > now


def _tab_counts(now: datetime) -> list[Sql]:
    """How many groups each tab has."""
    return [_counted(view.value, FailureGroup.objects.filter(_of(view, now)).order_by()) for view in View]


def _running() -> Sql:
    return _counted(_RUNNING, Run.objects.filter(state=RunState.RUNNING).order_by())


def last_failed() -> FailureGroup | None:
    """The group that failed last."""
    return FailureGroup.objects.order_by("-last_seen", "-id").first()


def next_awake(now: datetime) -> datetime | None:
    """When the next snoozed group wakes."""
    asleep = FailureGroup.objects.filter(_of(View.SNOOZED, now)).order_by("snoozed_until")
    return asleep.values_list("snoozed_until", flat=True).first()


def paces(pks: Sequence[int], now: datetime) -> dict[int, Pace]:
    """How often each of these groups fails. Two statements, none where there are no groups."""
    return _paces(pks, _numbers(_last_hour(pks, now)), now) if pks else {}


def _paces(pks: Sequence[int], numbers: Mapping[str, int], now: datetime) -> dict[int, Pace]:
    hours = _hours(pks, now)
    return {pk: _pace(numbers[str(pk)], hours[pk], now) for pk in pks}


def pace_of(pk: int, last_hour: int, now: datetime) -> Pace:
    """How often one group fails, of which the last hour is known. One statement."""
    return _pace(last_hour, _hours([pk], now)[pk], now)


def in_last_hour(now: datetime) -> QuerySet[Run]:
    """The runs that count for the last hour."""
    return Run.objects.filter(accepted_at__gte=now - timedelta(hours=1)).order_by()


def _hours(pks: Sequence[int], now: datetime) -> dict[int, Counter[datetime]]:
    if not pks:
        return {}
    hours: dict[int, Counter[datetime]] = {pk: Counter() for pk in pks}
    rows = FailureCount.objects.filter(group_id__in=pks, hour__gte=hour_of(now - WEEK))
    for pk, hour, n in rows.values_list("group_id", "hour", "n"):
        hours[pk][hour_of(hour)] += n
    return hours


def _pace(last_hour: int, hours: Counter[datetime], now: datetime) -> Pace:
    day, week, this = hour_of(now - timedelta(days=1)), hour_of(now - WEEK), hour_of(now)
    each = [0] * HOURS
    for hour, n in hours.items():
        # Few of a group's hours have a failure: those are placed, and the empty ones are not asked for.
        if 0 <= (back := (this - hour) // HOUR) < HOURS:
            each[HOURS - 1 - back] = max(n, 0)
    return Pace(
        last_hour=last_hour,
        day=sum(n for hour, n in hours.items() if hour >= day),
        week=sum(hours.values()),
        day_since=day,
        week_since=week,
        hours=tuple(each),
        escalates=last_hour >= MANY and last_hour > TIMES * median(each),
    )


def _last_hour(pks: Sequence[int], now: datetime) -> list[Sql]:
    """Of each group, by its row's number; exact, unlike the counts by the clock's hours. Each ends at HOUR_CAP."""
    if not pks:
        return []
    # Put into SQL once and said anew for each group: fifty querysets take longer than the database.
    sql, (_, since, _) = _counted("", in_last_hour(now).filter(failure_group_id=pks[0]), HOUR_CAP)
    return [(sql, (str(pk), since, pk)) for pk in pks]


def _of(view: View, now: datetime) -> Q:
    return {
        View.ACTION: is_awake(now) & Q(hurting__gt=0),
        View.HEALED: is_awake(now) & Q(hurting__lte=0),
        View.SNOOZED: Q(state=State.SNOOZED, snoozed_until__gt=now),
        View.RESOLVED: Q(state=State.RESOLVED),
        View.ALL: Q(),
    }[view]


def _counted(name: str, rows: QuerySet[Any], most: int = CAP) -> Sql:
    """One row: how many there are; one more than `most` means "more than that"."""
    sql, values = rows.values("pk")[: most + 1].query.sql_with_params()
    return f"SELECT %s AS name, COUNT(*) AS number FROM ({sql}) counted", (name, *values)  # noqa: S608 - from the ORM


def _numbers(parts: Sequence[Sql]) -> dict[str, int]:
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(sql for sql, _ in parts), [value for _, values in parts for value in values])
        return {name: int(number) for name, number in cursor.fetchall()}


def _first(group: FailureGroup, now: datetime) -> tuple[int, float]:
    rank = 0 if group.regressed_at is not None else 1 if group.first_seen > now - NEW else 2
    return rank, -group.last_seen.timestamp()
