"""A worker whose clock is two hours off: what waits for it waits as long as the worker meant, on our clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from jobs.models import Run
from jobs.pipeline.backend import LOST_CHILD
from jobs.pipeline.facts import Fact, Kind
from jobs.recorder.merge import RETRY_GRACE, apply_fact
from jobs.states import State
from tests import jobs_under_test as under_test

HOURS = (-7200.0, 0.0, 7200.0)


def seconds_from_now(moment: datetime | None) -> float:
    assert moment is not None
    return (moment - datetime.now(UTC)) / timedelta(seconds=1)


@pytest.mark.parametrize("skew", HOURS)
def test_the_next_look_at_a_retry_is_as_far_off_as_its_worker_meant(skew: float) -> None:
    run = Run(task_id="t", task_name="tests.task", guaranteed=True, state=State.RUNNING, attempt=1)
    at = time.time() + skew
    apply_fact(run, Fact(Kind.ENDED, "t", at, n=1, guaranteed=True, state="RETRY", eta=at + 5, started_at=at - 1))
    assert run.state == State.RETRYING
    assert seconds_from_now(run.publish_after) == pytest.approx(5 + RETRY_GRACE, abs=2)


@pytest.mark.parametrize("skew", HOURS)
def test_what_is_put_back_is_due_at_once(skew: float) -> None:
    name = under_test.hold_again.name
    run = Run(task_id="t", task_name=name, guaranteed=True, state=State.RUNNING, attempt=1)
    at = time.time() + skew
    apply_fact(run, Fact(Kind.ENDED, "t", at, n=1, guaranteed=True, task=name, state="FAILURE", note=LOST_CHILD))
    assert run.state == State.ACCEPTED
    assert seconds_from_now(run.publish_after) == pytest.approx(0, abs=2)
