"""Accepted, published, claimed, run, recorded: through real processes."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from celery import current_app
from django.core.files.storage import default_storage
from django_celery_beat.models import IntervalSchedule, PeriodicTask
from django_celery_results.models import TaskResult

from jobs.catalog.registry import find_job
from jobs.errors import InvalidArguments
from jobs.ledger.audit import Actor
from jobs.ledger.run_page import outcome, run_page, trail
from jobs.ledger.start import Wish, start_run
from jobs.models import Attempt, Run
from jobs.states import Source, State
from tests import jobs_under_test as under_test
from tests.e2e.conftest import finished
from tests.e2e.processes import Stack, wait_for


def test_a_job_runs_once_and_its_record_is_whole(stack: Stack, actor: Actor) -> None:
    started = start_run(
        find_job(under_test.add.name), {"a": 20, "b": 22}, actor=actor, wish=Wish(reason="to see it work")
    )
    run = finished(started.run.task_id)

    assert (run.state, run.attempt, run.worker, run.queue) == (State.SUCCEEDED, 1, "default@tests", "default")
    assert run.published_at is not None and run.started_at is not None and run.finished_at is not None
    assert run.accepted_at <= run.published_at <= run.started_at
    assert run.runtime is not None and run.runtime >= 0
    assert len(under_test.book(run.task_id)) == 1
    page = run_page(run.task_id)
    assert page is not None
    assert (page.title, outcome(page).result, page.arguments) == ("Add", 42, [("A", 20), ("B", 22)])
    assert [(e.actor_label, e.verb, e.reason) for e in trail(run)] == [("Ana Petrova", "start_run", "to see it work")]
    stored = TaskResult.objects.get(task_id=run.task_id)
    assert (stored.status, stored.result) == ("SUCCESS", "42")
    assert abs((stored.date_done - run.finished_at).total_seconds()) < 0.001


def test_the_report_brings_its_files(stack: Stack, actor: Actor) -> None:
    today = datetime.now(UTC).date()
    job = find_job("jobs.library.reports.task_activity_report")
    started = start_run(job, {"start": date(2026, 1, 1).replace(year=today.year), "end": today}, actor=actor)
    run = finished(started.run.task_id)

    assert run.state == State.SUCCEEDED, run.error_message
    csv, html = run.files.order_by("name")
    assert (csv.name, html.name) == ("task-activity.csv", "task-activity.html")
    with default_storage.open(csv.path) as file:
        first_line = file.read().decode().splitlines()[0]
    assert first_line.startswith('"job","runs","succeeded","failed","lost","p50 duration, s"')
    with default_storage.open(html.path) as file:
        assert b"Task activity by job" in file.read()


def test_a_failure_keeps_its_error_and_traceback(stack: Stack, actor: Actor) -> None:
    run = finished(start_run(find_job(under_test.fail.name), {"message": "no such rate"}, actor=actor).run.task_id)

    assert (run.state, run.error_type, run.error_message) == (State.FAILED, "ValueError", "no such rate")
    attempt = Attempt.objects.get(run=run)
    assert (attempt.number, attempt.outcome, attempt.worker) == (1, Attempt.Outcome.FAILED, "default@tests")
    assert "in fail" in attempt.traceback and "raise ValueError(message)" in attempt.traceback


def test_automatic_retries_keep_number_and_exact_types(stack: Stack, actor: Actor) -> None:
    arguments = {"day": date(2028, 2, 29), "amount": Decimal("1.10"), "mode": "b"}
    run = finished(start_run(find_job(under_test.retry_twice.name), arguments, actor=actor).run.task_id)

    assert (run.state, run.attempt) == (State.SUCCEEDED, 3)
    assert list(run.attempts.values_list("number", "outcome")) == [(1, "retried"), (2, "retried")]
    executions = under_test.book(run.task_id)
    assert [e["types"] for e in executions] == [["date", "Decimal"]] * 3
    assert [e["values"] for e in executions] == [["2028-02-29", "1.10", "b"]] * 3


def test_a_killed_child_loses_the_run_and_not_the_worker(stack: Stack, actor: Actor) -> None:
    run = finished(start_run(find_job(under_test.die.name), {}, actor=actor).run.task_id)

    assert (run.state, run.attempts.get().outcome) == (State.LOST, "lost")
    again = finished(start_run(find_job(under_test.add.name), {"a": 1}, actor=actor).run.task_id)
    assert again.state == State.SUCCEEDED


def test_the_hard_time_limit_is_a_failure_with_its_name(stack: Stack, actor: Actor) -> None:
    run = finished(start_run(find_job(under_test.too_long.name), {}, actor=actor).run.task_id)

    assert (run.state, run.error_type) == (State.FAILED, "TimeLimitExceeded")


def test_a_value_that_json_cannot_carry_is_still_a_success(stack: Stack, actor: Actor) -> None:
    run = finished(start_run(find_job(under_test.return_an_object.name), {}, actor=actor).run.task_id)

    assert run.state == State.SUCCEEDED
    page = run_page(run.task_id)
    assert page is not None
    assert "object object" in outcome(page).result["unserialisable"]


def test_a_wrong_argument_starts_nothing(stack: Stack, actor: Actor) -> None:
    before = Run.objects.count()
    with pytest.raises(InvalidArguments) as refused:
        start_run(find_job(under_test.add.name), {"a": "many", "b": 101}, actor=actor)
    assert set(refused.value.fields) == {"a", "b"}
    assert Run.objects.count() == before


def test_a_run_waits_for_its_time_in_the_database(stack: Stack, actor: Actor) -> None:
    soon = datetime.fromtimestamp(datetime.now(UTC).timestamp() + 2, UTC)
    started = start_run(find_job(under_test.add.name), {"a": 1}, actor=actor, wish=Wish(not_before=soon))

    assert started.run.state == State.WAITING
    run = finished(started.run.task_id)
    assert run.started_at is not None and run.started_at >= soon


def test_what_code_publishes_is_observed(stack: Stack) -> None:
    result = under_test.plain.delay(1, when=date(2026, 3, 1))

    assert result.get(timeout=20)[0] == [1]
    run = finished(result.id)
    assert (run.state, run.guaranteed, run.source, run.attempt) == (State.SUCCEEDED, False, Source.CODE, 1)
    page = run_page(run.task_id)
    assert page is not None and page.arguments == [("Argument 1", 1), ("when", date(2026, 3, 1))]


def test_family_and_ignored_results_are_observed(stack: Stack) -> None:
    quiet = under_test.quiet.delay()
    elder = under_test.parent.delay()
    child_id = elder.get(timeout=20)

    assert finished(quiet.id).state == State.SUCCEEDED
    child = finished(child_id)
    assert (child.parent_id, child.root_id) == (elder.id, elder.id)


def test_a_schedule_fires_without_publishing(stack: Stack) -> None:
    every, _ = IntervalSchedule.objects.get_or_create(every=1, period=IntervalSchedule.SECONDS)
    schedule = PeriodicTask.objects.create(
        name="Add every second", task=under_test.add.name, interval=every, kwargs='{"a": 1}'
    )
    stack.up(stack.beat)
    try:
        runs = Run.objects.filter(schedule_id=schedule.pk, state=State.SUCCEEDED)
        wait_for(lambda: runs.count() >= 3, "three runs of the schedule", 30)
    finally:
        PeriodicTask.objects.filter(pk=schedule.pk).delete()
        stack.beat.stop()
    moments = list(Run.objects.filter(schedule_id=schedule.pk).values_list("due_at", flat=True))
    assert len(moments) == len(set(moments))
    assert current_app.conf.beat_scheduler.endswith("ConsoleScheduler")
