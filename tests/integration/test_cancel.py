"""The verb *cancel* in each state of a run, and its two sisters."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from celery.exceptions import Ignore
from django.contrib.auth.models import User
from django.utils import timezone

from jobs.errors import NotPermitted
from jobs.fleet import stopping
from jobs.fleet.beacon import Beacon
from jobs.fleet.workers import Fleet
from jobs.ledger import cancel as cancel_module
from jobs.ledger.audit import Actor
from jobs.ledger.cancel import (
    CancelRefused,
    How,
    NotPassedOn,
    active_descendants,
    cancel_run,
    declare_lost,
    end_by_force_now,
)
from jobs.models import AuditEvent, Run
from jobs.pipeline import cancelled as cancelled_module
from jobs.pipeline.cancelled import STOPPED, Cancelled, check_cancelled
from jobs.pipeline.claim import claim_or_ignore
from jobs.pipeline.facts import Fact, Kind
from jobs.pipeline.live import LiveRun, current
from jobs.recorder.dispatch import _mark_published
from jobs.recorder.merge import TERMINATED
from jobs.recorder.record import record_facts
from jobs.states import ACTIVE, FINISHED, Source, State
from tests.integration.test_run_page import make

pytestmark = pytest.mark.django_db
WORKER = "w@tests"


def beacon(pool: str = "prefork", running: dict[str, int | None] | None = None) -> Beacon:
    told: dict[str, Any] = {"worker": WORKER, "boot": "b", "beat": 1, "at": 1.0, "pid": 1, "release": "", "pool": pool}
    return Beacon(**told, concurrency=1, queues=("default",), running=running or {})


def fleet(*beacons: Beacon) -> Fleet:
    return Fleet(known=True, beacons=beacons)


@pytest.fixture
def boss() -> Actor:
    return Actor.person(User.objects.create_superuser("boss", first_name="Boss"), via="admin")


@pytest.mark.parametrize(
    ("state", "values", "how"),
    [
        (State.WAITING, {}, How.REMOVED),
        (State.ACCEPTED, {}, How.REMOVED),
        (State.ACCEPTED, {"publish_count": 1, "attempt": 1}, How.SKIPPED),
        (State.QUEUED, {"publish_count": 1}, How.SKIPPED),
        (State.RETRYING, {"publish_count": 1, "attempt": 1}, How.SKIPPED),
    ],
)
def test_what_has_not_begun_never_begins(olga: Actor, state: State, values: dict[str, Any], how: How) -> None:
    run = make(state, publish_after=timezone.now(), **values)
    assert cancel_run(run, actor=olga, reason="not today").how is how
    run.refresh_from_db()
    assert (run.state, run.publish_after, run.is_finished) == (State.CANCELLED, None, True)
    assert run.finished_at is not None and run.state_note
    event = AuditEvent.objects.get()
    assert (event.verb, event.object_id, event.reason) == ("cancel_run", run.task_id, "not today")
    assert event.details == {"how": how.value, "was": state.value}
    with pytest.raises(Ignore):
        claim_or_ignore(run.task_id, run.attempt + 1, worker=WORKER, retries=0)
    # The dispatcher had sent it a moment before and notes that now.
    _mark_published([run], timezone.now())
    run.refresh_from_db()
    assert run.state == State.CANCELLED


@pytest.mark.parametrize("state", sorted(FINISHED))
def test_what_has_ended_is_left_alone(olga: Actor, state: State) -> None:
    run = make(state, finished_at=timezone.now() - timedelta(seconds=3))
    with pytest.raises(CancelRefused, match=r"too late, run 1234abcd has .* 3 s ago"):
        cancel_run(run, actor=olga)
    run.refresh_from_db()
    assert (run.state, run.cancel_requested_at) == (state, None)
    event = AuditEvent.objects.get()
    assert event.outcome == "denied" and "too late" in event.details["refused"]


def test_what_runs_is_asked_to_stop_once(olga: Actor) -> None:
    run = make(State.RUNNING, attempt=1, worker=WORKER)
    assert cancel_run(run, actor=olga).how is How.ASKED
    run.refresh_from_db()
    assert run.state == State.RUNNING and run.cancel_requested_at is not None
    with pytest.raises(CancelRefused, match="asked for just now already; it has not ended yet"):
        cancel_run(run, actor=olga)
    assert list(AuditEvent.objects.order_by("id").values_list("outcome", flat=True)) == ["done", "denied"]


def test_who_may_not_cancel_is_told_and_noted(vito: Actor) -> None:
    run = make(State.QUEUED)
    with pytest.raises(NotPermitted, match="You may not cancel runs; ask for the role Operator"):
        cancel_run(run, actor=vito)
    assert AuditEvent.objects.get().details == {"missing": "jobs.cancel_run"}
    assert Run.objects.get().state == State.QUEUED


def told_end(run: Run, state: str, **values: Any) -> Run:
    now = timezone.now().timestamp()
    values = {"n": 1, "guaranteed": True, "worker": WORKER, "started_at": now - 5, **values}
    record_facts([Fact(Kind.ENDED, run.task_id, now, task=run.task_name, state=state, **values)])
    return Run.objects.get(pk=run.pk)


@pytest.mark.parametrize(
    ("told", "state", "note"),
    [
        ({"state": "IGNORED", "note": STOPPED}, State.CANCELLED, STOPPED),
        ({"state": "REVOKED", "error_message": "terminated"}, State.CANCELLED, TERMINATED),
        ({"state": "SUCCESS"}, State.SUCCEEDED, ""),
        ({"state": "FAILURE", "error_type": "ValueError"}, State.FAILED, ""),
        ({"state": "FAILURE", "note": "worker process died"}, State.LOST, "worker process died"),
        ({"state": "RETRY"}, State.CANCELLED, ""),
    ],
)
def test_only_its_own_end_says_what_became_of_it(olga: Actor, told: dict[str, Any], state: State, note: str) -> None:
    run = make(State.RUNNING, attempt=1, worker=WORKER)
    cancel_run(run, actor=olga)
    ended = told_end(run, **told)
    assert (ended.state, ended.state_note, ended.publish_after) == (state, note, None)


def test_a_lost_idempotent_run_is_not_put_back_once_it_is_cancelled(olga: Actor) -> None:
    run = make(State.RUNNING, attempt=1, worker=WORKER, task_name="tests.jobs_under_test.hold_again")
    cancel_run(run, actor=olga)
    assert told_end(run, "FAILURE", note="worker vanished").state == State.LOST


def family_of_four() -> Run:
    root = make(State.RUNNING, task_id="root")
    make(State.SUCCEEDED, task_id="mid", root_id="root", parent_id="root")
    make(State.QUEUED, task_id="leaf", root_id="root", parent_id="mid", guaranteed=True, publish_count=1)
    make(State.QUEUED, task_id="cousin", root_id="root", parent_id="elsewhere")
    return root


def test_its_children_are_cancelled_too_if_asked_for(olga: Actor) -> None:
    root = family_of_four()
    assert [one.task_id for one in active_descendants(root)] == ["leaf"]
    assert cancel_run(root, actor=olga, children=True).children == 1
    states = dict(Run.objects.values_list("task_id", "state"))
    assert states == {"root": "running", "mid": "succeeded", "leaf": "cancelled", "cousin": "queued"}
    assert AuditEvent.objects.get(object_id="leaf").details["because_of"] == "root"


def test_a_run_that_has_ended_may_still_have_children_to_cancel(olga: Actor) -> None:
    root = family_of_four()
    Run.objects.filter(pk=root.pk).update(state=State.SUCCEEDED)
    assert cancel_run(root, actor=olga, children=True).children == 1


def test_an_observed_run_that_waits_is_passed_on_to_the_workers(olga: Actor) -> None:
    run = make(State.QUEUED, guaranteed=False, source=Source.CODE)
    # No Redis in these tests: what is away is told so, and the wish is kept.
    outcome = cancel_run(run, actor=olga)
    run.refresh_from_db()
    assert (outcome.how, outcome.untold) == (How.TOLD, 1)
    assert (run.state, run.cancel_requested_at is not None) == (State.QUEUED, True)


def test_force_wants_a_right_a_pool_that_can_and_the_name(olga: Actor, boss: Actor) -> None:
    run = make(State.RUNNING, attempt=1, worker=WORKER)
    with pytest.raises(NotPermitted, match="You may not end runs by force"):
        end_by_force_now(run, fleet(beacon()), actor=olga, confirmed="Add")
    for heard, typed, sentence in (
        (fleet(beacon()), "", "type Add to confirm"),
        (fleet(), "Add", "is not heard"),
        (Fleet(known=False), "Add", "Redis does not answer"),
        (fleet(beacon("solo")), "Add", "its only process, which nobody can end from outside"),
        (fleet(beacon("thread")), "Add", "threads"),
    ):
        with pytest.raises(CancelRefused, match=sentence):
            end_by_force_now(run, heard, actor=boss, confirmed=typed)
    run.refresh_from_db()
    assert run.cancel_requested_at is None
    assert set(AuditEvent.objects.values_list("verb", "outcome")) == {("force_cancel", "denied")}
    assert AuditEvent.objects.count() == 6


def test_force_without_an_answer_says_so_and_stays_asked_for(boss: Actor) -> None:
    run = make(State.RUNNING, attempt=1, worker=WORKER)
    with pytest.raises(NotPassedOn, match=r"was not ended: .* It stays marked as to be cancelled"):
        end_by_force_now(run, fleet(beacon()), actor=boss, confirmed="Add")
    run.refresh_from_db()
    assert run.state == State.RUNNING and run.cancel_requested_at is not None
    assert AuditEvent.objects.get().outcome == "done", "the wish is kept, whatever became of it"


def test_what_nobody_answers_for_can_be_declared_lost(olga: Actor) -> None:
    run = make(State.RUNNING, attempt=1, worker=WORKER)
    with pytest.raises(CancelRefused, match="first cancel it, and give it 30 s"):
        declare_lost(run, fleet(), actor=olga)
    Run.objects.update(cancel_requested_at=timezone.now() - timedelta(seconds=40))
    with pytest.raises(CancelRefused, match="lives and says that it still has it"):
        declare_lost(run, fleet(beacon(running={run.task_id: 1})), actor=olga)
    with pytest.raises(CancelRefused, match="not known"):
        declare_lost(run, Fleet(known=False), actor=olga)
    declare_lost(run, fleet(), actor=olga, reason="host is gone")
    run.refresh_from_db()
    assert (run.state, run.state_note) == (State.LOST, "declared lost by Olga Berg")
    with pytest.raises(CancelRefused, match="does not run any more"):
        declare_lost(run, fleet(), actor=olga)
    assert told_end(run, "SUCCESS").state == State.SUCCEEDED, "should its worker report after all, that counts"


@pytest.fixture
def executing() -> Any:
    """As in a worker that executes the run 1234abcd-running."""
    current.run = LiveRun("1234abcd-running", 1)
    yield current.run
    current.run = None


def test_outside_of_a_worker_there_is_nothing_to_check(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        check_cancelled()


def test_a_job_looks_once_a_second_and_stops_for_good(
    executing: LiveRun, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    make(State.RUNNING)
    clock = [100.0]
    monkeypatch.setattr("jobs.pipeline.cancelled.time.monotonic", lambda: clock[0])
    with django_assert_num_queries(1):
        for _ in range(1000):
            check_cancelled()
    Run.objects.update(cancel_requested_at=timezone.now())
    check_cancelled()
    clock[0] += cancelled_module.CHECK_EVERY
    with django_assert_num_queries(1):
        for _ in range(3):
            with pytest.raises(Cancelled):
                check_cancelled()


def test_the_next_run_of_the_same_thread_is_not_stopped(executing: LiveRun) -> None:
    make(State.RUNNING, cancel_requested_at=timezone.now())
    with pytest.raises(Cancelled):
        check_cancelled()
    current.run = LiveRun("another", 1)
    check_cancelled()


def test_every_state_can_be_cancelled_or_says_why() -> None:
    assert set(cancel_module._UNPUBLISHED) < ACTIVE
    assert stopping.PATIENCE <= 3, "a page waits for it"
