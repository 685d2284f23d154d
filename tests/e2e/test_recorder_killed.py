"""The recorder dies while it records, or the database is away: every run is right afterwards, each once."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg
from django.conf import settings
from django.db import connection
from django_celery_results.models import TaskResult

from jobs.fleet.broker import DEAD_KEY, FACTS_KEY
from jobs.models import Attempt, Lease, Run
from jobs.states import State
from tests import tasks_observed as tasks
from tests.e2e.processes import PROJECT, Stack, wait_for

RESULTS = int(os.environ.get("RESULTS_WHILE_KILLED", "20000"))
RUNS = int(os.environ.get("RUNS_WHILE_AWAY", "600"))


def test_a_recorder_that_is_killed_again_and_again_records_each_result_once(stack: Stack) -> None:
    half = RESULTS // 2
    command = [sys.executable, "-m", "tests.e2e.report_many"]
    reporters = [
        subprocess.Popen([*command, f"many-{part}", str(half)], cwd=PROJECT, env=stack.env) for part in range(2)
    ]
    runs = Run.objects.filter(task_id__startswith="many-")
    client = stack.client()
    for moment in sorted(random.sample(range(RESULTS // 10, RESULTS * 3 // 4), 3)):
        wait_for(lambda moment=moment: runs.count() >= moment, f"{moment} runs to be recorded", 60)  # type: ignore[misc]
        stack.recorder.kill()
        Lease.objects.filter(name="recorder").delete()  # as if its ten seconds had passed
        stack.recorder.start()
    assert [reporter.wait(60) for reporter in reporters] == [0, 0]
    wait_for(lambda: client.xlen(FACTS_KEY) == 0, "every fact to be recorded", 60)

    assert set(runs.values_list("state", "attempt")) == {(State.SUCCEEDED, 1)}
    kept = dict(TaskResult.objects.filter(task_id__startswith="many-").values_list("task_id", "result"))
    assert kept == {f"many-{part}-{number}": str(number) for part in range(2) for number in range(half)}
    assert sorted(runs.values_list("task_id", flat=True)) == sorted(kept)
    assert not Attempt.objects.filter(run__in=runs).exists()
    assert client.xlen(DEAD_KEY) == 0


def test_runs_that_finish_while_the_database_is_away_are_recorded_when_it_is_back(stack: Stack) -> None:
    noted = stack.recorder.log.stat().st_size
    client = stack.client()
    with database_away():
        results = [tasks.succeed.delay(number, "away") for number in range(RUNS)]
        wait_for(lambda: client.exists(*(f"celery-task-meta-{one.id}" for one in results)) == RUNS, "all to end", 120)
        wait_for(
            lambda: b"ingest: OperationalError" in stack.recorder.log.read_bytes()[noted:], "the outage to be seen", 60
        )
        assert client.xlen(FACTS_KEY) >= RUNS, "nothing is acknowledged that is not recorded"
    wait_for(lambda: client.xlen(FACTS_KEY) == 0, "every fact to be recorded", 60)

    runs = Run.objects.filter(task_id__in=[one.id for one in results])
    assert list(runs.values_list("state", "attempt", "summary").order_by("id")) == [
        (State.SUCCEEDED, 1, f"{number}, away") for number in range(RUNS)
    ]
    assert TaskResult.objects.filter(task_id__in=[one.id for one in results], result="2").count() == RUNS
    assert client.xlen(DEAD_KEY) == 0


@contextmanager
def database_away() -> Iterator[None]:
    """No process can write: PostgreSQL lets nobody in, SQLite is locked by somebody else."""
    name = str(settings.DATABASES["default"]["NAME"])
    connection.close()
    if connection.vendor == "postgresql":
        door = urlsplit(os.environ["TEST_DATABASE_URL"])._replace(path="/template1").geturl()
        with psycopg.connect(door, autocommit=True) as server:
            server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
            server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
            try:
                yield
            finally:
                server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
        return
    other = sqlite3.connect(name, isolation_level=None, timeout=20)
    other.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        other.rollback()
        other.close()
