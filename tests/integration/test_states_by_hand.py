"""States that somebody's program sets by hand: none of them ends a run, and what Celery reads of them is as ever.

The tasks are traced in this process, by Celery's own tracer, with the real backend and a real Redis.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from celery import current_app, shared_task
from celery.app.trace import build_tracer
from celery.contrib.abortable import AbortableAsyncResult
from celery.exceptions import Ignore
from celery.result import AsyncResult
from django.conf import settings
from django_celery_results.models import TaskResult
from redis import Redis

from jobs.fleet.broker import FACTS_KEY, connect
from jobs.fleet.headers import ATTEMPT_HEADER
from jobs.ledger.live import live_of, progress_of
from jobs.models import Run
from jobs.pipeline.facts import Fact, Kind
from jobs.pipeline.publishing import report_published
from jobs.recorder.ingest import Ingest
from jobs.recorder.record import record_facts
from jobs.states import State

pytestmark = pytest.mark.django_db(transaction=True)
Look = Callable[[str], None]
_look: list[Look] = []
STATES: list[tuple[str, Any]] = [
    ("PROGRESS", {"progress": 50}),
    ("reading rows", {"current": 5, "total": 10}),
    ("success", None),
    ("STARTED", {"step": 1}),
    ("PENDING", "soon"),
    ("RETRY", {"of": "the upload"}),
    ("RECEIVED", None),
    ("ABORTED", None),
]


def _tell(self: Any, states: list[tuple[str, Any]]) -> None:
    for state, meta in states:
        self.update_state(state=state, meta=meta)
    for look in _look:
        look(self.request.id)


@shared_task(bind=True)
def tells(self: Any, *states: tuple[str, Any]) -> str:
    _tell(self, list(states))
    return "done"


@shared_task(bind=True)
def tells_and_fails(self: Any, *states: tuple[str, Any]) -> None:
    _tell(self, list(states))
    raise LookupError("no such rate")


@shared_task(bind=True)
def tells_and_ignores(self: Any, *states: tuple[str, Any]) -> None:
    _tell(self, list(states))
    raise Ignore


@shared_task(bind=True, track_started=True)
def starts_loudly(self: Any) -> str:
    _tell(self, [])
    return "done"


@pytest.fixture(autouse=True)
def looks() -> Iterator[None]:
    yield
    _look.clear()


@pytest.fixture
def ingest(redis: Redis) -> Ingest:
    return Ingest(connect(settings.REDIS_URL, timeout=5))


def record(ingest: Ingest) -> None:
    while ingest._client.xlen(FACTS_KEY):
        ingest.step(wait=0.05)


def execute(task: Any, *args: Any, guaranteed: bool = False, **headers: Any) -> str:
    """Publish and trace the task in this process; its id."""
    task_id = str(uuid4())
    request = {"id": task_id, "task": task.name, "hostname": "w@1", "root_id": task_id, "delivery_info": {},
               "argsrepr": repr(args), "kwargsrepr": "{}", "is_eager": False, **headers}  # fmt: skip
    if guaranteed:
        Run.objects.create(task_id=task_id, task_name=task.name, guaranteed=True, state=State.QUEUED)
        request[ATTEMPT_HEADER] = 1
    else:
        report_published(task.name, {"id": task_id, "task": task.name}, (args, {}, {}), "default")
    build_tracer(task.name, task, app=current_app)(task_id, list(args), {}, request)
    return task_id


@pytest.mark.parametrize("guaranteed", [False, True])
@pytest.mark.parametrize(("state", "meta"), STATES)
def test_no_state_set_by_hand_ends_a_run(ingest: Ingest, state: str, meta: Any, guaranteed: bool) -> None:
    seen: list[tuple[str, str, Any]] = []

    def look(task_id: str) -> None:
        record(ingest)
        run = Run.objects.get(task_id=task_id)
        live = live_of(run)
        assert live.progress is not None
        seen.append((run.state, live.progress.state, meta if state == "RETRY" else AsyncResult(task_id).info))
        assert state == "RETRY" or AsyncResult(task_id).state == state
        assert not TaskResult.objects.exists()

    _look.append(look)
    task_id = execute(tells, (state, meta), guaranteed=guaranteed)
    assert seen == [(State.RUNNING, state, meta)]
    record(ingest)
    run = Run.objects.get()
    assert (run.state, run.provisional, run.error_type, run.attempts.count()) == (State.SUCCEEDED, False, "", 0)
    assert run.progress is not None and run.progress["state"] == state
    row = TaskResult.objects.get()
    assert (row.task_id, row.status, row.result) == (task_id, "SUCCESS", '"done"')
    assert AsyncResult(task_id).get(timeout=1) == "done"


@pytest.mark.parametrize("guaranteed", [False, True])
def test_the_end_is_the_bodys_own_whatever_it_had_said(ingest: Ingest, guaranteed: bool) -> None:
    """A final state that a running body sets by hand is news of it, too: what it returns or raises comes after."""
    done = execute(tells, ("FAILURE", {"exc_type": "X", "exc_message": ["x"], "exc_module": "builtins"}),
                   guaranteed=guaranteed)  # fmt: skip
    failed = execute(tells_and_fails, ("PROGRESS", {"done": 1, "total": 2}), guaranteed=guaranteed)
    record(ingest)
    assert Run.objects.get(task_id=done).state == State.SUCCEEDED
    run = Run.objects.get(task_id=failed)
    assert (run.state, run.error_type, run.attempts.count()) == (State.FAILED, "LookupError", 1)
    assert dict(TaskResult.objects.values_list("task_id", "status")) == {done: "SUCCESS", failed: "FAILURE"}


def test_what_was_set_by_hand_stays_where_the_task_is_ignored(ingest: Ingest) -> None:
    error = {"exc_type": "ValueError", "exc_message": ["not this customer"], "exc_module": "builtins"}
    failed = execute(tells_and_ignores, ("FAILURE", error))
    custom = execute(tells_and_ignores, ("handed over", {"to": "the bank"}))
    silent = execute(tells_and_ignores)
    record(ingest)
    assert dict(Run.objects.values_list("task_id", "state")) == {
        failed: State.FAILED,
        custom: State.CANCELLED,
        silent: State.CANCELLED,
    }
    assert Run.objects.get(task_id=failed).error_message == "not this customer"
    rows = dict(TaskResult.objects.values_list("task_id", "status"))
    assert rows == {failed: "FAILURE", custom: "handed over"}, "as the stock backend keeps them"
    ingest._client.flushall()
    assert (AsyncResult(custom).state, AsyncResult(custom).info) == ("handed over", {"to": "the bank"})


@pytest.mark.parametrize("guaranteed", [False, True])
def test_a_task_that_tracks_its_start_is_running(ingest: Ingest, guaranteed: bool) -> None:
    seen: list[Any] = []

    def look(task_id: str) -> None:
        record(ingest)
        run = Run.objects.get(task_id=task_id)
        seen.extend([run.state, live_of(run).progress, AsyncResult(task_id).state])

    _look.append(look)
    execute(starts_loudly, guaranteed=guaranteed)
    assert seen == [State.RUNNING, None, "STARTED"]
    record(ingest)
    assert Run.objects.get().state == State.SUCCEEDED


def test_a_message_that_is_not_claimed_leaves_the_result_alone(ingest: Ingest) -> None:
    """`track_started` is said before the claim; a copy of a message that comes later is dropped."""
    task_id = execute(starts_loudly, guaranteed=True)
    before = ingest._client.get(f"celery-task-meta-{task_id}")
    request = {"id": task_id, "task": starts_loudly.name, "delivery_info": {}, ATTEMPT_HEADER: 1, "is_eager": False}
    build_tracer(starts_loudly.name, starts_loudly, app=current_app)(task_id, [], {}, request)
    assert ingest._client.get(f"celery-task-meta-{task_id}") == before


def test_a_state_that_others_set_is_shown_and_makes_no_run(ingest: Ingest) -> None:
    """`abort()`, and a state for what was just published; of an id that nobody knows nothing is made."""
    queued, unknown = str(uuid4()), str(uuid4())
    record_facts([Fact(Kind.PUBLISHED, queued, time.time(), task="x", published=time.time())])
    for task_id in (queued, unknown):
        AbortableAsyncResult(task_id).abort()
        assert str(AsyncResult(task_id).state) == "ABORTED"
    record(ingest)
    run = Run.objects.get()
    told = progress_of(run.progress)
    assert (run.task_id, run.state) == (queued, State.QUEUED)
    assert told is not None and told.state == "ABORTED"
    record_facts([Fact(Kind.ENDED, queued, time.time(), task="x", state="SUCCESS", result="1")])
    AbortableAsyncResult(queued).abort()
    record(ingest)
    assert Run.objects.get().state == State.SUCCEEDED


def test_a_loop_that_tells_is_told_once_that_it_runs(ingest: Ingest) -> None:
    execute(tells, *[("PROGRESS", {"done": number, "total": 100}) for number in range(100)])
    assert ingest._client.xlen(FACTS_KEY) == 3, "published, begun, ended"
    record(ingest)
    told = progress_of(Run.objects.get().progress)
    assert told is not None and (told.done, told.total) == (99, 100)


def test_a_state_by_hand_costs_one_look_and_one_journey(ingest: Ingest) -> None:
    seen: list[int] = []

    def look(task_id: str) -> None:
        seen.append(_asked(ingest._client))
        tells.update_state(task_id=task_id, state="PROGRESS", meta={"done": 3, "total": 4})
        seen.append(_asked(ingest._client))

    _look.append(look)
    execute(tells, ("PROGRESS", {"done": 2, "total": 4}))
    # GET, MULTI, SET, PUBLISH, HSET, EXPIRE, EXEC and the look itself.
    assert seen[1] - seen[0] == 8


def _asked(client: Redis) -> int:
    return int(client.info("stats")["total_commands_processed"])
