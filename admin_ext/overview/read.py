"""What the Overview reads: one statement for all that is small, one for the runs, one round trip to Redis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import CharField
from django.db.models.functions import Cast
from django.http import HttpRequest
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask

from admin_ext.frame.machinery import Machinery
from admin_ext.parts.access import viewer_key
from admin_ext.queues.listing import Known, keep_known, last_known
from jobs.alerts.asked import MOST_ADDRESSES
from jobs.fleet.breaker import ask as ask_redis
from jobs.fleet.glance import Glance, read_glance
from jobs.ledger.needing_action import needing_action
from jobs.ledger.overview import Figures, figure_parts, figures_of
from jobs.ledger.snoozes import MOST as MOST_ASLEEP
from jobs.ledger.snoozes import asleep
from jobs.ledger.together import Part, Told, ask, made, rows_of
from jobs.models import AlertChannel, AuditEvent, FailureGroup, SnoozedTrouble
from jobs.schedules.spec import Calendar
from jobs.schedules.stored import Stored, read_already

from . import first_steps

#: So many schedules are looked at, in the order of their names.
MOST_SCHEDULES = 300
#: For people outside, who are told in the background, so many schedules and groups of failures are looked at.
MOST_OUTSIDE = 1000


@dataclass(frozen=True, slots=True)
class Read:
    """What the database told.

    Attributes:
        acts: the newest acts by hand that the viewer may see.
        asleep: troubles that the viewer has put aside, and until when.
        figures: None for who may not see runs; `groups` need action.
        schedules: those that are on; None for who may not see schedules. `more`: there are others.
        channels: how telling people outside goes, one row for each address and the webhook.
        begun: what the first steps are ticked by.
    """

    acts: tuple[AuditEvent, ...]
    asleep: Mapping[str, datetime]
    figures: Figures | None = None
    groups: tuple[FailureGroup, ...] = ()
    schedules: tuple[Stored, ...] | None = None
    more: bool = field(default=False)
    channels: tuple[AlertChannel, ...] = ()
    begun: Mapping[str, Sequence[Told]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outside:
    """What the database tells of troubles to nobody in particular.

    Attributes:
        groups: those that need action; `more_groups`: there are others.
        put_aside: keys of groups that hurt and that a person has put aside for everybody.
        schedules: those that are on; `more_schedules`: there are others.
    """

    groups: tuple[FailureGroup, ...]
    more_groups: bool
    put_aside: tuple[int, ...]
    schedules: tuple[Stored, ...]
    more_schedules: bool


def read_database(
    request: HttpRequest, now: datetime, *, acts: int, every_act: bool, runs: bool, schedules: bool, cap: int
) -> Read:
    """Everything but the runs. One statement.

    Args:
        acts: so many of the newest; of everybody with `every_act`, else the viewer's own.
        runs, schedules: the viewer may see them.
        cap: counting stops here.
    """
    # Each in the order that an index of its own gives.
    by_people = AuditEvent.objects.filter(actor_id__isnull=False, part=False).order_by("-at")
    by_viewer = AuditEvent.objects.filter(actor_id=viewer_key(request), part=False).order_by("-id")
    parts = [
        rows_of("acts", by_people if every_act else by_viewer, acts),
        rows_of("asleep", asleep(request.user, now), MOST_ASLEEP),
        rows_of("channels", AlertChannel.objects.order_by("name"), MOST_ADDRESSES + 1),
    ]
    parts += figure_parts(now, cap=cap) if runs else []
    parts += first_steps.parts()
    parts += _schedule_parts(MOST_SCHEDULES) if schedules else []
    told = ask(parts)
    stored = _schedules(told) if schedules else None
    return Read(
        acts=tuple(sorted((made(AuditEvent, one.row) for one in told["acts"]), key=lambda act: -act.pk)),
        asleep={one.key: one.until for one in (made(SnoozedTrouble, each.row) for each in told["asleep"])},
        figures=figures_of(told, cap=cap) if runs else None,
        groups=tuple(made(FailureGroup, one.row) for one in told["groups"]),
        schedules=stored[:MOST_SCHEDULES] if stored is not None else None,
        more=stored is not None and len(stored) > MOST_SCHEDULES,
        channels=tuple(made(AlertChannel, one.row) for one in told["channels"]),
        begun=told,
    )


def read_outside(now: datetime) -> Outside:
    """What needs a look, whoever looks. One statement."""
    hurt = FailureGroup.objects.filter(state=FailureGroup.State.SNOOZED, snoozed_until__gt=now, hurting__gt=0)
    parts = [
        rows_of("groups", needing_action(now).order_by("-last_seen", "-id"), MOST_OUTSIDE + 1),
        rows_of("put aside", hurt.order_by("pk"), MOST_OUTSIDE),
        *_schedule_parts(MOST_OUTSIDE),
    ]
    told = ask(parts)
    groups, schedules = tuple(made(FailureGroup, one.row) for one in told["groups"]), _schedules(told)
    return Outside(
        groups=groups[:MOST_OUTSIDE],
        more_groups=len(groups) > MOST_OUTSIDE,
        put_aside=tuple(one.row["id"] for one in told["put aside"]),
        schedules=schedules[:MOST_OUTSIDE],
        more_schedules=len(schedules) > MOST_OUTSIDE,
    )


def _schedule_parts(most: int) -> list[Part]:
    on = PeriodicTask.objects.filter(enabled=True).order_by("name")
    most += 1
    # The zone as text: its field refuses to read one that does not exist, and with it the whole page.
    crontabs = CrontabSchedule.objects.filter(pk__in=on.order_by().values("crontab_id"))
    return [
        rows_of("schedules", on, most),
        rows_of("crontabs", crontabs.order_by().annotate(zone=Cast("timezone", CharField())), most, timezone="zone"),
        rows_of("intervals", IntervalSchedule.objects.filter(pk__in=on.order_by().values("interval_id")), most),
        rows_of("clocked", ClockedSchedule.objects.filter(pk__in=on.order_by().values("clocked_id")), most),
    ]


def _schedules(told: Mapping[str, Sequence[Told]]) -> tuple[Stored, ...]:
    fields = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week", "timezone")
    calendars = {one.row["id"]: Calendar(*(str(one.row[name]) for name in fields)) for one in told.get("crontabs", ())}
    intervals = {one.row["id"]: made(IntervalSchedule, one.row) for one in told.get("intervals", ())}
    clocked = {one.row["id"]: made(ClockedSchedule, one.row) for one in told.get("clocked", ())}
    rows = []
    for one in told.get("schedules", ()):
        row = made(PeriodicTask, one.row)
        if row.interval_id in intervals:
            row.interval = intervals[row.interval_id]
        if row.clocked_id in clocked:
            row.clocked = clocked[row.clocked_id]
        rows.append(row)
    return tuple(read_already(rows, calendars))


def read_redis(machinery: Machinery) -> Glance | None:
    """Queues and workers; None while Redis is away or takes no writes. One round trip."""
    if not machinery.live:
        return None
    fleet, before = machinery.fleet, last_known()
    # Names that no setting knows are those of the reading before: to ask for them first would be a round trip more.
    found = before.latest.found if before and before.latest else ()
    glance = ask_redis(lambda client: read_glance(client, fleet.beacons, fleet.read_at, found))
    if glance is not None:
        keep_known(Known(glance.reading, glance.latest))
    return glance
