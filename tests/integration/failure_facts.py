"""Failed and succeeded runs as the recorder would tell of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from django.utils import timezone

from jobs.failures.record import note_failures
from jobs.models import FailureGroup, Run
from jobs.pipeline.facts import Fact, Kind
from jobs.recorder.record import record_facts
from jobs.states import State

TRACE = """Traceback (most recent call last):
  File "/app/.venv/lib/python3.12/site-packages/celery/app/trace.py", line 479, in trace_task
    R = retval = fun(*args, **kwargs)
  File "/srv/shop/{0}.py", line 41, in {1}
    raise ValueError(text)
ValueError: x
"""
_numbers = count(1)


def fact(task_id: str, state: str, at: datetime, **more: Any) -> Fact:
    """What a worker reports."""
    values: dict[str, Any] = {"task": "shop.work", "worker": "w@1", "n": 1, "guaranteed": True, **more}
    return Fact(kind=Kind.ENDED, state=state, task_id=task_id, at=at.timestamp(), **values)


def run_of(task_name: str = "shop.work", *, ago: float = 60, arguments: str = "[[], {}]", **more: Any) -> Run:
    """A run that is at work, asked for so many seconds ago."""
    asked = timezone.now() - timedelta(seconds=ago)
    values: dict[str, Any] = {"guaranteed": True, "state": State.RUNNING, "attempt": 1, "started_at": asked, **more}
    task_id = f"{next(_numbers):08x}-0000-4000-a000-000000000000"
    return Run.objects.create(
        task_id=task_id, task_name=task_name, arguments=arguments, accepted_at=asked, worker="w@1", **values
    )


def failed(run: Run, *, place: str = "pay", function: str = "charge", at: datetime | None = None, **more: Any) -> Fact:
    """That it failed."""
    values = {"error_type": "ValueError", "error_message": f"order {run.pk} is wrong", **more}
    values.setdefault("traceback", TRACE.format(place, function))
    return fact(run.task_id, "FAILURE", at or ended(run), task=run.task_name, **values)


def succeeded(run: Run, at: datetime | None = None) -> Fact:
    """That it succeeded."""
    return fact(run.task_id, "SUCCESS", at or ended(run), task=run.task_name, result="1")


def ended(run: Run) -> datetime:
    """A second after it was asked for."""
    return run.accepted_at.astimezone(UTC) + timedelta(seconds=1)


def record(*facts: Fact) -> None:
    """As the recorder does it."""
    record_facts(facts)
    runs = {run.task_id: run for run in Run.objects.filter(task_id__in=[one.task_id for one in facts])}
    note_failures(
        [(runs[one.task_id], one) for one in facts if runs[one.task_id].state in {State.FAILED, State.LOST}],
        [run for run in runs.values() if run.state == State.SUCCEEDED],
    )


def group_of(run: Run) -> FailureGroup:
    """The group that it belongs to now."""
    run.refresh_from_db()
    assert run.failure_group is not None
    return run.failure_group
