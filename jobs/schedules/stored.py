"""Schedules as the database holds them: read so that one broken row breaks nothing but itself."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import CharField
from django.db.models.functions import Cast
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from jobs.ledger.start import Wish

from .moments import Plan
from .spec import BrokenSchedule, Calendar, Every, InvalidSchedule, Once, Spec, Unit, checked_calendar, every_of

#: What a row may hold of a message's way that the console does not send: it would go past every queue that it knows.
REFUSED = ("exchange", "routing_key", "headers")


@dataclass(frozen=True, slots=True)
class Stored:
    """One schedule.

    Attributes:
        row: never ask it for its `crontab`: a zone that does not exist raises.
        spec: None where it cannot be read; `problem` then says why.
        args, kwargs: None where the row does not hold what it should.
        refused: names and values of delivery options that the row holds and the console does not send.
    """

    row: PeriodicTask
    spec: Spec | None
    problem: str
    args: list[Any] | None
    kwargs: dict[str, Any] | None
    refused: tuple[tuple[str, str], ...] = field(default=())

    @property
    def plan(self) -> Plan:
        """What decides when it fires; raises BrokenSchedule."""
        if self.spec is None:
            raise BrokenSchedule(self.problem)
        return Plan(self.spec, anchor_of(self.row), aware(self.row.start_time), aware(self.row.expires))


def anchor_of(row: PeriodicTask) -> datetime:
    """What the row's interval counts from: its start, else when a person last changed it (beat's own notes do not)."""
    return aware(row.start_time) or aware(row.date_changed) or timezone.now()


def aware(moment: datetime | None) -> datetime | None:
    return timezone.make_aware(moment) if moment is not None and timezone.is_naive(moment) else moment


def delivery_of(row: PeriodicTask, now: datetime, *, until: datetime | None = None) -> Wish:
    """Queue, priority and expiry of a run that the row asks for now; its message expires with the schedule's end."""
    seconds = row.expire_seconds
    expires_at = until or (now + timedelta(seconds=seconds) if seconds is not None else None)
    return Wish(queue=row.queue or "", priority=row.priority, expires_at=expires_at)


def read(rows: Iterable[PeriodicTask]) -> list[Stored]:
    """The rows with their times, in one query for all calendars; select `interval`, `clocked` and `solar` with them."""
    found = list(rows)
    # As text: the field of the zone refuses to read one that does not exist, and with it the whole list.
    zone = Cast("timezone", CharField())
    fields = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
    wanted = {row.crontab_id for row in found if row.crontab_id}
    calendars = {
        pk: Calendar(*cron)
        for pk, *cron in CrontabSchedule.objects.filter(pk__in=wanted)
        .annotate(zone=zone)
        .values_list("pk", *fields, "zone")
    }
    return read_already(found, calendars)


def read_already(rows: Iterable[PeriodicTask], calendars: dict[int, Calendar]) -> list[Stored]:
    """The rows with calendars that were read with them."""
    return [_stored(row, calendars) for row in rows]


def read_one(pk: int, *, lock: bool = False) -> Stored | None:
    """The schedule `pk`; None where there is none."""
    rows = PeriodicTask.objects.all()
    rows = rows.select_for_update() if lock else rows.select_related("interval", "clocked", "solar")
    return next(iter(read(rows.filter(pk=pk))), None)


def _stored(row: PeriodicTask, calendars: dict[int, Calendar]) -> Stored:
    spec, problem = None, ""
    try:
        spec = _spec(row, calendars)
    except BrokenSchedule as error:
        problem = str(error)
    args, kwargs = _json(row.args, list), _json(row.kwargs, dict)
    if not problem and (args is None or kwargs is None):
        problem = (
            f"Its {'positional ' if args is None else ''}arguments are no JSON that a job could take. Enter them anew."
        )
    refused = _refused(row)
    if refused and not problem:
        names = " and ".join(name for name, _ in refused)
        problem = f"It holds {names} for its message, which this console does not send. Saving its form clears that."
    return Stored(row, spec, problem, args, kwargs, refused)


def _spec(row: PeriodicTask, calendars: dict[int, Calendar]) -> Spec:
    kinds = [kind for kind in ("interval", "crontab", "clocked", "solar") if getattr(row, f"{kind}_id")]
    if len(kinds) != 1:
        raise BrokenSchedule("It has more than one time." if kinds else "It has no time: nothing says when it fires.")
    match kinds[0]:
        case "interval":
            return _every(row)
        case "clocked":
            return Once(aware(row.clocked.clocked_time) or timezone.now())
        case "solar":
            raise BrokenSchedule("It follows the sun, which this console cannot compute. Choose another time.")
    calendar = calendars.get(row.crontab_id)
    if calendar is None:
        raise BrokenSchedule("It has no time: nothing says when it fires.")
    try:
        return checked_calendar(calendar, "cron")
    except InvalidSchedule as error:
        if "zone" in error.fields:
            raise BrokenSchedule(f"There is no zone {calendar.zone}. Choose one of the list.") from None
        raise BrokenSchedule(f"“{calendar.text}” names no time that can be. Write it anew.") from None


def _every(row: PeriodicTask) -> Every:
    try:
        return every_of(row.interval.every, Unit(row.interval.period))
    except InvalidSchedule as error:
        raise BrokenSchedule(f"Every {row.interval.every} {row.interval.period} cannot be: {error}") from None
    except ValueError:
        raise BrokenSchedule(f"It counts in {row.interval.period}, which is no unit. Choose another.") from None


def _json(text: str, wanted: type) -> Any:
    try:
        value = json.loads(text or ("[]" if wanted is list else "{}"))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, wanted) else None


def _refused(row: PeriodicTask) -> tuple[tuple[str, str], ...]:
    """Of headers the names alone: their values may be secret."""
    held = [(name, str(getattr(row, name) or "")) for name in REFUSED]
    headers = _json(row.headers, dict)
    told = {"headers": ", ".join(map(str, headers)) if headers else "" if headers == {} else "no JSON object"}
    return tuple((name.replace("_", " "), text[:200]) for name, value in held if (text := told.get(name, value)))
