"""The reaper and a Redis that has forgotten its beacons: their workers are not gone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from redis import Redis

from jobs.fleet.broker import connect
from jobs.models import Run
from jobs.recorder.reap import CLAIM_GRACE, PROBE_STEADY, Reaper
from jobs.states import State
from tests.e2e.processes import wait_for
from tests.integration.own_redis import own_redis

pytestmark = pytest.mark.django_db


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    with own_redis(tmp_path), connect(f"redis+socket://{tmp_path}/redis.sock", timeout=5) as client:
        yield client


@pytest.fixture
def run(db: None) -> Run:
    """Claimed by a worker that has no beacon."""
    claimed = timezone.now() - timedelta(seconds=CLAIM_GRACE + 60)
    return Run.objects.create(
        task_id="t", task_name="x", guaranteed=True, state=State.RUNNING, attempt=1, worker="w@1", claimed_at=claimed
    )


def long_steady(reaper: Reaper) -> None:
    """As if Redis had taken the probe for a minute."""
    reaper.step()
    reaper._probed_since = time.monotonic() - 2 * PROBE_STEADY


def test_a_missing_beacon_of_a_steady_redis_is_a_vanished_worker(redis: Redis, run: Run) -> None:
    reaper = Reaper(redis)
    long_steady(reaper)
    wait_for(lambda: reaper.step(), "the run to be declared lost", 5)
    run.refresh_from_db()
    assert run.state == State.LOST


def test_a_claim_that_lies_in_the_future_is_judged_too(redis: Redis, run: Run) -> None:
    """A clock was set back, or that of the worker was ahead: it would be running until then."""
    Run.objects.update(claimed_at=timezone.now() + timedelta(hours=2))
    reaper = Reaper(redis)
    long_steady(reaper)
    wait_for(lambda: reaper.step(), "the run to be declared lost", 5)


def test_a_missing_beacon_of_an_emptied_redis_says_nothing_yet(redis: Redis, run: Run) -> None:
    reaper = Reaper(redis)
    long_steady(reaper)
    redis.flushall()
    assert [reaper.step() for _ in range(30)] == [0] * 30
    run.refresh_from_db()
    assert run.state == State.RUNNING
