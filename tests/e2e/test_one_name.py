"""Two workers under one node name, as two plain `celery worker` on one host are: each keeps its own runs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.catalog.registry import find_job
from jobs.fleet.beacon import Beacon, read_beacons
from jobs.fleet.conditions import shared_names
from jobs.ledger.audit import Actor
from jobs.ledger.start import start_run
from jobs.models import Run
from jobs.states import State
from tests import jobs_under_test as under_test
from tests.e2e.client import Person
from tests.e2e.conftest import PASSWORD, finished, in_state
from tests.e2e.processes import Daemon, Stack, wait_for

NAME = "twin@tests"
JOBS = (under_test.hold.name, under_test.hold_again.name)


@pytest.fixture
def twins(running: Stack) -> Iterator[tuple[Daemon, Daemon]]:
    """Two workers of one name and one slot for each of two runs; nobody else takes anything."""
    running.up(running.recorder)
    running.worker.stop()
    command = [*running.worker.command[:-1], NAME]
    pair = tuple(Daemon(name, command, running.worker.log.parent, running.env, "ready.") for name in ("twin1", "twin2"))
    yield pair[0].start(), pair[1].start()
    for one in pair:
        one.stop()


def test_one_of_two_is_killed_and_only_its_runs_are_lost(
    running: Stack, twins: tuple[Daemon, Daemon], actor: Actor, tmp_path: Path
) -> None:
    flag = tmp_path / "go"
    client = running.client()
    pids = {one.process.pid for one in twins if one.process is not None}
    wait_for(lambda: {one.pid for one in heard(running)} >= pids, "both to be heard")
    # Two slots each: four runs fill both.
    runs = [start_run(find_job(job), {"flag": str(flag)}, actor=actor).run for job in (*JOBS, *JOBS)]
    for run in runs:
        in_state(run.task_id, State.RUNNING)
    at_work = wait_for(lambda: both_at_work(running, runs), "each of them to be at work")
    wait_for(lambda: shared_names(read_beacons(client).beacons).get(NAME), "the shared name to be told", 30)

    # Longer than it took until a healthy run was lost: the claim's grace, two looks, and Redis long steady.
    wait_for(lambda: [one.claimed_at for one in claimed(runs) if age(one) > 50], "the reaper to have judged them", 70)
    assert {run.state for run in claimed(runs)} == {State.RUNNING}
    assert {run.task_id: len(under_test.book(run.task_id)) for run in runs} == {run.task_id: 1 for run in runs}
    running.up(running.web)
    page = Person(running.url).sign_in("ana", PASSWORD)
    wait_for(lambda: "names:shared" in page.get("/admin/").text, "the shared name to be told")

    killed = at_work[0]
    next(one for one in twins if one.process is not None and one.process.pid == killed.pid).kill()
    mine = {run.task_id for run in runs} & set(killed.started)
    for run in runs:
        if run.task_id in mine and run.task_name == under_test.hold.name:
            in_state(run.task_id, State.LOST, 60)
    again = [run for run in runs if run.task_id in mine and run.task_name == under_test.hold_again.name]
    flag.touch()
    for run in runs:
        if run.task_id not in mine:
            ended = finished(run.task_id, 30)
            assert (ended.state, ended.attempt) == (State.SUCCEEDED, 1), "the other one goes on with its own"
            assert len(under_test.book(run.task_id)) == 1, "and nobody does it a second time"
    for run in again:
        assert (finished(run.task_id, 60).state, len(under_test.book(run.task_id))) == (State.SUCCEEDED, 2)


def heard(stack: Stack) -> list[Beacon]:
    return [one for one in read_beacons(stack.client()).beacons if one.worker == NAME]


def both_at_work(stack: Stack, runs: list[Run]) -> list[Beacon] | None:
    """Both, once each of the runs is with one of them."""
    found = heard(stack)
    listed = {task_id for one in found for task_id in one.started}
    return found if len(found) == 2 and all(one.started for one in found) and len(listed) == len(runs) else None


def claimed(runs: list[Run]) -> list[Run]:
    return list(Run.objects.filter(pk__in=[run.pk for run in runs]))


def age(run: Run) -> float:
    """Seconds since its claim."""
    return time.time() - run.claimed_at.timestamp() if run.claimed_at else 0.0
