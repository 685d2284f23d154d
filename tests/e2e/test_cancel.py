"""Cancelling in each state, in each pool, with the worker restarted in between: what is shown is what happened.

What happened is read from the outside book, which only the jobs themselves write.
"""

from __future__ import annotations

import csv
import io
import signal
from collections.abc import Iterator
from datetime import timedelta
from html import unescape
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from django.utils import timezone
from playwright.sync_api import Page, expect

from jobs.catalog.registry import find_job
from jobs.fleet.workers import read_fleet
from jobs.ledger.audit import Actor
from jobs.ledger.cancel import CancelRefused, How, cancel_run, end_by_force_now
from jobs.ledger.start import Wish, start_run
from jobs.library.diagnostics import wait
from jobs.library.user_import import NOT_IMPORTED, import_users
from jobs.library.user_import import STOPPED as NOBODY_MADE
from jobs.library.user_rows import MAX_ROWS
from jobs.models import AuditEvent, Run, RunFile
from jobs.pipeline.cancelled import STOPPED
from jobs.pipeline.told import progress_key
from jobs.recorder.merge import TERMINATED
from jobs.states import State
from tests import jobs_under_test as under_test
from tests.e2e.client import Person
from tests.e2e.conftest import PASSWORD, finished, in_state
from tests.e2e.processes import BIN, Daemon, Stack, wait_for
from tests.integration.library_runs import upload
from tests.jobs_under_test import book

POOLS = ("prefork", "threads", "solo")


@pytest.fixture(params=POOLS)
def pool(request: pytest.FixtureRequest, running: Stack) -> Iterator[Daemon]:
    """The only worker, of this pool; it runs when the test begins."""
    running.worker.stop()
    running.up(running.recorder)
    command = [str(BIN / "celery"), "-A", "opsconsole", "worker", "-l", "INFO", "-P", request.param, "-c", "3"]
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
        running.up(running.web)
        ana = Person(running.url).sign_in("ana", PASSWORD)
        text = ana.get(f"/admin/jobs/run/{deaf.task_id}/cancel/").text
        assert "which nobody can end from outside" in text and "End it by force" not in text
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


@pytest.mark.parametrize("pool", ["prefork"], indirect=True)
def test_a_frozen_worker_does_not_answer_and_its_late_word_counts(
    pool: Daemon, running: Stack, actor: Actor, tmp_path: Path
) -> None:
    flag = tmp_path / "flag"
    deaf, forced = (started(actor, under_test.hold, flag=str(flag)) for _ in range(2))
    polite = started(actor, under_test.stop_when_told)
    runs = {run.task_id for run in (deaf, forced, polite)}
    wait_for(
        lambda: all(map(book, runs)) and all(runs <= b.running.keys() for b in read_fleet().beacons), "all at work"
    )
    running.up(running.web)
    ana = Person(running.url).sign_in("ana", PASSWORD)

    def press(run: Run, **values: str) -> str:
        ana.get(f"/admin/jobs/run/{run.task_id}/cancel/")
        return unescape(ana.post(f"/admin/jobs/run/{run.task_id}/cancel/", **values).text)

    # Without its recorder nobody finds the runs lost: it is a person who says so.
    running.recorder.stop()
    pool.signal(signal.SIGSTOP)
    assert "type Hold until told to confirm" in press(forced, act="force")
    told = press(forced, **{"act": "force", "oc.confirm": "Hold until told"})
    assert "prefork@tests did not answer within 2 s. It stays marked as to be cancelled." in told
    for run in (deaf, polite):
        assert "was asked to stop" in press(run, act="cancel", reason="wrong month")
    assert "first cancel it, and give it 30 s to answer" in press(deaf, act="lost")
    wait_for(lambda: not read_fleet().beacons, "its beacon to go out")
    Run.objects.filter(task_id__in=runs).update(cancel_requested_at=timezone.now() - timedelta(seconds=31))
    assert (
        "No answer: its worker prefork@tests is not heard." in ana.get(f"/admin/jobs/run/{deaf.task_id}/change/").text
    )
    for run in (deaf, polite, forced):
        assert "Ana Petrova declared it lost just now because “host is dead”." in press(
            run, act="lost", reason="host is dead"
        )
        run.refresh_from_db()
        assert (run.state, run.state_note) == (State.LOST, "declared lost by Ana Petrova")
        event = AuditEvent.objects.get(object_id=run.task_id, verb="declare_lost", outcome="done")
        assert (event.actor_label, event.reason) == ("Ana Petrova", "host is dead")

    # It thaws: what each has come to, as it says itself, counts more than what was said of it.
    pool.signal(signal.SIGCONT)
    wait_for(lambda: book(polite.task_id, "tidied"), "it to stop itself")
    wait_for(lambda: "Terminating " + forced.task_id in pool.log.read_text(), "the order that had waited for it")
    flag.touch()
    running.up(running.recorder)
    for run, state, note in (
        (deaf, State.SUCCEEDED, ""), (polite, State.CANCELLED, STOPPED), (forced, State.CANCELLED, TERMINATED),
    ):  # fmt: skip
        assert in_state(run.task_id, state).state_note == note
        text = unescape(ana.get(f"/admin/jobs/run/{run.task_id}/change/").text)
        assert "declared it lost" in text and "Its worker has answered after all" in text
    assert [len(book(run.task_id, "end")) for run in (deaf, polite, forced)] == [1, 0, 0]
    assert all(len(book(task_id)) == 1 for task_id in runs)


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


def test_jobs_that_ship_stop_where_what_they_did_is_whole(stack: Stack, actor: Actor) -> None:
    waits = in_state(started(actor, wait, seconds=600).task_id, State.RUNNING)
    rows = "".join(f"stopped-{number:05},stopped-{number:05}@example.com\n" for number in range(MAX_ROWS))
    imports = started(actor, import_users, file=upload(f"username,email\n{rows}"))
    wait_for(lambda: stack.client().hget(progress_key(imports.task_id), "progress"), "its first rows to be read")
    for run in (waits, imports):
        assert cancel_run(Run.objects.get(pk=run.pk), actor=actor).how is How.ASKED
        ended = finished(run.task_id)
        assert (ended.state, ended.state_note) == (State.CANCELLED, STOPPED)
    assert not User.objects.filter(username__startswith="stopped-").exists()
    with default_storage.open(RunFile.objects.get(run=imports, name="outcome.csv").path) as file:
        outcomes = {(row["outcome"], row["why"]) for row in csv.DictReader(io.StringIO(file.read().decode()))}
    assert outcomes == {(NOT_IMPORTED, NOBODY_MADE)}


def test_cancelled_in_the_browser(page: Page, stack: Stack, actor: Actor) -> None:
    run = in_state(started(actor, under_test.stop_when_told).task_id, State.RUNNING)
    page.goto(f"/admin/jobs/run/{run.task_id}/change/")
    page.locator(".oc-head__verbs").get_by_role("link", name="Cancel…").click()
    page.get_by_label("Reason").fill("wrong month")
    page.get_by_role("button", name="Ask it to stop").click()
    expect(page.locator(".oc-head .oc-chip")).to_contain_text("Cancelled")
    expect(page.get_by_text("Ana Petrova cancelled it")).to_be_visible()
    expect(page.locator(".oc-head__verbs").get_by_role("link", name="Retry…")).to_be_visible()
