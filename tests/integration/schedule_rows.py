"""Schedules for the tests of their pages, verbs and beat."""

from __future__ import annotations

from typing import Any

from django.db import connection
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from jobs.catalog.registry import find_job
from jobs.schedules.stored import Stored, read_one
from tests import jobs_under_test as under_test

ADD = find_job(under_test.add.name)
LIST = "/admin/django_celery_beat/periodictask/"


def row(name: str = "Nightly sum", **fields: Any) -> PeriodicTask:
    """An ordinary row, as code or the stock admin makes it; every day at 06:30 in Vilnius unless told otherwise."""
    if not {"crontab", "interval", "clocked", "solar"} & fields.keys():
        fields["crontab"], _ = CrontabSchedule.objects.get_or_create(
            minute="30", hour="6", day_of_week="*", day_of_month="*", month_of_year="*", timezone="Europe/Vilnius"
        )
    return PeriodicTask.objects.create(**({"name": name, "task": ADD.name, "kwargs": '{"a": 1}'} | fields))


def on_mars(name: str = "On Mars") -> PeriodicTask:
    """A row whose zone does not exist, which the stock field refuses to read."""
    calendar = CrontabSchedule.objects.create(minute="1")
    made = row(name, crontab=calendar)
    with connection.cursor() as cursor:
        table = CrontabSchedule._meta.db_table
        cursor.execute(f"UPDATE {table} SET timezone = 'Mars/Phobos' WHERE id = %s", [calendar.pk])  # noqa: S608
    return made


def stored(pk: int) -> Stored:
    found = read_one(pk)
    assert found is not None
    return found


def form(**changes: Any) -> dict[str, Any]:
    """What a browser sends for a schedule of Add: every day of the week at 06:30."""
    sent = {
        "a": "1",
        "b": "",
        "oc.name": "Nightly sum",
        "oc.enabled": "on",
        "oc.how": "days",
        "oc.days": ["1", "2", "3", "4", "5", "6", "0"],
        "oc.clock": "06:30",
        "oc.zone": "Europe/Vilnius",
        "oc.act": "save",
    }
    return {name: value for name, value in (sent | changes).items() if value is not None}
