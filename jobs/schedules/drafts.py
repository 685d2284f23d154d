"""What a person asks a schedule to be: checked, and written into the rows of django-celery-beat."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask

from jobs.catalog.registry import Job
from jobs.catalog.routing import exists
from jobs.errors import InvalidArguments
from jobs.ledger.redaction import hide_call
from jobs.ledger.shown_arguments import UNREADABLE
from jobs.text import read_json

from .moments import Plan
from .spec import HORIZON, Calendar, Every, InvalidSchedule, Once, Spec
from .stored import Stored, aware

LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Draft:
    """What a person asks for.

    Attributes:
        arguments: by parameter name; None keeps what the schedule has (a job without a form).
        start: no moment before it; an interval counts from it, else from now.
        until: none from it on.
        queue: "" leaves it to the job's route; priority: 0 (first) to 9, None does so, too.
        expire_seconds: a run that has not begun so long after its moment does not; None: it waits.
    """

    name: str
    job: Job
    spec: Spec
    arguments: Mapping[str, Any] | None = None
    description: str = ""
    start: datetime | None = None
    until: datetime | None = None
    enabled: bool = False
    queue: str = ""
    priority: int | None = None
    expire_seconds: int | None = None

    @property
    def zone(self) -> str:
        return self.spec.zone if isinstance(self.spec, Calendar) else ""


def check_draft(draft: Draft, now: datetime, stored: Stored | None) -> None:
    """Raise InvalidSchedule for what cannot be; `stored` is the schedule that it changes."""
    wrong: dict[str, str] = {}
    name = draft.name.strip()
    if not 0 < len(name) <= LONGEST_NAME:
        wrong["name"] = f"Give the schedule a name of at most {LONGEST_NAME} characters."
    elif PeriodicTask.objects.filter(name=name).exclude(pk=stored.row.pk if stored else None).exists():
        wrong["name"] = "Another schedule has this name. Choose another."
    if "\x00" in draft.name + draft.description:
        wrong["name"] = "Null characters are not allowed."
    if draft.until is not None and draft.until <= now:
        wrong["until"] = "This moment has passed: it would never fire. Choose one to come, or leave it empty."
    plan = Plan(draft.spec, draft.start or now, draft.start, draft.until)
    upcoming = plan.next_after(now)
    if not wrong and (upcoming is None or upcoming > now + HORIZON):
        field = "until" if draft.until else "at" if isinstance(draft.spec, Once) else "cron"
        wrong[field] = "It names no moment within five years before its end, so it would never fire."
        if not draft.until:
            wrong[field] = "It names no moment within five years, so it would never fire."
    if draft.queue and not exists(draft.queue):
        wrong["queue"] = "There is no such queue; choose one of the list."
    if draft.until is not None and draft.expire_seconds is not None:
        wrong["expire_seconds"] = "A schedule has an end, or runs that expire, not both. Clear this, or Until."
    if draft.arguments is None and (stored is None or stored.row.task != draft.job.name):
        wrong[""] = f"{draft.job.title} cannot be scheduled: {draft.job.why_not}"
    if wrong:
        raise InvalidSchedule(wrong)


def fill_row(row: PeriodicTask, draft: Draft, stored: Stored | None, now: datetime) -> None:
    """Write the draft into the row; what an old row holds of a message's way and nobody sends is cleared."""
    row.name, row.description, row.task = draft.name.strip(), draft.description, draft.job.name
    if draft.arguments is not None:
        row.args, row.kwargs = stored_arguments(draft.job, draft.arguments)
    row.queue, row.priority, row.expire_seconds = draft.queue or None, draft.priority, draft.expire_seconds
    row.exchange = row.routing_key = None
    row.headers = "{}"
    timed = stored is not None and (stored.spec, aware(stored.row.start_time)) == (draft.spec, draft.start)
    row.interval = row.crontab = row.solar = row.clocked = None
    row.one_off = isinstance(draft.spec, Once)
    match draft.spec:
        case Every(count, unit):
            row.interval = _shared(IntervalSchedule, every=count, period=unit.value)
        case Once(at):
            row.clocked = _shared(ClockedSchedule, clocked_time=at)
        case Calendar() as calendar:
            row.crontab = shared_crontab(
                minute=calendar.minute,
                hour=calendar.hour,
                day_of_month=calendar.day_of_month,
                month_of_year=calendar.month,
                day_of_week=calendar.day_of_week,
                timezone=calendar.zone,
            )
    row.start_time, row.expires = draft.start, draft.until
    if isinstance(draft.spec, Every) and draft.start is None:
        # An anchor that no later change of the row moves.
        row.start_time = now.replace(microsecond=0)
    # Moments before now are not caught up with, whatever the new time says of them.
    was_on = stored is not None and stored.row.enabled
    if not (was_on and timed and draft.enabled):
        row.last_run_at, row.total_run_count = now, 0
    row.enabled = draft.enabled


def shared_crontab(**values: str) -> CrontabSchedule:
    """The row of beat's table that names these times; several schedules may use one."""
    found: CrontabSchedule = _shared(CrontabSchedule, **values)
    return found


def _shared(model: Any, **values: Any) -> Any:
    """A row of these values; one that others may use too is found and never changed."""
    return model.objects.filter(**values).order_by("pk").first() or model.objects.create(**values)


def keep_row(row: PeriodicTask) -> None:
    """Save it; raises InvalidSchedule where another took the name meanwhile."""
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError:
        raise InvalidSchedule({"name": "Another schedule has this name. Choose another."}) from None


def stored_arguments(job: Job, arguments: Mapping[str, Any]) -> tuple[str, str]:
    """The arguments as the row keeps them; a parameter that was left out follows the job's default at each moment.

    Raises:
        InvalidArguments: they do not fit, or are too long.
    """
    if job.parameters is None:
        raise InvalidArguments({"": f"{job.title} has no form: {job.why_not}"})
    call = job.parameters.to_json(arguments)
    names = {field.name for field in job.parameters.fields}
    kwargs = call.kwargs
    if not call.args and kwargs.keys() <= names:
        kwargs = {name: value for name, value in kwargs.items() if name in arguments}
    return json.dumps(call.args), json.dumps(kwargs)


def shown_arguments(job: Job | None, row: PeriodicTask) -> list[Any]:
    """`[args, kwargs]` of the row without secrets."""
    try:
        args, kwargs = read_json(row.args or "[]"), read_json(row.kwargs or "{}")
        return list(hide_call(job.name if job else row.task, args, kwargs))
    except (ValueError, TypeError):
        return [UNREADABLE]
