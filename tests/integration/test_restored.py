"""A database that went back in time: what Redis still knows is used, and what nobody knows is not run blindly again."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from celery.app.task import Context
from celery.exceptions import WorkerLostError
from django.utils import timezone
from redis import Redis
from redis.client import Pipeline

from jobs.fleet.beacon import beacon_key, last_key
from jobs.fleet.broker import BEACONS_KEY, FACTS_KEY, steady_client
from jobs.fleet.headers import ATTEMPT_HEADER
from jobs.models import Lease, Run
from jobs.recorder import restored
from jobs.recorder.dispatch import Dispatcher
from jobs.recorder.restored import MARK_KEY
from jobs.states import State
from tests import jobs_under_test as under_test
from tests.integration.own_redis import fresh, own_redis

BEACON = {
    "beat": 9,
    "pid": 1,
    "release": "r",
    "pool": "prefork",
    "concurrency": 2,
    "queues": ["default"],
    "running": {},
}


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[Redis]:
    with own_redis(root) as client:
        yield client


@pytest.fixture
def dispatcher(server: Redis, db: None) -> Dispatcher:
    """It has looked once, so that both sides bear a mark."""
    fresh(server)
    dispatcher = Dispatcher(current_app, steady_client())
    dispatcher.step()
    return dispatcher


def run_of(task_id: str, name: str = under_test.add.name, **values: object) -> Run:
    past = timezone.now() - timedelta(minutes=10)
    given = {"state": State.QUEUED, "guaranteed": True, "task_name": name, "queue": "default", "accepted_at": past}
    return Run.objects.create(
        task_id=task_id, **{**given, "arguments": "[[], {}]", "published_at": past, "publish_after": past, **values}
    )


def restore(dispatcher: Dispatcher) -> None:
    """Five minutes back, as the database after it tells."""
    back = timezone.now() - timedelta(minutes=5)
    Lease.objects.filter(name="books").update(renewed_at=back)
    dispatcher.recover()


def after(task_id: str) -> tuple[str, int, str]:
    run = Run.objects.get(task_id=task_id)
    return run.state, run.attempt, run.state_note


def test_what_ended_after_the_backup_is_told_by_its_result(dispatcher: Dispatcher, server: Redis) -> None:
    for task_id in ("well", "badly"):
        run_of(task_id)
    request = Context({"id": "well", "task": under_test.add.name, "hostname": "w@1", "retries": 1, ATTEMPT_HEADER: 1})
    current_app.backend.mark_as_done("well", 42, request=request)
    request = Context({"id": "badly", "task": under_test.add.name, "hostname": "w@1", "retries": 0, ATTEMPT_HEADER: 1})
    current_app.backend.mark_as_failure("badly", ValueError("no"), traceback="Traceback …", request=request)
    server.delete(FACTS_KEY)  # they were recorded, in the database that is gone

    restore(dispatcher)
    assert dispatcher.step() == 0, "nothing is published again"
    assert after("well") == ("succeeded", 2, "") and after("badly")[:2] == ("failed", 1)
    run = Run.objects.get(task_id="badly")
    assert (run.error_type, run.error_message, run.worker) == ("ValueError", "no", "w@1")
    assert run.attempts.get().traceback == "Traceback …"


def test_a_result_is_of_the_execution_that_it_names(dispatcher: Dispatcher, server: Redis) -> None:
    """All had lost their first execution before the backup: so it was told, and of one it was not so."""
    for task_id in ("ended", "at work", "late"):
        run_of(task_id, under_test.hold_again.name, attempt=1)
    again = Context({"id": "ended", "task": under_test.hold_again.name, "hostname": "w@1", ATTEMPT_HEADER: 2})
    current_app.backend.mark_as_done("ended", 42, request=again)
    first = Context({"id": "at work", "task": under_test.hold_again.name, "hostname": "w@1", ATTEMPT_HEADER: 1})
    current_app.backend.mark_as_failure("at work", WorkerLostError("gone"), request=first)
    server.delete(FACTS_KEY)

    late = Context({"id": "late", "task": under_test.hold_again.name, "hostname": "w@1", ATTEMPT_HEADER: 1})
    current_app.backend.mark_as_done("late", 42, request=late)
    server.delete(FACTS_KEY)

    restore(dispatcher)
    assert dispatcher.step() == 1
    assert after("ended") == ("succeeded", 2, "") and after("late") == ("succeeded", 1, "")
    assert after("at work")[:2] == ("queued", 2), "nobody knows what became of the second: the next is the third"


@pytest.mark.parametrize("late", ["retry", "failure", "the same execution's failure"])
def test_a_late_word_leaves_the_result_of_a_later_execution(dispatcher: Dispatcher, server: Redis, late: str) -> None:
    """A worker publishes a retry before it tells of it: another may have made the next execution meanwhile."""
    run_of("overtaken")

    def request(retries: int) -> Context:
        values = {"id": "overtaken", "task": under_test.add.name, "hostname": "w@1", "retries": retries}
        return Context({**values, ATTEMPT_HEADER: 1})

    current_app.backend.mark_as_done("overtaken", 42, request=request(2))
    error = ValueError("not yet")
    if late == "retry":
        current_app.backend.mark_as_retry("overtaken", error, request=request(1))
    else:
        current_app.backend.mark_as_failure("overtaken", error, request=request(1 if late == "failure" else 2))
    assert current_app.AsyncResult("overtaken").get(timeout=5) == 42
    assert server.xlen(FACTS_KEY) == 2, "the history is told of both"


def test_a_retry_that_is_told_while_the_next_execution_ends_leaves_its_result(
    dispatcher: Dispatcher, server: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both ends look at what is stored, and find nothing, before either writes."""
    run_of("at once")
    values = {"id": "at once", "task": under_test.add.name, "hostname": "w@1", ATTEMPT_HEADER: 1}
    execute, calls = Pipeline.execute, []

    def overtaken(pipe: Any, *args: Any, **options: Any) -> Any:
        calls.append(pipe)
        if len(calls) == 1:
            current_app.backend.mark_as_done("at once", 42, request=Context({**values, "retries": 2}))
        return execute(pipe, *args, **options)

    monkeypatch.setattr(Pipeline, "execute", overtaken)
    current_app.backend.mark_as_retry("at once", ValueError("not yet"), request=Context({**values, "retries": 1}))
    assert current_app.AsyncResult("at once").get(timeout=5) == 42
    assert server.xlen(FACTS_KEY) == 2, "the history is told of both"


def test_what_nobody_knows_is_lost_and_only_an_idempotent_job_starts_again(
    dispatcher: Dispatcher, server: Redis
) -> None:
    run_of("once")
    run_of("at work", state=State.RUNNING, attempt=1, publish_after=None)
    run_of("again", under_test.hold_again.name)

    restore(dispatcher)
    assert dispatcher.step() == 1
    assert after("once") == ("lost", 1, "database restored")
    assert after("at work") == ("lost", 1, "database restored")
    assert after("again")[:2] == ("queued", 1), "its next execution has another number"
    assert server.llen("default") == 1


def test_nothing_is_published_of_a_database_that_was_restored_since_the_last_look(
    dispatcher: Dispatcher, server: Redis
) -> None:
    """Under a running recorder, which meets no outage, right after it has compared the marks."""
    run_of("once")
    Lease.objects.filter(name="books").update(renewed_at=timezone.now() - timedelta(minutes=5))
    assert dispatcher.step() == 0 and server.llen("default") == 0
    assert dispatcher.step() == 0
    assert after("once") == ("lost", 1, "database restored")


def test_what_is_still_in_redis_goes_on(dispatcher: Dispatcher, server: Redis) -> None:
    run_of("waits", state=State.ACCEPTED, published_at=None)
    run_of("taken", state=State.ACCEPTED, published_at=None)
    run_of("retries", state=State.ACCEPTED, published_at=None, attempt=1, retries=1)
    assert dispatcher.step() == 3
    messages: list[Any] = server.lrange("default", 0, -1)
    message = next(text for text in messages if b'"taken"' in text)
    server.lrem("default", 1, message)
    server.hset("unacked", "tag", b"[" + message + b', "default", "default"]')
    Run.objects.filter(task_id="retries").update(attempt=0, retries=0)

    restore(dispatcher)
    dispatcher.step()
    assert [after(one)[:2] for one in ("waits", "taken", "retries")] == [("queued", 0), ("queued", 0), ("queued", 1)]
    assert Run.objects.get(task_id="retries").retries == 1


def test_a_claim_made_while_two_recorders_settle_stands(
    dispatcher: Dispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The restored lease is old, and who held it does not know yet: another has settled and its worker has claimed."""
    run_of("retries", state=State.ACCEPTED, published_at=None, attempt=1, retries=1)
    assert dispatcher.step() == 1
    Run.objects.filter(task_id="retries").update(attempt=0, retries=0)
    results = restored._results

    def overtaken(task_ids: Any) -> Any:
        Run.objects.filter(task_id="retries").update(attempt=2, retries=1, state=State.RUNNING)
        return results(task_ids)

    monkeypatch.setattr(restored, "_results", overtaken)
    restore(dispatcher)
    dispatcher.step()
    assert after("retries")[:2] == ("running", 2)


def test_what_a_worker_has_begun_is_running_and_no_copy_of_its_message_starts_it_again(
    dispatcher: Dispatcher, server: Redis
) -> None:
    """Its claim was in the database that is gone: taken for queued, it ran a second time after its worker's death."""
    for task_id in ("begun", "received", "by one that is gone"):
        run_of(task_id, state=State.ACCEPTED, published_at=None)
    assert dispatcher.step() == 3
    alive = {"running": {"begun": 1, "received": 1}, "started": {"begun": [time.time(), 0]}}
    gone = {"running": {"by one that is gone": 1}, "started": {"by one that is gone": [time.time(), 0]}}
    for worker, told in (("w@alive", alive), ("w@gone", gone)):
        beacon = {**BEACON, "worker": worker, "boot": worker, "at": time.time(), **told}
        server.zadd(BEACONS_KEY, {worker: time.time()})
        server.set(last_key(worker), json.dumps(beacon))
        if told is alive:
            server.set(beacon_key(worker), json.dumps(beacon))

    restore(dispatcher)
    dispatcher.step()
    assert after("begun")[:2] == after("by one that is gone")[:2] == ("running", 1)
    assert after("received")[:2] == ("queued", 0)
    assert {one: Run.objects.get(task_id=one).worker for one in ("begun", "by one that is gone")} == {
        "begun": "w@alive",
        "by one that is gone": "w@gone",
    }


def test_what_came_later_or_is_not_due_is_left_alone(dispatcher: Dispatcher) -> None:
    run_of("new", state=State.ACCEPTED, published_at=None, accepted_at=timezone.now() + timedelta(seconds=2))
    run_of("later", state=State.WAITING, not_before=timezone.now() + timedelta(hours=1), publish_after=None)
    run_of("over", state=State.SUCCEEDED, attempt=1)
    run_of("observed", guaranteed=False)
    restore(dispatcher)
    dispatcher.step()
    assert {one: after(one)[0] for one in ("new", "later", "over", "observed")} == {
        "new": "queued",
        "later": "waiting",
        "over": "succeeded",
        "observed": "queued",
    }


def test_a_database_that_was_not_restored_is_left_alone(dispatcher: Dispatcher, server: Redis) -> None:
    run_of("once", state=State.RUNNING, attempt=1, publish_after=None)
    dispatcher.recover()
    dispatcher.step()
    assert after("once")[0] == "running"
    server.delete(MARK_KEY)
    restore(dispatcher)
    dispatcher.step()
    assert after("once")[0] == "running", "an emptied Redis knows of nothing"
