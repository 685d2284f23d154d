"""Cancelling in each state, in each pool, with the worker restarted in between: what is shown is what happened.

What happened is read from the outside book, which only the jobs themselves write.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from jobs.catalog.registry import find_job
from jobs.fleet.workers import read_fleet
from jobs.ledger.audit import Actor
from jobs.ledger.cancel import CancelRefused, How, cancel_run, end_by_force_now
from jobs.ledger.start import Wish, start_run
from jobs.models import Run
from jobs.pipeline.cancelled import STOPPED
from jobs.recorder.merge import TERMINATED
from jobs.states import State
from tests import jobs_under_test as under_test
from tests.e2e.conftest import finished, in_state
from tests.e2e.processes import BIN, Daemon, Stack, wait_for
from tests.jobs_under_test import book

POOLS = ("prefork", "threads", "solo")


@pytest.fixture(params=POOLS)
def pool(request: pytest.FixtureRequest, running: Stack) -> Iterator[Daemon]:
    """The only worker, of this pool; it runs when the test begins."""
    running.worker.stop()
    running.up(running.recorder)
    command = [str(BIN / "celery"), "-A", "opsconsole", "worker", "-l", "INFO", "-P", request.param, "-c", "2"]
    command += ["--without-gossip", "--without-mingle", "-n", f"{request.param}@tests"]
    worker = Daemon(f"worker-{request.param}", command, running.root / "logs", running.env, "ready.")
    worker.start()
    yield worker
    worker.stop()


def started(actor: Actor, task: object, wish: Wish | None = None, **arguments: object) -> Run:
    return start_run(find_job(task.name), arguments, actor=actor, wish=wish).run  # type: ignore[attr-defined]


def drained(stack: Stack) -> None:
    """Wait until no message is left, neither in the queue nor in a worker's hands."""
    client = stack.client()
    wait_for(lambda: not client.llen("default") and not client.hlen("unacked"), "every message to be consumed")


def test_what_is_shown_is_what_happened(pool: Daemon, running: Stack, actor: Actor, tmp_path: Path) -> None:
    # It runs, and looks whether it should stop.
    asked = in_state(started(actor, under_test.stop_when_told).task_id, State.RUNNING)
    wait_for(lambda: book(asked.task_id), "it to have begun")
    assert cancel_run(asked, actor=actor).how is How.ASKED
    ended = finished(asked.task_id)
    assert (ended.state, ended.state_note) == (State.CANCELLED, STOPPED)
    assert len(book(asked.task_id, "tidied")) == 1 and not book(asked.task_id, "end")

    # It runs, never looks, and comes to its own end.
    flag = tmp_path / "flag"
    deaf = in_state(started(actor, under_test.hold, flag=str(flag)).task_id, State.RUNNING)
    wait_for(lambda: book(deaf.task_id), "it to have begun")
    assert cancel_run(deaf, actor=actor).how is How.ASKED
    prefork = pool.name.endswith("prefork")
    worker = pool.name.removeprefix("worker-") + "@tests"
    wait_for(lambda: any(deaf.task_id in b.running for b in read_fleet().beacons if b.worker == worker), "its beacon")
    if not prefork:
        with pytest.raises(CancelRefused, match="nobody can end from outside"):
            end_by_force_now(deaf, read_fleet(), actor=actor, confirmed="Hold until told")
        flag.touch()
    else:
        end_by_force_now(deaf, read_fleet(), actor=actor, confirmed="Hold until told")
    ended = finished(deaf.task_id)
    if prefork:
        assert (ended.state, ended.state_note) == (State.CANCELLED, TERMINATED)
        flag.touch()
        # The pool has a new process, and nothing of the old one goes on.
        assert finished(started(actor, under_test.add, a=1).task_id).state == State.SUCCEEDED
        assert not book(deaf.task_id, "end") and len(book(deaf.task_id)) == 1
    else:
        assert ended.state == State.SUCCEEDED and len(book(deaf.task_id, "end")) == 1

    # An automatic retry is pending; the worker that holds its message is restarted.
    again = in_state(started(actor, under_test.retry_in_3_s).task_id, State.RETRYING)
    assert cancel_run(again, actor=actor).how is How.SKIPPED
    pool.stop()
    # No worker is there: one waits in its queue, one for its time.
    queued = in_state(started(actor, under_test.add, a=1).task_id, State.QUEUED)
    waiting = started(actor, under_test.add, Wish(not_before=timezone.now() + timedelta(seconds=1)), a=2)
    assert cancel_run(queued, actor=actor).how is How.SKIPPED
    assert cancel_run(waiting, actor=actor).how is How.REMOVED
    last = in_state(started(actor, under_test.add, a=3).task_id, State.QUEUED)
    pool.start()
    assert finished(last.task_id).state == State.SUCCEEDED
    drained(running)
    for run, executions in ((again, 1), (queued, 0), (waiting, 0)):
        run.refresh_from_db()
        assert run.state == State.CANCELLED
        assert len(book(run.task_id)) == executions


def test_an_observed_run_is_dropped_by_the_workers_that_live(stack: Stack, actor: Actor, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    holders = [started(actor, under_test.hold, flag=str(flag)) for _ in range(2)]
    for holder in holders:
        in_state(holder.task_id, State.RUNNING)
    waits = in_state(under_test.plain.delay(1).id, State.QUEUED)
    running = under_test.stop_when_told.delay()
    assert cancel_run(waits, actor=actor).how is How.TOLD
    flag.touch()
    assert finished(waits.task_id).state == State.CANCELLED
    # Code published it, too; it looks whether it should stop.
    wait_for(lambda: book(running.id), "it to have begun")
    cancel_run(Run.objects.get(task_id=running.id), actor=actor)
    assert finished(running.id).state == State.CANCELLED
    drained(stack)
    assert not book(waits.task_id) and not book(running.id, "end")


def test_cancelled_in_the_browser(page: Page, stack: Stack, actor: Actor) -> None:
    run = in_state(started(actor, under_test.stop_when_told).task_id, State.RUNNING)
    page.goto(f"/admin/jobs/run/{run.task_id}/change/")
    page.locator(".oc-head__verbs").get_by_role("link", name="Cancel…").click()
    page.get_by_label("Reason").fill("wrong month")
    page.get_by_role("button", name="Ask it to stop").click()
    expect(page.locator(".oc-head .oc-chip")).to_contain_text("Cancelled")
    expect(page.get_by_text("Ana Petrova cancelled it")).to_be_visible()
    expect(page.locator(".oc-head__verbs").get_by_role("link", name="Retry…")).to_be_visible()
