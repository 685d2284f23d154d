"""A task whose body has ended while Redis takes no writes: what it did stays what is told.

The tasks are traced in this process, by Celery's own tracer, with the real backend and a real Redis.
"""

from __future__ import annotations

import json
import threading
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from celery import chord, current_app, shared_task, signals
from celery.app.trace import build_tracer
from celery.exceptions import SoftTimeLimitExceeded
from celery.result import AsyncResult
from redis import Redis

from jobs.fleet.broker import FACTS_KEY
from jobs.pipeline.backend import RecordingBackend
from tests.integration.own_redis import full, stopped, unsaved

Outage = Callable[[Redis, Path], AbstractContextManager[str]]
OUTAGES: list[Outage] = [full, unsaved, stopped]
pytestmark = pytest.mark.django_db(transaction=True)
_at_end: list[Callable[[], None]] = []


def _end() -> None:
    for act in _at_end:
        act()


@shared_task
def returns() -> str:
    _end()
    return "done"


@shared_task(ignore_result=True)
def returns_nothing() -> None:
    _end()


@shared_task
def raises() -> None:
    _end()
    raise LookupError("no such rate")


@shared_task(bind=True)
def asks_for_a_retry(self: Any) -> None:
    sent = self.retry(countdown=60, throw=False)
    _end()
    raise sent


@shared_task
def is_counted() -> str:
    return "done"


@shared_task
def collects(results: list[str]) -> list[str]:
    return results


class Trouble:
    """An outage that begins when a body has ended."""

    def __init__(self, redis: Redis, root: Path) -> None:
        self._redis, self._root = redis, root
        self._outage = ExitStack()
        self._timer: threading.Timer | None = None

    def begin(self, which: Outage, *, seconds: float | None = None) -> None:
        """Let it last so long, else until its end is called."""

        def act() -> None:
            self._outage.enter_context(which(self._redis, self._root))
            if seconds is not None:
                self._timer = threading.Timer(seconds, self._outage.close)
                self._timer.start()

        _at_end.append(act)

    def end(self) -> None:
        _at_end.clear()
        if self._timer is not None:
            self._timer.join()
        self._outage.close()


@pytest.fixture
def outage(redis: Redis, root: Path) -> Iterator[Trouble]:
    trouble = Trouble(redis, root)
    yield trouble
    trouble.end()


@pytest.fixture
def heard() -> Iterator[list[str]]:
    """Celery's signals of the end, by name."""
    told: list[str] = []
    names = ("task_success", "task_failure", "task_retry", "task_internal_error")
    hear = {name: lambda name=name, **_: told.append(name) for name in names}
    for name, receiver in hear.items():
        getattr(signals, name).connect(receiver, weak=False)
    yield told
    for name, receiver in hear.items():
        getattr(signals, name).disconnect(receiver)


def trace(task: Any, **headers: Any) -> tuple[str, Any]:
    task_id = str(uuid4())
    request = {"id": task_id, "task": task.name, "hostname": "w@1", "root_id": task_id, "delivery_info": {},
               "is_eager": False, **headers}  # fmt: skip
    return task_id, build_tracer(task.name, task, app=current_app)(task_id, [], {}, request)


def ends(redis: Redis, task_id: str) -> list[tuple[str, str]]:
    """What the stream was told of its end: state and error."""
    entries: Any = redis.xrange(FACTS_KEY)
    facts = [json.loads(fields[b"f"]) for _, fields in entries]
    return [(fact["state"], fact.get("error_type", "")) for fact in facts
            if fact["task_id"] == task_id and fact["kind"] == "ended"]  # fmt: skip


@pytest.mark.parametrize(
    ("which", "task", "state", "error", "signal"),
    [
        (unsaved, returns, "SUCCESS", "", "task_success"),
        (full, returns, "SUCCESS", "", "task_success"),
        (stopped, returns, "SUCCESS", "", "task_success"),
        (unsaved, returns_nothing, "SUCCESS", "", "task_success"),
        (unsaved, raises, "FAILURE", "LookupError", "task_failure"),
        (unsaved, asks_for_a_retry, "RETRY", "", "task_retry"),
    ],
)
def test_the_end_is_told_as_it_was_when_redis_takes_it(
    redis: Redis, outage: Trouble, heard: list[str], which: Outage, task: Any, state: str, error: str, signal: str
) -> None:
    outage.begin(which, seconds=0.5)
    task_id, _ = trace(task)
    assert ends(redis, task_id) == [(state, error)]
    assert heard == [signal], "what the project hears is what stock Celery tells without an outage"
    if task is not returns_nothing:
        assert AsyncResult(task_id).state == state


@pytest.mark.parametrize("which", OUTAGES)
@pytest.mark.parametrize("task", [returns, raises])
def test_what_redis_never_takes_is_no_failure_of_the_task(
    redis: Redis, outage: Trouble, heard: list[str], which: Outage, task: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is told then: the reaper tells it as lost."""
    policy = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}
    monkeypatch.setattr(current_app.backend, "retry_policy", policy)
    outage.begin(which)
    task_id, traced = trace(task)
    assert heard == ["task_success" if task is returns else "task_failure"]
    assert (traced.retval == "done") is (task is returns), "the worker's main process is told the same"
    outage.end()
    assert ends(redis, task_id) == []


@pytest.mark.parametrize("which", OUTAGES)
def test_a_chord_goes_on_when_redis_takes_it(
    redis: Redis, outage: Trouble, which: Outage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The outage begins when the result of the last header task is stored, before it is counted."""
    made: Any = chord([is_counted.s(), is_counted.s()])(collects.s())
    header, body = [result.id for result in made.parent], made.id
    messages = [json.loads(text) for text in redis.lrange("default", 0, -1)]
    asked = {one["headers"]["id"]: one for one in messages}
    redis.delete("default")
    stores = RecordingBackend._write

    def stores_and_ends(*told: Any) -> None:
        stores(*told)
        _end()

    for place, task_id in enumerate(header):
        if place:
            monkeypatch.setattr(RecordingBackend, "_write", stores_and_ends)
            outage.begin(which, seconds=0.5)
        embed = {"chord": _chord_of(asked[task_id])}
        headers = {**asked[task_id]["headers"], "hostname": "w@1", "delivery_info": {}, "is_eager": False, **embed}
        build_tracer(is_counted.name, is_counted, app=current_app)(task_id, [], {}, headers)
    assert [ends(redis, task_id) for task_id in header] == [[("SUCCESS", "")]] * 2
    (text,) = redis.lrange("default", 0, -1)
    assert json.loads(text)["headers"]["id"] == body


def _chord_of(message: dict[str, Any]) -> Any:
    return json.loads(b64decode(message["body"]))[2]["chord"]


def test_a_soft_limit_that_passes_while_the_end_is_told_ends_nothing(
    redis: Redis, outage: Trouble, heard: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    outage.begin(full, seconds=0.5)
    slept = time.sleep
    fired: list[float] = []

    def interrupted(seconds: float) -> None:
        if not fired:
            fired.append(seconds)
            raise SoftTimeLimitExceeded
        slept(seconds)

    monkeypatch.setattr("kombu.utils.functional.sleep", interrupted)
    task_id, _ = trace(returns)
    assert fired and ends(redis, task_id) == [("SUCCESS", "")] and heard == ["task_success"]
