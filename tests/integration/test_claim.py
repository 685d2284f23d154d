"""The claim: of any number of deliveries of one execution, one runs."""

import threading

import pytest
from celery.exceptions import Ignore
from django.db import connection
from django.utils import timezone

from jobs.models import Run
from jobs.pipeline.claim import claim_or_ignore
from jobs.states import CLAIMABLE, State

pytestmark = pytest.mark.django_db(transaction=True)


def accepted(**values: object) -> Run:
    return Run.objects.create(**{"task_id": "t", "task_name": "x", "guaranteed": True, **values})


def test_a_claim_takes_the_run() -> None:
    run = accepted(state=State.QUEUED, publish_after=timezone.now())
    claim_or_ignore("t", 1, worker="w@1", retries=0)
    run.refresh_from_db()
    assert (run.state, run.attempt, run.worker, run.publish_after) == (State.RUNNING, 1, "w@1", None)
    assert run.claimed_at is not None and run.claimed_by


def test_the_same_execution_is_not_claimed_twice() -> None:
    accepted(state=State.QUEUED)
    claim_or_ignore("t", 1, worker="w@1", retries=0)
    with pytest.raises(Ignore):
        claim_or_ignore("t", 1, worker="w@2", retries=0)
    assert Run.objects.get().worker == "w@1"


@pytest.mark.parametrize("n", [0, 1, 3])
def test_only_the_next_execution_is_claimed(n: int) -> None:
    accepted(state=State.RETRYING, attempt=1)
    with pytest.raises(Ignore):
        claim_or_ignore("t", n, worker="w@1", retries=0)
    claim_or_ignore("t", 2, worker="w@1", retries=1)


@pytest.mark.parametrize("state", sorted(set(State) - CLAIMABLE))
def test_what_has_ended_or_waits_is_not_claimed(state: State) -> None:
    accepted(state=state)
    with pytest.raises(Ignore):
        claim_or_ignore("t", 1, worker="w@1", retries=0)


def test_what_is_cancelled_or_unknown_is_not_claimed() -> None:
    accepted(state=State.QUEUED, cancel_requested_at=timezone.now())
    for task_id in ("t", "restored-away"):
        with pytest.raises(Ignore):
            claim_or_ignore(task_id, 1, worker="w@1", retries=0)


def test_of_eight_racing_deliveries_one_wins() -> None:
    for round_ in range(10):
        Run.objects.all().delete()
        accepted(state=State.QUEUED)
        barrier = threading.Barrier(8)
        won: list[str] = []

        def deliver(worker: str, barrier: threading.Barrier = barrier, won: list[str] = won) -> None:
            try:
                barrier.wait()
                claim_or_ignore("t", 1, worker=worker, retries=0)
                won.append(worker)
            except Ignore:
                pass
            finally:
                connection.close()

        threads = [threading.Thread(target=deliver, args=(f"w@{number}",)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1, f"round {round_}"
        assert Run.objects.get().worker == won[0]
