"""What a run that somebody wanted to stop says in the end, in whatever order those who tell of it are heard."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from redis import Redis

from jobs.fleet.beacon import Beacon, beacon_key
from jobs.fleet.broker import BEACONS_KEY, connect
from jobs.ledger import cancel as cancel_module
from jobs.ledger.audit import Actor
from jobs.ledger.cancel import ENDING_NOTE, NotPassedOn, cancel_run, end_by_force_now
from jobs.models import Attempt, Run
from jobs.pipeline.backend import LOST_CHILD, SHUTDOWN
from jobs.pipeline.cancelled import STOPPED
from jobs.pipeline.facts import Fact, Kind, append
from jobs.recorder.ingest import Ingest
from jobs.recorder.merge import TERMINATED, WORKER_GONE
from jobs.recorder.reap import CLAIM_GRACE, PROBE_STEADY, Reaper
from jobs.recorder.record import record_facts
from jobs.states import State
from tests.e2e.processes import wait_for
from tests.integration.own_redis import own_redis
from tests.integration.test_cancel import WORKER, beacon, boss, fleet
from tests.integration.test_run_page import make

pytestmark = pytest.mark.django_db
__all__ = ["boss"]


def told(state: str, n: int = 1, **more: Any) -> Fact:
    values = {"task": "tests.jobs_under_test.add", "guaranteed": True, "worker": WORKER, "started_at": 1.0, **more}
    return Fact(Kind.ENDED, "1234abcd-run", 1_800_000_000.0 + n, n=n, state=state, **values)


#: The worker's main process after it has killed the child because a person said so.
KILLED = told("REVOKED", error_type="TaskRevokedError", error_message="terminated")
#: The same process, which finds that a child is gone.
CHILD_DIED = told("FAILURE", note=LOST_CHILD)
#: The reaper.
GONE = told("FAILURE", note=WORKER_GONE, started_at=None)
#: A worker that is stopped cuts off what it runs.
CUT_OFF = told("RETRY", note=SHUTDOWN, provisional=True)
STOPPED_ITSELF = told("IGNORED", note=STOPPED)
SUCCEEDED = told("SUCCESS")


def in_every_order(run: Run, facts: list[Fact]) -> set[tuple[str, str, int, bool]]:
    """What the run says after all of them: for each order, told one by one and told at once."""
    fields = {field.attname: getattr(run, field.attname) for field in Run._meta.concrete_fields}
    found = set()
    for order in itertools.permutations(facts):
        for batches in ([[one] for one in order], [list(order)]):
            Run.objects.filter(pk=run.pk).update(**{name: value for name, value in fields.items() if name != "id"})
            for batch in batches:
                record_facts(batch)
            ended = Run.objects.get(pk=run.pk)
            found.add((ended.state, ended.state_note, ended.attempt, ended.provisional))
    return found


def running(**values: Any) -> Run:
    return make(State.RUNNING, **{"task_id": "1234abcd-run", "attempt": 1, "worker": WORKER, **values})


@pytest.mark.parametrize(
    ("facts", "state", "note"),
    [
        # Nobody knows what it had done when it died: that somebody wanted it stopped does not make it known.
        ([CHILD_DIED], State.LOST, LOST_CHILD),
        ([GONE], State.LOST, WORKER_GONE),
        ([CUT_OFF], State.LOST, SHUTDOWN),
        # Its own word says more than what others found.
        ([STOPPED_ITSELF, GONE], State.CANCELLED, STOPPED),
        ([STOPPED_ITSELF, CUT_OFF], State.CANCELLED, STOPPED),
        ([STOPPED_ITSELF, CHILD_DIED, GONE], State.CANCELLED, STOPPED),
        ([SUCCEEDED, GONE], State.SUCCEEDED, ""),
    ],
)
def test_what_was_asked_to_stop(olga: Actor, facts: list[Fact], state: State, note: str) -> None:
    run = running()
    cancel_run(run, actor=olga)
    run.refresh_from_db()
    found = in_every_order(run, facts)
    assert {(one[0], one[2]) for one in found} == {(state, 1)} and note in {one[1] for one in found}
    if len(facts) > 1:
        assert found == {(state, note, 1, False)}


@pytest.mark.parametrize("others", [[], [CHILD_DIED], [GONE], [CHILD_DIED, GONE], [CUT_OFF, GONE]])
@pytest.mark.parametrize("answered", [True, False])
def test_what_was_ended_by_force_and_told(boss: Actor, others: list[Fact], answered: bool) -> None:
    run = running(cancel_requested_at=timezone.now(), state_note=ENDING_NOTE if answered else "")
    assert in_every_order(run, [KILLED, *others]) == {(State.CANCELLED, TERMINATED, 1, False)}


def test_what_was_ended_by_force_while_its_worker_could_not_tell(boss: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis is away for the worker's main process when it has killed the child; the reaper finds the run."""
    run = running()
    monkeypatch.setattr(cancel_module, "end_by_force", lambda task_id, worker, processes: True)
    end_by_force_now(run, fleet(beacon()), actor=boss, confirmed="Add")
    run.refresh_from_db()
    assert (run.state, run.state_note) == (State.RUNNING, ENDING_NOTE)
    for lost in (CHILD_DIED, GONE):
        assert in_every_order(run, [lost]) == {(State.CANCELLED, TERMINATED, 1, True)}
    # It had come to its end before the kill reached it, and that is heard last.
    assert in_every_order(run, [GONE, SUCCEEDED]) == {(State.SUCCEEDED, "", 1, False)}


def test_a_force_that_no_worker_has_answered_makes_nothing_known(boss: Actor) -> None:
    run = running()
    with pytest.raises(NotPassedOn):
        end_by_force_now(run, fleet(beacon()), actor=boss, confirmed="Add")
    run.refresh_from_db()
    assert in_every_order(run, [GONE]) == {(State.LOST, WORKER_GONE, 1, False)}


@pytest.mark.parametrize("attempt", [0, 1])
@pytest.mark.parametrize("cut_off", [CUT_OFF, CHILD_DIED, told("FAILURE", error_type="TimeLimitExceeded")])
def test_a_worker_that_stops_before_the_claim_changes_nothing_of_what_is_cancelled(
    olga: Actor, attempt: int, cut_off: Fact
) -> None:
    """Its main process has handed the message to a child, which would not have claimed it."""
    state = State.RETRYING if attempt else State.QUEUED
    run = make(state, task_id="1234abcd-run", attempt=attempt, publish_count=1, worker="before")
    cancel_run(run, actor=olga)
    run.refresh_from_db()
    later = told(cut_off.state, attempt + 1, note=cut_off.note, provisional=cut_off.provisional, started_at=None)
    assert in_every_order(run, [later]) == {(State.CANCELLED, run.state_note, attempt, False)}
    run.refresh_from_db()
    assert run.worker == "before" and not Attempt.objects.exists()


def test_an_attempt_that_was_not_begun_does_not_hide_how_the_last_one_ended(olga: Actor) -> None:
    """It asked for an automatic retry after it had been asked to stop; its worker stops with the new message."""
    run = running()
    cancel_run(run, actor=olga)
    run.refresh_from_db()
    facts = [told("RETRY"), told("RETRY", 2, note=SHUTDOWN, provisional=True, started_at=None)]
    assert in_every_order(run, facts) == {(State.CANCELLED, "", 1, False)}


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    with own_redis(tmp_path), connect(f"redis+socket://{tmp_path}/redis.sock", timeout=5) as client:
        yield client


def beat(redis: Redis, number: int) -> None:
    """The worker beats, and does not list the run any more."""
    now: Beacon = beacon()
    redis.set(beacon_key(WORKER), json.dumps({**asdict(now), "beat": number}))
    redis.zadd(BEACONS_KEY, {WORKER: time.time()})


def test_the_reaper_waits_for_what_the_worker_tells_between_two_beats(redis: Redis) -> None:
    """A worker's main process stops to list what it kills, and tells the end a moment later."""
    run = running(claimed_at=timezone.now() - timedelta(seconds=CLAIM_GRACE + 60), cancel_requested_at=timezone.now())
    reaper = Reaper(redis)
    reaper.step()
    reaper._probed_since = time.monotonic() - 2 * PROBE_STEADY
    beat(redis, 1)
    assert reaper.step() == 0
    append(redis, KILLED)
    beat(redis, 2)
    assert [reaper.step() for _ in range(5)] == [0] * 5, "what it has told is not in the ledger yet"
    run.refresh_from_db()
    assert run.state == State.RUNNING
    ingest = Ingest(redis)
    wait_for(lambda: ingest.step(wait=0), "what it has told to be recorded")
    assert reaper.step() == 0
    run.refresh_from_db()
    assert (run.state, run.state_note) == (State.CANCELLED, TERMINATED)
