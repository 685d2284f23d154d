"""Facts become rows: runs, attempts, files and stored results, in one transaction, as often as they come."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from celery import current_app
from celery.result import AsyncResult, GroupResult
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django_celery_results.backends.database import DatabaseBackend
from django_celery_results.models import TaskResult
from redis import Redis

from jobs.fleet.broker import DEAD_KEY, FACTS_KEY, forget_clients, steady_client
from jobs.models import Attempt, Run, RunFile
from jobs.pipeline.facts import Fact, Kind, read_entry
from jobs.recorder.ingest import Ingest
from jobs.recorder.record import RUNS, record_facts
from jobs.states import State
from tests.integration.own_redis import fresh, own_redis

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


def test_the_same_fact_twice_in_one_batch_is_one_attempt(run: Run) -> None:
    record_facts([fact("RETRY", started_at=AT - 1)] * 2)
    assert Attempt.objects.get().number == 1


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


def test_the_same_batch_again_writes_no_run(run: Run) -> None:
    batch = [fact(), fact(n=None, guaranteed=False, task_id="o")]
    record_facts(batch)
    with CaptureQueriesContext(connection) as again:
        record_facts(batch)
    assert [
        query["sql"] for query in again if query["sql"].startswith("UPDATE") or '"jobs_run" (' in query["sql"]
    ] == []


def test_only_what_changed_is_written(run: Run) -> None:
    with CaptureQueriesContext(connection) as queries:
        record_facts([fact()])
    [update] = [query["sql"] for query in queries if 'UPDATE "jobs_run"' in query["sql"]]
    assert '"state"' in update
    assert '"accepted_at"' not in update, "it would touch every index"


def test_every_column_of_a_run_survives_both_ways_of_writing(run: Run) -> None:
    """Inserted at once or in two steps: the rows are the same, and the same as the ORM's."""
    told = {"done": 1, "total": None, "noun": "rows", "note": 'a "b"', "began": AT, "at": AT}
    more: dict[str, Any] = {
        "n": None,
        "guaranteed": False,
        "started_at": AT - 0.123456,
        "runtime": 0.1,
        "progress": told,
    }
    for task_id, batches in (("once", 1), ("twice", 2)):
        published = Fact(
            Kind.PUBLISHED, task_id, AT - 1, task="x", queue="q", arguments='[[1, "é\\n"], {}]', published=AT - 1
        )
        facts = [published, fact(task_id=task_id, published=AT - 1, **more)]
        for number in range(batches):
            record_facts(facts if batches == 1 else [facts[number]])
    once, twice = Run.objects.filter(guaranteed=False).order_by("task_id").values()
    apart = {"id", "task_id"}
    assert {k: v for k, v in once.items() if k not in apart} == {k: v for k, v in twice.items() if k not in apart}
    stored = Run.objects.get(task_id="once")
    assert (stored.progress, stored.state, stored.attempt) == (told, State.SUCCEEDED, 1)
    assert stored.started_at == datetime.fromtimestamp(AT - 0.123456, UTC)
    assert (
        Run.objects.filter(started_at=stored.started_at, finished_at__lte=datetime.fromtimestamp(AT, UTC)).count() == 2
    )


@pytest.mark.parametrize("more", [{}, {"runtime": 0.5, "started_at": AT - 0.5, "progress": {"done": 1, "note": "x"}}])
def test_rows_written_together_are_the_same_as_rows_written_one_by_one(run: Run, more: dict[str, Any]) -> None:
    """What they have in common is said once."""
    for way in ("together", "apart"):
        facts = [fact(task_id=f"{way} {part}", n=None, guaranteed=False, result='"é"', **more) for part in "abc"]
        for batch in [facts] if way == "together" else [[one] for one in facts]:
            record_facts(batch)
    apart = {"id", "task_id", "date_created"}
    for rows in (Run.objects.filter(guaranteed=False).values(), TaskResult.objects.values()):
        assert len(rows) == 6
        assert len({str({name: value for name, value in row.items() if name not in apart}) for row in rows}) == 1


def test_a_locked_run_is_what_the_orm_reads(run: Run) -> None:
    moment = datetime.fromtimestamp(AT, UTC)
    Run.objects.filter(pk=run.pk).update(
        progress={"note": "é"}, runtime=0.5, started_at=moment, priority=3, provisional=True
    )
    with transaction.atomic():
        [(found, row)] = RUNS.locked("task_id", {"t", "nobody's"})
    expected = Run.objects.get()
    assert found == expected
    assert row == RUNS.values(found) == RUNS.values(expected)
    assert list(map(type, row)) == list(map(type, RUNS.values(expected)))
    assert not found._state.adding


@pytest.fixture(scope="module")
def redis(root: Path) -> Iterator[Redis]:
    with own_redis(root) as client:
        yield client
    forget_clients()


def test_a_saved_group_is_restored_by_the_stock_backend(redis: Redis) -> None:
    fresh(redis)
    members = GroupResult("g", [AsyncResult("a"), AsyncResult("b")])
    saved = Fact(Kind.GROUP, "g", AT, result=json.dumps(members.as_tuple()))
    for _ in range(2):
        record_facts([saved])
    restored = DatabaseBackend(app=current_app).restore_group("g")
    assert (restored.id, [child.id for child in restored.results]) == ("g", ["a", "b"])
    assert not Run.objects.exists()


def test_what_cannot_be_recorded_is_set_aside_and_holds_nothing_up(redis: Redis, db: None) -> None:
    fresh(redis)
    file = {"name": "a", "path": "p", "content_type": "t", "size": -1}
    bad: list[dict[Any, Any]] = [
        {"f": b"\xff\xfe"},
        {"f": "[]"},
        {"g": "no fact"},
        fact(n=None, guaranteed=False, task_id="bad-file", files=[file]).entry(),
        fact(n=None, guaranteed=False, task_id="bad-time", at=1e30).entry(),
        Fact(Kind.PUBLISHED, "bad-arguments", AT, arguments="{").entry(),
        fact(n=None, guaranteed=False, task_id="bad-shape", files=[{"unknown": 1}]).entry(),
    ]
    ingest = Ingest(steady_client())
    ingest.step(wait=0.01)
    for number in range(40):
        redis.xadd(FACTS_KEY, fact(n=None, guaranteed=False, task_id=f"o{number}").entry())  # type: ignore[arg-type]
        if number % 5 == 0 and bad:
            redis.xadd(FACTS_KEY, bad.pop())
    for _ in range(10):
        ingest.step(wait=0.01)
    assert Run.objects.filter(state=State.SUCCEEDED).count() == TaskResult.objects.count() == 40
    assert Run.objects.count() == 40
    assert redis.xlen(FACTS_KEY) == 0
    dead: list[dict[bytes, bytes]] = [fields for _, fields in cast("Any", redis.xrange(DEAD_KEY))]
    assert len(dead) == 7 and all(fields[b"why"] and fields[b"id"] for fields in dead)
    assert any(fields.get(b"f") == b"\xff\xfe" for fields in dead), "it is kept as it came"
