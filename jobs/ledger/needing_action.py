"""How many failure groups need action, beside a page's own figures: every page shows it, and none asks twice for it."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Any

from django.db import connection
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from jobs.models import FailureGroup, Run
from jobs.states import State

Sql = tuple[str, tuple[Any, ...]]
NEEDING = "needing action"


def is_awake(now: datetime | Now) -> Q:
    """Neither resolved nor put aside; one that was put aside comes back by the time alone."""
    asleep = Q(state=FailureGroup.State.SNOOZED, snoozed_until__lte=now)
    return Q(state=FailureGroup.State.OPEN) | asleep


def needing_action(now: datetime | Now) -> QuerySet[FailureGroup]:
    """The groups that are awake and hurt."""
    return FailureGroup.objects.filter(is_awake(now), hurting__gt=0).order_by()


# Every page asks, always the same: to write the statement anew would take longer than to run it, so it holds the
# database's own "now".
@lru_cache(maxsize=8)
def needing_statement(*, cap: int) -> Sql:
    """A row (NEEDING, "", number), counted up to one more than `cap`, for a page that reads such rows."""
    return _counted(NEEDING, needing_action(Now()).values("pk")[: cap + 1])


@lru_cache(maxsize=8)
def _running_statement(*, cap: int) -> Sql:
    return _counted("running", Run.objects.filter(state=State.RUNNING).order_by().values("pk")[: cap + 1])


def badge_counts(*, cap: int) -> tuple[int, int]:
    """How many runs are running and how many groups need action, each up to one more than `cap`. One statement."""
    running, needing = _running_statement(cap=cap), needing_statement(cap=cap)
    with connection.cursor() as cursor:
        cursor.execute(f"{running[0]} UNION ALL {needing[0]}", [*running[1], *needing[1]])
        found = {name: int(number) for name, _, number in cursor.fetchall()}
    return found["running"], found[NEEDING]


def _counted(name: str, rows: QuerySet[Any, Any]) -> Sql:
    sql, values = rows.query.sql_with_params()
    return f"SELECT %s AS kind, '' AS name, COUNT(*) AS number FROM ({sql}) counted", (name, *values)  # noqa: S608
