"""What is kept of a run that never starts: its arguments in their places, and none of its secrets."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest
from celery import current_app, group
from celery.app.task import Context
from celery.app.trace import build_tracer
from celery.exceptions import ChordError
from django.conf import settings
from django_celery_results.models import TaskResult
from redis import Redis

from jobs.catalog.secrecy import HIDDEN
from jobs.fleet.broker import FACTS_KEY, connect
from jobs.ledger.shown_arguments import shown_arguments
from jobs.models import Run
from jobs.pipeline.canvas import CHORD_UNSENT, RESULT_TO_COME
from jobs.pipeline.publishing import report_published
from jobs.recorder.ingest import Ingest
from jobs.states import State
from tests.jobs_under_test import fail_with_secret, say_secret

pytestmark = pytest.mark.django_db(transaction=True)
CANARY = "canary-of-a-chain"


def record() -> None:
    client = connect(settings.REDIS_URL, timeout=5)
    ingest = Ingest(client)
    while client.xlen(FACTS_KEY):
        ingest.step(wait=0.05)


def failed(task_id: str, **more: Any) -> Context:
    """The request of a run that fails in a worker."""
    return Context({"id": task_id, "task": "shop.charge", "hostname": "w@1", "root_id": task_id,
                    "argsrepr": "()", "kwargsrepr": "{}", "delivery_info": {}, **more})  # fmt: skip


def fail_chord(body: Any, why: str) -> None:
    """As Celery does it where a chord's body does not start."""
    try:
        raise ChordError(why)
    except ChordError as error:
        current_app.backend.chord_error_from_stack(body, error)


@pytest.mark.parametrize("behind", ["chain", "chord", "group"])
def test_a_secret_is_known_by_its_place_behind_the_result_that_is_to_come(redis: Redis, behind: str) -> None:
    task_id, never = str(uuid4()), str(uuid4())
    member = fail_with_secret.s(CANARY).set(task_id=never)  # its place is what runs before it returns
    request = failed(task_id, chain=[json.loads(json.dumps(member))] if behind == "chain" else None)
    current_app.backend.mark_as_failure(task_id, LookupError("no rate"), "Traceback", request)
    if behind != "chain":
        body = member if behind == "chord" else group([member], task_id=str(uuid4()))
        fail_chord(body, f"Dependency {task_id} raised LookupError('no rate')")
    assert CANARY not in str(redis.xrange(FACTS_KEY)) and CANARY not in str(redis.get(f"celery-task-meta-{never}"))
    record()
    run, row = Run.objects.get(task_id=never), TaskResult.objects.get(task_id=never)
    assert shown_arguments(run, None) == [("Argument 1", RESULT_TO_COME), ("Argument 2", HIDDEN)]
    assert (run.parent_id, run.root_id, run.state) == (task_id, task_id, State.CANCELLED)
    assert CANARY not in f"{run.arguments} {run.summary} {row.task_args} {row.task_kwargs}"
    assert HIDDEN in json.loads(row.task_args or "")


def test_a_body_that_could_not_be_published_has_failed_itself(redis: Redis) -> None:
    """Nothing else tells of it: the whole header succeeded."""
    body = fail_with_secret.s("t").set(task_id="body")
    fail_chord(body, "Callback error: OperationalError('away')")
    record()
    run = Run.objects.get(task_id="body")
    assert (run.state, run.state_note, run.task_name) == (State.FAILED, CHORD_UNSENT, fail_with_secret.name)
    assert run.failure_group is not None


def test_a_result_stored_within_an_errback_is_not_of_the_chord(redis: Redis) -> None:
    """What somebody's code stores for other ids while Celery fails a chord."""
    backend = current_app.backend
    backend.store_result("before", 1, "SUCCESS")

    @current_app.task(name="tests.errback_that_stores")
    def errback(request: Any, exc: Any, traceback: Any) -> None:
        backend.store_result("other", {"rows": 1}, "SUCCESS")

    body = fail_with_secret.s("t").set(task_id="body", link_error=[errback.s()])
    fail_chord(body, "Dependency x raised LookupError()")
    record()
    assert list(Run.objects.values_list("task_id", flat=True)) == ["body"]
    assert TaskResult.objects.filter(task_id__in=["before", "other"], status="SUCCESS").count() == 2


@pytest.mark.parametrize("name", ["celery.starmap", "celery.chunks", "celery.map"])
def test_the_secrets_of_a_task_that_is_called_many_times_are_its_own(redis: Redis, name: str) -> None:
    task_id, places = str(uuid4()), [["here", CANARY], ["there", CANARY]]
    kwargs: dict[str, Any] = {"task": dict(fail_with_secret.s()), "it": places}
    if name == "celery.map":
        kwargs = {"task": dict(say_secret.s()), "it": [CANARY, CANARY]}
    report_published(name, {"id": task_id, "task": name}, ([], kwargs, {}), "default")
    request = {"id": task_id, "task": name, "hostname": "w@1", "root_id": task_id, "delivery_info": {},
               "argsrepr": "()", "kwargsrepr": repr(kwargs), "is_eager": False}  # fmt: skip
    task = current_app.tasks[name]
    build_tracer(name, task, app=current_app)(task_id, [], kwargs, request)
    assert CANARY not in str(redis.get(f"celery-task-meta-{task_id}"))
    record()
    run, row = Run.objects.get(task_id=task_id), TaskResult.objects.get(task_id=task_id)
    assert run.state == State.FAILED
    told = [run.arguments, run.summary, run.error_message, str(shown_arguments(run, None)), row.task_kwargs]
    told += [row.result, row.traceback, *run.attempts.values_list("traceback", flat=True)]
    assert all(CANARY not in str(text) for text in told)
    assert HIDDEN in str(shown_arguments(run, None)) and HIDDEN in json.loads(row.task_kwargs or "")
