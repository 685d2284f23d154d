"""Facts become rows: runs, attempts, files and stored results, in one transaction, as often as they come."""

from datetime import UTC, datetime
from typing import Any

import pytest
from celery import current_app
from django_celery_results.backends.database import DatabaseBackend
from django_celery_results.models import TaskResult

from jobs.models import Attempt, Run, RunFile
from jobs.pipeline.facts import Fact, Kind, read_entry
from jobs.recorder.ingest import record_facts
from jobs.states import State

pytestmark = pytest.mark.django_db
AT = 1_790_000_000.25


def fact(state: str = "SUCCESS", **more: Any) -> Fact:
    values: dict[str, Any] = {
        "task_id": "t",
        "task": "x",
        "worker": "w@1",
        "n": 1,
        "guaranteed": True,
        "result": '"done"',
        "at": AT,
    }
    return Fact(kind=Kind.ENDED, state=state, **{**values, **more})


@pytest.fixture
def run() -> Run:
    return Run.objects.create(task_id="t", task_name="x", guaranteed=True, state=State.RUNNING, attempt=1)


def test_a_result_is_stored_as_the_stock_backend_reads_it(run: Run) -> None:
    record_facts([fact(result='{"rows": 3}')])
    meta = DatabaseBackend(app=current_app).get_task_meta("t")
    assert (meta["status"], meta["result"], meta["worker"], meta["task_name"]) == ("SUCCESS", {"rows": 3}, "w@1", "x")
    assert TaskResult.objects.get().date_done == datetime.fromtimestamp(AT, UTC), "when it ended, not when recorded"


def test_the_same_batch_twice_changes_nothing(run: Run) -> None:
    file = {"name": "a.csv", "path": "runs/t/a.csv", "content_type": "text/csv", "size": 3, "rows": 1}
    batch = [fact("RETRY", started_at=AT - 1), fact(n=2, files=[file])]
    for _ in range(2):
        record_facts(batch)
    run.refresh_from_db()
    assert (run.state, run.attempt) == (State.SUCCEEDED, 2)
    assert (Attempt.objects.count(), RunFile.objects.count(), TaskResult.objects.count()) == (1, 1, 1)


def test_a_batch_costs_a_fixed_number_of_queries(run: Run, django_assert_max_num_queries: Any) -> None:
    batch = [fact(n=None, guaranteed=False, task_id=f"o{number}") for number in range(40)]
    with django_assert_max_num_queries(12):
        record_facts(batch)
    assert Run.objects.filter(state=State.SUCCEEDED, guaranteed=False).count() == 40


def test_a_fact_of_an_unknown_console_run_is_dropped() -> None:
    record_facts([fact()])
    assert not Run.objects.exists()


def test_a_lost_run_has_no_stored_result(run: Run) -> None:
    record_facts([fact("FAILURE", note="worker vanished")])
    run.refresh_from_db()
    assert run.state == State.LOST
    assert not TaskResult.objects.exists()


def test_characters_that_no_database_keeps_hold_nothing_up(run: Run) -> None:
    told = {"done": 1, "total": None, "noun": "\x00rows", "note": "\ud83d", "began": AT, "at": AT}
    message = "a \x00 and half a pair \udc00"
    sent = fact("FAILURE", error_type="ValueError", error_message=message, traceback=message, progress=told)
    record_facts([read_entry(sent.entry())])
    run.refresh_from_db()
    assert (run.state, run.error_message) == (State.FAILED, "a  and half a pair ?")
    assert run.progress is not None
    assert (run.progress["noun"], run.progress["note"]) == ("rows", "?")
