"""Tasks whose messages and results are no JSON: nothing is lost over it, and what cannot be kept exactly is said.

The tasks are traced in this process, by Celery's own tracer, with the real backend and a real Redis.
"""

from __future__ import annotations

import json
import uuid
from decimal import Decimal
from typing import Any

import pytest
from celery import current_app, shared_task
from celery.app.trace import build_tracer
from django.conf import settings
from django_celery_results.models import TaskResult
from kombu.serialization import register
from pydantic import SecretStr
from redis import Redis

from jobs import job
from jobs.catalog.registry import find_job
from jobs.fleet.broker import FACTS_KEY, connect
from jobs.fleet.headers import ATTEMPT_HEADER
from jobs.ledger.retry import why_not
from jobs.models import Run
from jobs.pipeline.arguments import encode
from jobs.pipeline.backend import RecordingBackend
from jobs.recorder.ingest import Ingest
from jobs.states import State

pytestmark = pytest.mark.django_db(transaction=True)


class Money(Decimal):
    """A value that only pickle brings back as what it was."""


class Price:
    """An object that is no JSON at all."""

    def __init__(self, amount: int) -> None:
        self.amount = amount

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Price) and other.amount == self.amount

    def __hash__(self) -> int:
        return hash(self.amount)


class Refused(Exception):
    """What a body raises."""


def _own(value: Any) -> str:
    return "own:" + json.dumps(value)


def _read_own(text: Any) -> Any:
    return json.loads((text if isinstance(text, str) else text.decode()).removeprefix("own:"))


register("tests-own", _own, _read_own, "application/x-tests-own", "utf-8")


@shared_task
def takes(*values: Any) -> Any:
    return values[0] if values else None


@shared_task(serializer="pickle")
def pickled(*values: Any) -> Any:
    return values[0] if values else None


@shared_task
def refuses(value: Any) -> None:
    raise Refused("not today", value)


class Tell:
    """Its `repr` says what it was given."""

    def __init__(self, word: str) -> None:
        self.word = word

    def __repr__(self) -> str:
        return f"Tell({self.word})"


@job(title="Tell a secret badly", group="Tests", listed=False)
def tells_secret(word: SecretStr) -> Any:
    return Tell(word.get_secret_value())


@pytest.fixture
def ingest(redis: Redis) -> Ingest:
    return Ingest(connect(settings.REDIS_URL, timeout=5))


def backend(serializer: str) -> RecordingBackend:
    url = str(current_app.conf.result_backend).partition("+")[2]
    return RecordingBackend(app=current_app, url=url, serializer=serializer, accept=[serializer])


def trace(task: Any, args: Any, serializer: str = "json", **headers: Any) -> tuple[str, RecordingBackend]:
    """One execution as a worker's pool traces it, with results written by that serializer."""
    task, task_id, store = current_app.tasks[task.name], str(uuid.uuid4()), backend(serializer)
    task.backend = store
    try:
        tracer = build_tracer(task.name, task, app=current_app)
        task.__trace__ = tracer
        request = {"id": task_id, "task": task.name, "delivery_info": {}, "hostname": "w@1"}
        request |= {"argsrepr": repr(args), "kwargsrepr": "{}", **headers}
        task.__trace__(task_id, args, {}, request)
    finally:
        task.backend = None
    return task_id, store


def record(ingest: Ingest) -> None:
    while connect(settings.REDIS_URL, timeout=5).xlen(FACTS_KEY):
        ingest.step(wait=0.05)


@pytest.mark.parametrize("serializer", ["json", "yaml", "tests-own"])
def test_a_result_is_not_lost_over_its_arguments(serializer: str, ingest: Ingest) -> None:
    task_id, store = trace(takes, ("fine", Price(7), {1, 2}), serializer)
    meta = store.get_task_meta(task_id)
    assert (meta["status"], meta["result"]) == ("SUCCESS", "fine")
    assert "Price" in str(meta["args"])
    record(ingest)
    assert Run.objects.get(task_id=task_id).state == State.SUCCEEDED
    assert json.loads(TaskResult.objects.get(task_id=task_id).result) == "fine"


@pytest.mark.parametrize("serializer", ["json", "yaml", "tests-own"])
def test_a_failure_is_not_lost_over_its_arguments(serializer: str, ingest: Ingest) -> None:
    task_id, store = trace(refuses, (Price(7),), serializer)
    meta = store.get_task_meta(task_id)
    assert (meta["status"], type(meta["result"]).__name__) == ("FAILURE", "Refused")
    record(ingest)
    assert Run.objects.get(task_id=task_id).error_type == "Refused"


@pytest.mark.parametrize("value", [Price(7), (1, (2, 3)), Money("1.50"), {1: {2}}])
def test_a_pickled_result_is_what_it_was(value: Any, ingest: Ingest) -> None:
    task_id, store = trace(takes, (value,), "pickle")
    meta = store.get_task_meta(task_id)
    assert (meta["status"], meta["result"], type(meta["result"])) == ("SUCCESS", value, type(value))
    assert meta["args"] == (value,)
    record(ingest)
    assert Run.objects.get(task_id=task_id).state == State.SUCCEEDED
    assert json.loads(TaskResult.objects.get(task_id=task_id).result) is not None


def test_a_pickled_error_is_described_as_any_other(ingest: Ingest) -> None:
    task_id, store = trace(refuses, (7,), "pickle")
    assert store.get_task_meta(task_id)["result"].args == ("not today", 7)
    record(ingest)
    run, row = Run.objects.get(task_id=task_id), TaskResult.objects.get(task_id=task_id)
    assert (run.error_type, json.loads(row.result)["exc_type"]) == ("Refused", "Refused")


def test_what_is_shown_of_a_pickled_object_has_no_secret(ingest: Ingest) -> None:
    run = Run.objects.create(
        task_id=str(uuid.uuid4()), task_name=tells_secret.name, state=State.QUEUED, guaranteed=True
    )
    task: Any = current_app.tasks[tells_secret.name]
    task.backend = backend("pickle")
    try:
        task.__trace__ = build_tracer(task.name, task, app=current_app)
        request = {"id": run.task_id, "task": task.name, "delivery_info": {}, "hostname": "w@1", ATTEMPT_HEADER: 1}
        task.__trace__(run.task_id, (), {"word": "opensesame"}, request)
    finally:
        task.backend = None
    record(ingest)
    row = TaskResult.objects.get(task_id=run.task_id)
    assert "Tell(" in row.result
    assert "opensesame" not in row.result


@pytest.mark.parametrize(
    ("args", "exact"),
    [
        ([1, "a", [1], {"a": None}], True),
        ([Decimal("1.50"), uuid.UUID(int=1)], True),
        ([float("nan")], True),
        ([(1, 2)], False),
        ([{1: "a"}], False),
        ([Money("1.50")], False),
        ([Price(7)], False),
        ([{1, 2}], False),
        ([True, 1.0, 1], True),
    ],
)
def test_what_travels_otherwise_is_exact_only_where_the_text_says_the_same(args: Any, exact: bool) -> None:
    assert encode(args, {}, as_json=False)[1] is exact


def test_json_makes_lists_of_tuples_for_the_worker_too() -> None:
    assert encode([(1, 2)], {1: 2}) == ('[[[1, 2]], {"1": 2}]', True)


@pytest.mark.parametrize(
    ("task", "options", "exact"),
    [
        (takes, {}, True),
        (takes, {"serializer": "pickle"}, False),
        (takes, {"serializer": "yaml"}, False),
        (pickled, {}, False),
        (pickled, {"serializer": "json"}, True),
    ],
)
def test_who_publishes_says_how_exactly_it_is_kept(
    task: Any, options: dict[str, Any], exact: bool, ingest: Ingest
) -> None:
    result = task.apply_async(((1, 2),), **options)
    record(ingest)
    run = Run.objects.get(task_id=result.id)
    assert (run.arguments, run.arguments_exact) == ("[[[1, 2]], {}]", exact)
    run.state = State.FAILED
    assert bool(why_not(run, find_job(task.name))) is not exact
