"""Nouns for the Overview: its figures in one statement and its short lists in another, at any length of the history."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import QuerySet
from django.db.models.expressions import RawSQL

from jobs.models import Run
from jobs.states import State

from .run_query import RunQuery, pool_of
from .run_slices import RunLine, line_of

Sql = tuple[str, tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Figures:
    """How many runs there are; each number stops at one more than `cap`.

    Attributes:
        ran: asked for within the last 24 hours.
        failed, lost: asked for since midnight.
    """

    ran: int
    failed: int
    lost: int
    running: int
    queued: int
    accepted: int
    cap: int


def figures(now: datetime, midnight: datetime, *, cap: int) -> Figures:
    """Count them. One statement."""
    asked = {
        "ran": RunQuery(since=now - timedelta(hours=24)),
        "failed": RunQuery(state=State.FAILED, since=midnight),
        "lost": RunQuery(state=State.LOST, since=midnight),
        "running": RunQuery(state=State.RUNNING),
        "queued": RunQuery(state=State.QUEUED),
        "accepted": RunQuery(state=State.ACCEPTED),
    }
    parts = [_counted(name, pool_of(query).from_place(None).values("id")[: cap + 1]) for name, query in asked.items()]
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(sql for sql, _ in parts), [value for _, values in parts for value in values])
        return Figures(**dict(cursor.fetchall()), cap=cap)


def _counted(name: str, runs: QuerySet[Run, Any]) -> Sql:
    sql, values = runs.query.sql_with_params()
    return f"SELECT %s, COUNT(*) FROM ({sql}) counted", (name, *values)  # noqa: S608 - from the ORM


@dataclass(frozen=True, slots=True)
class Lines:
    """The runs that have been running longest, and the newest that went wrong."""

    running: tuple[RunLine, ...]
    troubled: tuple[RunLine, ...]


def overview_lines(midnight: datetime, *, running: int, troubled: int) -> Lines:
    """At most `running` and `troubled` runs; those that went wrong were asked for since midnight. One statement."""
    chosen = [Run.objects.filter(state=State.RUNNING).order_by("claimed_at", "id").values("id")[:running]]
    for state in (State.FAILED, State.LOST):
        chosen.append(pool_of(RunQuery(state=state, since=midnight)).from_place(None).values("id")[:troubled])
    # Not an OR of three conditions, for which PostgreSQL reads the whole table.
    found = Run.objects.filter(pk__in=RawSQL(*_united(chosen)))  # noqa: S611 - from the ORM
    runs = tuple(found.select_related("retry_of").defer("arguments", "retry_of__arguments"))
    bad = sorted((run for run in runs if run.state != State.RUNNING), key=lambda run: run.accepted_at, reverse=True)
    now = sorted((run for run in runs if run.state == State.RUNNING), key=_began)
    return Lines(tuple(map(line_of, now)), tuple(map(line_of, bad[:troubled])))


def _began(run: Run) -> datetime:
    return run.claimed_at or run.started_at or run.accepted_at


def _united(queries: Iterable[QuerySet[Run, Any]]) -> Sql:
    parts = [query.query.sql_with_params() for query in queries]
    sql = " UNION ALL ".join(f"SELECT * FROM ({part}) part" for part, _ in parts)  # noqa: S608 - from the ORM
    return sql, tuple(value for _, values in parts for value in values)
