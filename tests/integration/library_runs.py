"""Runs a job that ships as a worker would, on behalf of a person, in the test's own process and transaction."""

from __future__ import annotations

import csv
import io
import uuid
from dataclasses import dataclass
from enum import Enum
from typing import Any

from celery._state import _task_stack  # type: ignore[attr-defined]
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone

from jobs.catalog.registry import find_job
from jobs.models import Run
from jobs.pipeline.execution import execution_of
from jobs.pipeline.live import Counter, LiveRun, current


class Unwatched(LiveRun):
    """Keeps what it is told; there is no Redis to carry it to."""

    __slots__ = ()

    def watch(self) -> None:
        """Nobody looks."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What a run left: its value, or the error that it raised, its files by name, and how far it says that it is."""

    value: Any
    files: dict[str, str]
    counter: Counter | None = None

    def text(self, name: str) -> str:
        with default_storage.open(self.files[name]) as stream:
            return str(stream.read().decode("utf-8-sig"))

    def table(self, name: str) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.text(name), newline="")))


class Stop(Enum):
    """Whether somebody asks the run to stop: never, after its first look, before it."""

    NEVER, LATER, FIRST = range(3)


def run_as(user: User | None, job: Any, stop: Stop = Stop.NEVER, /, **values: Any) -> Ended:
    """Run the body of `job` with these values, as a message carries them, inside its request.

    Args:
        stop: for LATER the caller sees to it that somebody asks.
    """
    task_id = str(uuid.uuid4())
    Run.objects.create(
        task_id=task_id,
        task_name=job.name,
        actor_id=str(user.pk) if user else None,
        actor_label=str(user or ""),
        cancel_requested_at=timezone.now() if stop is Stop.FIRST else None,
    )
    parameters = find_job(job.name).parameters
    assert parameters is not None
    call = parameters.to_python([], values)
    _task_stack.push(job)
    job.push_request(id=task_id)
    live = None if stop is Stop.NEVER else Unwatched(task_id, 1)
    current.run = live
    try:
        try:
            value = job.run(*call.args, **call.kwargs)
        except Exception as error:  # noqa: BLE001
            value = error
        files = execution_of(job.request).files
    finally:
        current.run = None
        job.pop_request()
        _task_stack.pop()
    return Ended(value, {file["name"]: file["path"] for file in files}, live.counter if live else None)


def upload(content: str | bytes, name: str = "people.csv") -> dict[str, Any]:
    """A file parameter as it travels."""
    data = content.encode() if isinstance(content, str) else content
    path = default_storage.save(f"uploads/{uuid.uuid4()}/{name}", ContentFile(data))
    return {"path": path, "name": name, "size": len(data)}
