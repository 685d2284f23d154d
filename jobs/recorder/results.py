"""The rows of django-celery-results, as its own backend would have written them, many in one statement."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from django_celery_results.models import GroupResult, TaskResult

from jobs.pipeline.facts import Fact

from .merge import moment
from .rows import Table

#: Not through the ORM: `date_done` is `auto_now`, which is the moment of recording and not that of the end.
_RESULTS = Table(
    TaskResult,
    ("task_id", "task_name", "periodic_task_name", "task_args", "task_kwargs", "status", "worker", "content_type",
     "content_encoding", "result", "traceback", "meta", "date_created", "date_started", "date_done"),
)  # fmt: skip
_GROUPS = Table(GroupResult, ("group_id", "date_created", "date_done", "content_type", "content_encoding", "result"))
_CONTENT = ("application/json", "utf-8")


def store_results(facts: Iterable[Fact]) -> None:
    """Insert or replace the stored result of each fact's task; the last fact of a task wins."""
    last = {fact.task_id: fact for fact in facts if fact.state}
    _RESULTS.replace(map(_result, last.values()), key="task_id", keep=["date_created"])


def store_groups(facts: Iterable[Fact]) -> None:
    """Insert or replace the members of each group that code has saved."""
    last = {fact.task_id: fact for fact in facts}
    _GROUPS.replace(map(_group, last.values()), key="group_id", keep=["date_created"])


def _result(fact: Fact) -> tuple[Any, ...]:
    meta = fact.meta
    at = moment(fact.at)
    return (
        fact.task_id,
        fact.task or None,
        fact.schedule_name or None,
        _text(meta.get("args")),
        _text(meta.get("kwargs")),
        fact.left_state or fact.state,
        fact.worker or None,
        *_CONTENT,
        fact.result if fact.result is not None else "null",
        meta.get("traceback", fact.traceback) or None,
        json.dumps({**(meta.get("meta") or {}), "children": meta.get("children", [])}),
        at,
        moment(fact.started_at) if fact.started_at else None,
        at,
    )


def _text(value: Any) -> str | None:
    """Celery's description of arguments, encoded once more; nothing where the message came without one."""
    return None if value is None else json.dumps(value)


def _group(fact: Fact) -> tuple[Any, ...]:
    at = moment(fact.at)
    return (fact.task_id, at, at, *_CONTENT, fact.result)
