"""The rows of django-celery-results, as its own backend would have written them, many in one statement."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from celery import states as celery_states
from django.db import connection
from django_celery_results.models import TaskResult
from kombu.utils import json

from jobs.pipeline.facts import Fact

from .merge import moment

_COLUMNS = (
    "task_id",
    "task_name",
    "periodic_task_name",
    "task_args",
    "task_kwargs",
    "status",
    "worker",
    "content_type",
    "content_encoding",
    "result",
    "traceback",
    "meta",
    "date_created",
    "date_started",
    "date_done",
)


def store_results(facts: Iterable[Fact]) -> None:
    """Insert or replace the stored result of each fact's task; the last fact of a task wins.

    Raw SQL because `date_done` is `auto_now`: the ORM would write the moment of recording, not that of the end.
    """
    rows = [_row(fact) for fact in {fact.task_id: fact for fact in facts if fact.state}.values()]
    if not rows:
        return
    kept = {"task_id", "date_created"}
    updates = ", ".join(f"{column} = excluded.{column}" for column in _COLUMNS if column not in kept)
    marks = ", ".join(["%s"] * len(_COLUMNS))
    statement = (
        f"INSERT INTO {TaskResult._meta.db_table} ({', '.join(_COLUMNS)}) VALUES ({marks}) "  # noqa: S608 (constants)
        f"ON CONFLICT (task_id) DO UPDATE SET {updates}"
    )
    with connection.cursor() as cursor:
        cursor.executemany(statement, rows)


def _row(fact: Fact) -> list[Any]:
    return [
        fact.task_id,
        fact.task or None,
        fact.schedule_name or None,
        json.dumps(fact.meta.get("args")),
        json.dumps(fact.meta.get("kwargs")),
        fact.state,
        fact.worker or None,
        "application/json",
        "utf-8",
        fact.result if fact.result is not None else "null",
        fact.traceback or None,
        json.dumps({**(fact.meta.get("meta") or {}), "children": []}),
        _sql_time(moment(fact.at)),
        _sql_time(moment(fact.started_at)) if fact.started_at else None,
        _sql_time(moment(fact.at)) if fact.state in celery_states.ALL_STATES else None,
    ]


def _sql_time(value: datetime) -> Any:
    return connection.ops.adapt_datetimefield_value(value)
