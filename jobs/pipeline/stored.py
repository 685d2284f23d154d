"""The stored results: django-celery-results' rows, read without rebuilding any exception object, and forgotten."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Exists, Model, OuterRef, Q
from django_celery_results.models import GroupResult, TaskResult

from jobs.models import Run

from .arguments import read_shown


@dataclass(frozen=True, slots=True)
class Stored:
    """`value` is the decoded return value, or Celery's description of the error as a dict."""

    exists: bool
    value: Any = None
    traceback: str = ""


def stored_result(task_id: str) -> Stored:
    """The stored result of `task_id`; text that is not JSON (it was cut) is returned as text."""
    row = TaskResult.objects.filter(task_id=task_id).values("result", "traceback").first()
    if row is None:
        return Stored(exists=False)
    try:
        value = read_shown(row["result"] or "null")
    except ValueError:
        value = row["result"]
    return Stored(exists=True, value=value, traceback=row["traceback"] or "")


def results_model() -> type[TaskResult]:
    """The table itself, for loading many rows at once."""
    return TaskResult


def forget_results(task_ids: Collection[str], group_ids: Collection[str] = ()) -> None:
    """Delete the stored results of these tasks and groups, without signals, in the caller's transaction."""
    _delete_where(TaskResult, "task_id", task_ids)
    _delete_where(GroupResult, "group_id", group_ids)


def forget_orphans(
    before: datetime, *, after: tuple[datetime, int] | None, limit: int
) -> tuple[int, tuple[datetime, int] | None]:
    """Among the next `limit` results that ended before that time, delete those that belong to no run.

    Args:
        after: where the last call stopped; None begins with the oldest.

    Returns:
        How many were deleted, and where the next call goes on; None when there is no more to look at.
    """
    found = TaskResult.objects.filter(date_done__lt=before).order_by("date_done", "id")
    if after is not None:
        found = found.filter(Q(date_done__gt=after[0]) | Q(pk__gt=after[1]), date_done__gte=after[0])
    of_a_run = Exists(Run.objects.filter(task_id=OuterRef("task_id")))
    rows = list(found.values_list("date_done", "id", of_a_run)[:limit])
    orphans = [key for _, key, has_run in rows if not has_run]
    _delete_where(TaskResult, "id", orphans)
    return len(orphans), (rows[-1][0], rows[-1][1]) if len(rows) == limit else None


def forget_old_groups(before: datetime) -> None:
    """Delete the stored results of groups that ended before that time."""
    old = GroupResult.objects.filter(date_done__lt=before).order_by("date_done").values_list("id", flat=True)
    while keys := list(old[:500]):
        _delete_where(GroupResult, "id", keys)


def _delete_where(model: type[Model], column: str, values: Collection[str | int]) -> None:
    """One statement, whoever listens to signals."""
    if values:
        marks = ", ".join(["%s"] * len(values))
        with connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM {model._meta.db_table} WHERE {column} IN ({marks})", list(values))  # noqa: S608
