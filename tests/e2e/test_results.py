"""What tasks return and raise: Celery's own ways of reading it work, the run is told truly, and the worker lives on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from celery import chord, current_app, group
from celery.result import AsyncResult, GroupResult
from django_celery_results.models import TaskResult

from jobs.ledger.live import live_of
from jobs.models import Run
from jobs.pipeline.facts import MAX_TRACEBACK
from jobs.states import State
from tests import tasks_observed as tasks
from tests.e2e.conftest import finished, in_state
from tests.e2e.processes import Stack, wait_for


@pytest.fixture(autouse=True)
def same_worker(stack: Stack) -> Iterator[None]:
    """Nothing that a task returns or raises ends its worker."""
    assert stack.worker.process is not None
    pid = stack.worker.process.pid
    yield
    assert stack.worker.process.poll() is None and stack.worker.process.pid == pid
    assert tasks.succeed.delay("alive").get(timeout=20) == 1


def again(task_id: str) -> AsyncResult[Any]:
    """The result as another process would ask for it."""
    return AsyncResult(task_id)


def children_of(result: AsyncResult[Any]) -> list[AsyncResult[Any]]:
    children: Any = result.children  # celery-types speaks of tuples
    return list(children or [])


def began(task_id: str) -> list[str]:
    """The lines of the outside book that its executions began with."""
    lines = Path(os.environ["OUTSIDE_BOOK"]).read_text().splitlines()
    return [line for line in lines if task_id in line and '"start"' in line]


def stored(task_id: str) -> TaskResult:
    return TaskResult.objects.get(task_id=task_id)


def test_celery_reads_results_as_ever(stack: Stack) -> None:
    result = tasks.succeed.delay(1, 2)
    assert result.get(timeout=20) == 2
    assert (result.ready(), result.status, result.traceback) == (True, "SUCCESS", None)

    parent = tasks.publish_two.delay("family")
    parent.get(timeout=20)
    assert [child.get(timeout=20) for child in children_of(parent)] == [2, 2]

    broken = tasks.break_down.delay("leg")
    with pytest.raises(LookupError, match="no leg anywhere"):
        broken.get(timeout=20)
    assert broken.status == "FAILURE" and "LookupError" in str(broken.traceback)

    assert group(tasks.succeed.s(number) for number in range(5))().get(timeout=20) == [1] * 5
    assert chord([tasks.succeed.s(1, 2), tasks.succeed.s()], tasks.add_up.s())().get(timeout=20) == 2


@pytest.mark.filterwarnings("ignore:Call to deprecated setex")  # Celery's own way to keep a group
def test_what_redis_has_let_go_is_read_from_the_database(stack: Stack) -> None:
    parent = tasks.publish_two.delay("old family")
    parent.get(timeout=20)
    broken = tasks.break_down.delay("old leg")
    members = group(tasks.succeed.s(number, "x") for number in range(3))()
    members.save()
    members.get(timeout=20)
    everyone = [parent.id, broken.id, *(child.id for child in members), *(child.id for child in children_of(parent))]
    for task_id in everyone:
        finished(task_id)
    wait_for(lambda: GroupResult.restore(members.id) is not None, "the group")
    client = stack.client()
    wait_for(lambda: client.xlen("opsconsole:facts") == 0, "every fact to be recorded")
    for task_id in everyone:
        client.delete(f"celery-task-meta-{task_id}")
    client.delete(f"celery-taskset-meta-{members.id}")
    vars(current_app.backend)["_cache"].clear()

    assert (again(parent.id).status, again(parent.id).get(timeout=5)) == ("SUCCESS", None)
    assert [child.get(timeout=5) for child in children_of(again(parent.id))] == [2, 2]
    failed = again(broken.id)
    assert failed.status == "FAILURE" and "no old leg anywhere" in str(failed.traceback)
    with pytest.raises(LookupError, match="no old leg anywhere"):
        failed.get(timeout=5)
    restored = GroupResult.restore(members.id)
    assert restored is not None and restored.join(timeout=5) == [2, 2, 2]
    assert again(str(uuid4())).status == "PENDING"


@pytest.mark.parametrize(
    ("what", "kept"),
    [
        ("no JSON", '{"unserialisable": "<object object at'),
        ("half surrogates", r'{"text": "\ud800 and \udfff", "nul": "\u0000"}'),
        ("not a number", "NaN"),
        ("a generator", '{"unserialisable": "<generator object'),
        ("a loop", '{"unserialisable": "[[...]]"}'),
        ("what cannot be shown", '{"unserialisable": "<Unrepresentable'),
        ("a text that cannot be shown", '"text"'),
        ("10 MB", '"\\"xxx'),
    ],
)
def test_whatever_is_returned_the_run_succeeded(stack: Stack, what: str, kept: str) -> None:
    run = finished(tasks.give.delay(what).id)
    assert (run.state, run.error_type, run.attempts.count()) == (State.SUCCEEDED, "", 0)
    assert again(run.task_id).status == "SUCCESS"
    text = stored(run.task_id).result or ""
    assert text.startswith(kept) and len(text) < 300_000
    assert run.truncated == (what == "10 MB")
    if what == "10 MB":
        assert len(again(run.task_id).get(timeout=5)) == 10_000_000, "whole while Redis has it"
        stack.client().delete(f"celery-task-meta-{run.task_id}")


def test_who_asks_to_be_put_back_in_vain_has_failed(stack: Stack, tmp_path: Path) -> None:
    run = finished(tasks.put_back.delay().id)
    assert (run.state, run.error_type, run.error_message) == (State.FAILED, "Reject", "the bank is closed")
    assert run.state_note and run.started_at and run.attempts.get().outcome == "failed"
    assert not TaskResult.objects.filter(task_id=run.task_id).exists(), "Celery keeps none either"
    flag = tmp_path / "go"
    late = tasks.put_back_once.delay(str(flag))
    wait_for(lambda: len(began(late.id)) > 2, "it to be put back")
    assert Run.objects.get(task_id=late.id).is_active
    flag.touch()
    assert finished(late.id).state == State.SUCCEEDED


def test_a_message_that_celery_refuses_has_failed_and_says_so(stack: Stack) -> None:
    assert "pickle" not in (current_app.conf.accept_content or ())
    refused = tasks.succeed.apply_async((1,), serializer="pickle")
    run = finished(refused.id)
    assert (run.state, run.error_type) == (State.FAILED, "ContentDisallowed")
    assert (run.worker, run.queue, run.started_at) == ("default@tests", "default", None)
    assert run.state_note and run.arguments == "[[1], {}]" and "pickle" in run.error_message


def test_who_dies_at_once_has_begun(stack: Stack) -> None:
    run = finished(tasks.die.delay().id)
    attempt = run.attempts.get()
    assert (run.state, attempt.outcome) == (State.LOST, "lost")
    assert run.started_at and attempt.started_at and run.published_at and attempt.finished_at
    assert run.published_at <= run.started_at <= attempt.finished_at


def test_a_huge_error_is_cut_and_stays_an_error(stack: Stack) -> None:
    run = finished(tasks.break_hugely.delay().id)
    assert (run.state, run.error_type, run.truncated) == (State.FAILED, "ValueError", True)
    row = stored(run.task_id)
    assert len(row.traceback or "") <= MAX_TRACEBACK + 100 and len(row.result or "") < 40_000
    stack.client().delete(f"celery-task-meta-{run.task_id}")
    with pytest.raises(ValueError, match="wrong"):
        again(run.task_id).get(timeout=5)


def test_out_of_memory_is_the_tasks_own_failure(stack: Stack) -> None:
    for _ in range(4):
        run = finished(tasks.want_too_much.delay().id)
        assert (run.state, run.error_type, run.error_message) == (State.FAILED, "MemoryError", "no room for 8 GB")
        assert run.attempts.count() == 1


def test_limits_are_told_as_failures(stack: Stack, tmp_path: Path) -> None:
    never = str(tmp_path / "never")
    softly, hard = tasks.overstep_softly.delay(never), tasks.overstep_hard.delay(never)
    assert (finished(softly.id).state, finished(softly.id).error_type) == (State.FAILED, "SoftTimeLimitExceeded")
    assert (finished(hard.id).state, finished(hard.id).error_type) == (State.FAILED, "TimeLimitExceeded")


def test_a_state_set_by_hand_is_progress_and_no_end(stack: Stack, tmp_path: Path) -> None:
    flag, meta = tmp_path / "go", {"current": 5, "total": 10}
    result = tasks.tell_states.delay([("PROGRESS", meta)], flag=str(flag))
    loud = tasks.start_loudly.delay(str(flag))
    for one in (result, loud):
        in_state(one.id, State.RUNNING)
    wait_for(lambda: [str(again(one.id).state) for one in (result, loud)] == ["PROGRESS", "STARTED"], "the states")
    assert again(result.id).info == meta
    run = Run.objects.get(task_id=result.id)
    told = wait_for(lambda: live_of(run).progress, "its progress")
    assert (told.state, told.done, told.total) == ("PROGRESS", 5, 10)
    assert not TaskResult.objects.filter(task_id=result.id).exists(), "a row is of what has ended"
    flag.touch()
    for one in (result, loud):
        run = finished(one.id)
        assert (run.state, run.attempts.count()) == (State.SUCCEEDED, 0)
    assert (stored(result.id).status, stored(result.id).result) == ("SUCCESS", '"told"')
    assert again(result.id).get(timeout=5) == "told"


def test_revoking_a_running_task_ends_it_as_cancelled(stack: Stack, tmp_path: Path) -> None:
    flag = tmp_path / "go"
    result = tasks.hold.delay(str(flag))
    in_state(result.id, State.RUNNING)
    current_app.control.revoke(result.id, terminate=True, signal="SIGKILL")
    run = finished(result.id)
    assert run.state == State.CANCELLED
    lines = [line for line in Path(os.environ["OUTSIDE_BOOK"]).read_text().splitlines() if result.id in line]
    assert len(lines) == 1, "it began and never ended"
    assert Run.objects.filter(task_id=result.id).count() == 1
