"""What the filters of the runs list offer: from catalogue, settings, fleet and short tables, never from the runs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime

from celery import current_app
from django.db.models import CharField, TextField, Value
from django.db.models.functions import Cast
from django_celery_beat.models import PeriodicTask

from jobs.catalog.registry import derived_jobs, job_title, listed_jobs
from jobs.ledger.people import staff_names
from jobs.ledger.run_counts import Row, moment_of_text
from jobs.ledger.run_slices import Sql
from jobs.models import Run
from jobs.states import Source

Options = tuple[tuple[str, str], ...]
_SCHEDULES, _OLDEST = "schedule", "oldest"
MOST_SCHEDULES = 500
KEPT_SECONDS = 60.0

SOURCES: dict[str, str] = {
    Source.CONSOLE: "By hand",
    Source.SCHEDULE: "A schedule",
    Source.RETRY: "A retry",
    Source.CODE: "Code",
    Source.SYSTEM: "The console itself",
}
PRESETS: dict[str, str] = {
    "1h": "Last hour",
    "today": "Today",
    "24h": "Last 24 h",
    "7d": "Last 7 d",
    "30d": "Last 30 d",
}


@dataclass(frozen=True, slots=True)
class Named:
    """People by key, schedules by row id, and when the oldest run was asked for, as at most a minute ago."""

    people: dict[str, str]
    schedules: dict[int, str]
    oldest: datetime | None = None


_kept: tuple[float, Named] | None = None


def statements() -> list[Sql]:
    """What has to be read for `named` to be of now: rows (kind, name, row id); none while what is kept is fresh."""
    if _kept is not None and time.monotonic() - _kept[0] <= KEPT_SECONDS:
        return []
    schedules = PeriodicTask.objects.order_by("name").values_list(
        Value(_SCHEDULES, CharField()), Cast("name", CharField()), "pk"
    )[:MOST_SCHEDULES]
    oldest = Run.objects.order_by("accepted_at", "id").values_list(
        Value(_OLDEST, CharField()), Cast("accepted_at", TextField()), "pk"
    )[:1]
    return [query.query.sql_with_params() for query in (schedules, oldest)]


def named(rows: tuple[Row, ...], *, read: bool) -> Named:
    """Schedules from the rows of `statements` where those were read, people by one query then; else what is kept."""
    global _kept
    if read:
        schedules = {pk: name for kind, name, pk in rows if kind == _SCHEDULES}
        oldest = next((moment_of_text(text) for kind, text, _ in rows if kind == _OLDEST), None)
        _kept = (time.monotonic(), Named(staff_names(), schedules, oldest))
    return _kept[1] if _kept is not None else Named({}, {})


def forget_choices() -> None:
    """Read them anew at the next request."""
    global _kept
    _kept = None


def job_options(asked: str) -> Options:
    """Every job of the catalogue; the one that is asked for too, if it is there no more."""
    names = {job.name: job.title for job in [*listed_jobs(), *derived_jobs()]}
    return _with(names, asked, job_title(asked) if asked else "")


def queue_options(asked: str) -> Options:
    """The queues that the settings declare."""
    return _with({name: name for name in current_app.amqp.queues}, asked, asked)


def worker_options(heard: tuple[str, ...], asked: str) -> Options:
    """The workers with a burning beacon."""
    return _with({name: name for name in heard}, asked, asked)


def _with(names: dict[str, str], asked: str, title: str) -> Options:
    return tuple((names | ({asked: title} if asked and asked not in names else {})).items())
