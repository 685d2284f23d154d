"""What dies, and what becomes of the runs. (The long form, with thirty faults, is an issue of its own.)"""

import time
from pathlib import Path

import pytest

from jobs.catalog.registry import find_job
from jobs.fleet.headers import ATTEMPT_HEADER
from jobs.ledger.audit import Actor
from jobs.ledger.start import start_run
from jobs.models import Run
from jobs.states import State
from tests import jobs_under_test as under_test
from tests.e2e.conftest import finished, in_state
from tests.e2e.processes import Stack, wait_for
from tests.integration.own_redis import unsaved
from tests.tasks_observed import succeed_on_another_base


@pytest.fixture
def flag(tmp_path: Path) -> Path:
    """The file that lets a held job go on."""
    return tmp_path / "go"


def test_a_killed_worker_is_told_within_a_minute(stack: Stack, actor: Actor, flag: Path) -> None:
    once = start_run(find_job(under_test.hold.name), {"flag": str(flag)}, actor=actor).run
    again = start_run(find_job(under_test.hold_again.name), {"flag": str(flag)}, actor=actor).run
    for run in (once, again):
        in_state(run.task_id, State.RUNNING)
    killed_at = time.monotonic()
    stack.worker.kill()
    stack.worker.start()

    lost = in_state(once.task_id, State.LOST, 60)
    assert time.monotonic() - killed_at < 60
    assert (lost.error_type, lost.attempts.get().outcome) == ("WorkerVanished", "lost")
    wait_for(lambda: len(under_test.book(again.task_id)) == 2, "the idempotent job to be started again", 30)
    flag.touch()
    healed = finished(again.task_id)
    assert (healed.state, healed.attempt) == (State.SUCCEEDED, 2)
    assert len(under_test.book(once.task_id)) == 1, "a job that is not idempotent is never started twice"


def test_a_job_that_ends_while_redis_cannot_save_ends_as_it_did(stack: Stack, actor: Actor, flag: Path) -> None:
    """The disk of Redis is full: it refuses every write, also those by which workers take messages."""
    held = [start_run(find_job(under_test.hold.name), {"flag": str(flag)}, actor=actor).run for _ in range(2)]
    for run in held:
        in_state(run.task_id, State.RUNNING)
    said = stack.worker.log.stat().st_size
    with unsaved(stack.client(), stack.root):
        flag.touch()
        for run in held:
            wait_for(lambda: under_test.book(run.task_id, "end"), "the job to end")  # noqa: B023 - asked at once
        wait_for(lambda: stack.worker.log.read_bytes()[said:].count(b"does not take a result") >= 6, "Redis to refuse")
        while_full = start_run(find_job(under_test.add.name), {"a": 1}, actor=actor).run
    for run in [*held, while_full]:
        ended = finished(run.task_id, 60)
        assert (ended.state, ended.attempt) == (State.SUCCEEDED, 1)
        assert len(under_test.book(run.task_id)) == 1


def test_a_stopped_worker_tells_what_it_cut_off(stack: Stack, actor: Actor, flag: Path) -> None:
    once = start_run(find_job(under_test.hold.name), {"flag": str(flag)}, actor=actor).run
    again = start_run(find_job(under_test.hold_again.name), {"flag": str(flag)}, actor=actor).run
    for run in (once, again):
        in_state(run.task_id, State.RUNNING)
    stack.worker.stop()
    stack.worker.start()

    lost = in_state(once.task_id, State.LOST, 10)
    assert (lost.state_note, lost.provisional) == ("shutdown", True), "told by the worker itself, not by the reaper"
    flag.touch()
    healed = finished(again.task_id, 30)
    assert (healed.state, healed.attempt) == (State.SUCCEEDED, 2)
    assert len(under_test.book(once.task_id)) == 1


def test_a_killed_recorder_loses_nothing(stack: Stack, actor: Actor, flag: Path) -> None:
    held = start_run(find_job(under_test.hold.name), {"flag": str(flag)}, actor=actor).run
    in_state(held.task_id, State.RUNNING)
    stack.recorder.kill()
    while_away = [start_run(find_job(under_test.add.name), {"a": n}, actor=actor).run for n in range(20)]
    flag.touch()
    wait_for(lambda: under_test.book(held.task_id, "end"), "the held job to end while nobody records")
    assert Run.objects.get(pk=held.pk).state == State.RUNNING
    stack.recorder.start()

    assert finished(held.task_id, 30).state == State.SUCCEEDED
    for run in while_away:
        assert finished(run.task_id, 30).state == State.SUCCEEDED
        assert len(under_test.book(run.task_id)) == 1


def test_what_was_read_but_not_acknowledged_is_read_again(stack: Stack, actor: Actor) -> None:
    stack.recorder.stop()
    result = under_test.plain.delay(7)
    assert result.get(timeout=20)
    entries = stack.client().xreadgroup("recorder", "leader", {"opsconsole:facts": ">"}, count=10)
    assert entries, "a predecessor read these and died"
    stack.recorder.start()

    assert finished(result.id, 30).state == State.SUCCEEDED


def test_a_forgotten_message_is_published_again(stack: Stack, actor: Actor) -> None:
    stack.worker.stop()
    run = start_run(find_job(under_test.add.name), {"a": 1}, actor=actor).run
    in_state(run.task_id, State.QUEUED)
    stack.client().flushall()
    stack.worker.start()

    healed = finished(run.task_id, 60)
    assert (healed.state, healed.publish_count) == (State.SUCCEEDED, 2)
    assert len(under_test.book(run.task_id)) == 1


@pytest.mark.parametrize(
    ("name", "values"),
    [(under_test.add.name, {"a": 1}), (succeed_on_another_base.name, {"number": 1})],
    ids=["job", "a base class without super"],
)
def test_a_message_delivered_twice_runs_once(name: str, values: dict[str, int], stack: Stack, actor: Actor) -> None:
    stack.worker.stop()
    run = start_run(find_job(name), values, actor=actor).run
    in_state(run.task_id, State.QUEUED)
    client = stack.client()
    (message,) = client.lrange(run.queue, 0, -1)
    assert f'"{ATTEMPT_HEADER}": 1' in message
    client.lpush(run.queue, message, message)
    stack.worker.start()

    assert finished(run.task_id, 30).state == State.SUCCEEDED
    wait_for(lambda: client.llen(run.queue) == 0, "the copies to be consumed")
    after = finished(start_run(find_job(under_test.add.name), {"a": 2}, actor=actor).run.task_id)
    assert after.state == State.SUCCEEDED
    assert len(under_test.book(run.task_id)) == 1


def test_a_cancelled_run_is_not_started(stack: Stack, actor: Actor) -> None:
    stack.worker.stop()
    run = start_run(find_job(under_test.add.name), {"a": 1}, actor=actor).run
    queued = in_state(run.task_id, State.QUEUED)
    Run.objects.filter(pk=run.pk).update(cancel_requested_at=queued.accepted_at)
    stack.worker.start()

    later = start_run(find_job(under_test.add.name), {"a": 2}, actor=actor).run
    assert finished(later.task_id).state == State.SUCCEEDED
    assert under_test.book(run.task_id) == []


def test_a_second_recorder_stands_by_and_takes_over(stack: Stack, actor: Actor) -> None:
    second = type(stack.recorder)(
        "recorder-2", stack.recorder.command, stack.recorder.log.parent, stack.env, ready="leads."
    )
    stack.recorder.stop()
    second.start()
    try:
        run = start_run(find_job(under_test.add.name), {"a": 1}, actor=actor).run
        assert finished(run.task_id).state == State.SUCCEEDED
    finally:
        second.kill()
    stack.recorder.start()  # ready only when it leads: the killed one's lease has to run out first
    run = start_run(find_job(under_test.add.name), {"a": 2}, actor=actor).run
    assert finished(run.task_id).state == State.SUCCEEDED


def test_redis_away_accepts_and_runs_later(stack: Stack, actor: Actor) -> None:
    noted = stack.recorder.log.stat().st_size
    stack.redis.kill()
    began = time.monotonic()
    run = start_run(find_job(under_test.add.name), {"a": 1}, actor=actor).run
    assert time.monotonic() - began < 1, "accepting a run does not wait for Redis"
    assert run.state == State.ACCEPTED
    wait_for(lambda: b"trying on" in stack.recorder.log.read_bytes()[noted:], "the recorder to notice")
    stack.socket.unlink(missing_ok=True)
    stack.up()

    assert finished(run.task_id, 60).state == State.SUCCEEDED
    assert len(under_test.book(run.task_id)) == 1
