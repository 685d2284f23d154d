"""Reading the stored result of a run: django-celery-results' row, decoded without rebuilding any exception object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django_celery_results.models import TaskResult
from kombu.utils import json


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
        value = json.loads(row["result"] or "null")
    except ValueError:
        value = row["result"]
    return Stored(exists=True, value=value, traceback=row["traceback"] or "")
