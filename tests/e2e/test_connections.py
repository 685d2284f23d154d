"""A worker keeps its database connection between tasks, and one that has died costs no run."""

from __future__ import annotations

from django.db import connection

from jobs.catalog.registry import find_job
from jobs.ledger.audit import Actor
from jobs.ledger.start import start_run
from jobs.states import State
from tests import jobs_under_test as under_test
from tests import tasks_observed as tasks
from tests.e2e.conftest import finished
from tests.e2e.processes import Stack


def test_a_connection_serves_many_tasks(stack: Stack) -> None:
    seen: dict[int, list[int]] = {}
    for _ in range(8):
        pid, count = tasks.count_on_this_connection.delay().get(timeout=20)
        seen.setdefault(pid, []).append(count)
    assert all(counts == list(range(counts[0], counts[0] + len(counts))) for counts in seen.values())
    assert max(map(max, seen.values())) > 1


def test_a_dead_connection_costs_no_run(stack: Stack, actor: Actor) -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            )
    runs = [start_run(find_job(under_test.add.name), {"a": a}, actor=actor).run for a in range(6)]
    assert [finished(run.task_id).state for run in runs] == [State.SUCCEEDED] * 6
    assert tasks.count_on_this_connection.delay().get(timeout=20)[1] >= 1
