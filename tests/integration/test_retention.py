"""What is older than RETENTION leaves with everything that belongs to it; nothing else does."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.db.models.signals import pre_delete
from django.template import Context, Template
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_celery_results.models import GroupResult, TaskResult

from admin_ext.templatetags.retention import sentence
from jobs.catalog.registry import find_job
from jobs.errors import NotPermitted
from jobs.ledger.audit import Actor
from jobs.ledger.keeping import parse_keeping
from jobs.ledger.retention import expired_counts, prune
from jobs.library.maintenance import nightly_housekeeping
from jobs.models import Attempt, AuditEvent, Run, RunFile, RunLog, RunObject
from jobs.pipeline import cancelled
from jobs.pipeline.live import LiveRun, current
from jobs.states import ACTIVE, State

pytestmark = pytest.mark.django_db
SYSTEM = Actor("Nightly housekeeping", via="system")
HOUSEKEEPING = "jobs.library.maintenance.nightly_housekeeping"


def days(number: float) -> datetime:
    return timezone.now() - timedelta(days=number)


def run(task_id: str, age: float, state: State = State.SUCCEEDED, **values: Any) -> Run:
    values.setdefault("task_name", "shop.tasks.send")
    ended = None if state in ACTIVE else days(age - 0.001)
    return Run.objects.create(task_id=task_id, state=state, accepted_at=days(age), finished_at=ended, **values)


def result(task_id: str, age: float) -> None:
    TaskResult.objects.create(task_id=task_id, status="SUCCESS")
    TaskResult.objects.filter(task_id=task_id).update(date_done=days(age))  # auto_now


def left() -> set[str]:
    return set(Run.objects.values_list("task_id", flat=True))


def test_each_state_and_job_has_its_own_time() -> None:
    keeping = parse_keeping("runs 90 d, failed 1 y, shop.tasks.ping 7 d, shop.tasks.tax forever")
    run("old", 91)
    run("young", 89)
    run("failed", 91, State.FAILED)
    run("lost", 91, State.LOST)
    run("failed long ago", 366, State.FAILED)
    run("lost long ago", 366, State.LOST)
    run("cancelled", 91, State.CANCELLED)
    run("expired", 91, State.EXPIRED)
    run("ping", 8, task_name="shop.tasks.ping")
    run("failed ping", 8, State.FAILED, task_name="shop.tasks.ping")
    run("young ping", 6, task_name="shop.tasks.ping")
    run("tax", 4000, task_name="shop.tasks.tax")
    expected = {State.SUCCEEDED: 2, State.FAILED: 2, State.LOST: 1, State.CANCELLED: 1, State.EXPIRED: 1}
    assert expired_counts(keeping=keeping) == expected
    done = prune(SYSTEM, keeping=keeping)
    assert left() == {"young", "failed", "lost", "young ping", "tax"}
    assert (done.runs, done.finished) == (expected, True)
    assert prune(SYSTEM, keeping=keeping).runs == {}


def test_a_lost_run_may_have_a_time_of_its_own() -> None:
    run("lost", 31, State.LOST)
    run("failed", 31, State.FAILED)
    prune(SYSTEM, keeping=parse_keeping("runs 90 d, failed 1 y, lost 30 d"))
    assert left() == {"failed"}


@pytest.mark.parametrize("state", sorted(ACTIVE))
def test_what_has_not_finished_stays(state: State) -> None:
    run("old", 4000, state)
    prune(SYSTEM, keeping=parse_keeping("runs 1 d, shop.tasks.send 1 d"))
    assert left() == {"old"}


def test_a_run_that_waited_for_months_is_kept_from_its_end_on() -> None:
    run("waited", 200)
    Run.objects.update(finished_at=days(1))
    prune(SYSTEM)
    assert left() == {"waited"}


def test_everything_that_belongs_to_a_run_goes_with_it(django_capture_on_commit_callbacks: Any, root: object) -> None:
    path = default_storage.save("runs/old/report.csv", ContentFile(b"a"))
    kept_path = default_storage.save("runs/young/report.csv", ContentFile(b"a"))
    for task_id, age, file in ("old", 91, path), ("young", 1, kept_path):
        one = run(task_id, age, group_id=f"group of {task_id}")
        Attempt.objects.create(run=one, number=1, outcome="retried")
        RunLog.objects.create(run=one)
        RunObject.objects.create(run=one, model="auth.user", key="1", label="ana")
        RunFile.objects.create(run=one, name="report.csv", path=file, content_type="text/csv", size=1)
        result(task_id, age)
        GroupResult.objects.create(group_id=f"group of {task_id}")
    RunFile.objects.create(
        run=Run.objects.get(task_id="old"), name="gone", path="runs/old/gone", content_type="", size=1
    )
    with django_capture_on_commit_callbacks(execute=True):
        done = prune(SYSTEM)
    assert left() == {"young"}
    for model in (Attempt, RunLog, RunObject, RunFile, TaskResult, GroupResult):
        assert model._default_manager.count() == 1, model
    assert not default_storage.exists(path)
    assert not default_storage.exists("runs/old")
    assert default_storage.exists(kept_path)
    assert done.files == 2


def test_a_younger_retry_of_a_pruned_run_stays_and_forgets_it() -> None:
    old = run("old", 91)
    run("retry", 80, retry_of=old)
    prune(SYSTEM)
    assert Run.objects.get().retry_of_id is None


def test_results_that_belong_to_no_run_go_too() -> None:
    run("failed", 200, State.FAILED)
    result("failed", 200)
    for number in range(30):
        result(f"orphan {number}", 91)
    result("young orphan", 1)
    GroupResult.objects.create(group_id="old")
    GroupResult.objects.update(date_done=days(366))
    done = prune(SYSTEM)
    assert done.results == 30
    assert set(TaskResult.objects.values_list("task_id", flat=True)) == {"failed", "young orphan"}
    assert not GroupResult.objects.exists()


def test_it_works_in_small_transactions_and_goes_on_where_the_deadline_stopped_it() -> None:
    Run.objects.bulk_create(
        [Run(task_id=f"{n}", state="succeeded", accepted_at=days(91), finished_at=days(91)) for n in range(450)]
    )
    stopped = prune(SYSTEM, deadline=time.monotonic())
    assert (stopped.runs, stopped.finished, Run.objects.count()) == ({}, False, 450)
    with CaptureQueriesContext(connection) as queries:
        done = prune(SYSTEM)
    deletions = [q["sql"] for q in queries if q["sql"].startswith('DELETE FROM "jobs_run" ')]
    assert len(deletions) >= 2
    assert max(sql.count(",") for sql in deletions) < 900
    assert done.runs == {State.SUCCEEDED: 450}


def test_stopped_between_two_batches_it_says_what_it_has_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    Run.objects.bulk_create(
        [Run(task_id=f"{n}", state="succeeded", accepted_at=days(91), finished_at=days(91)) for n in range(150)]
    )
    run("pruning", 0, State.RUNNING)

    def ask(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        done = execute(sql, params, many, context)
        if sql.startswith('DELETE FROM "jobs_run" '):
            Run.objects.filter(task_id="pruning").update(cancel_requested_at=timezone.now())
        return done

    monkeypatch.setattr(cancelled, "CHECK_EVERY", 0)
    monkeypatch.setattr(current, "run", LiveRun("pruning", 1))
    with connection.execute_wrapper(ask), pytest.raises(cancelled.Cancelled):
        prune(SYSTEM)
    assert Run.objects.count() == 51
    assert AuditEvent.objects.get(verb="prune").details["runs"] == {"succeeded": 100}


def test_signals_cost_nothing() -> None:
    def refuse(**kwargs: Any) -> None:
        raise AssertionError("a row was loaded to be deleted")

    run("old", 91)
    result("old", 91)
    pre_delete.connect(refuse)
    try:
        prune(SYSTEM)
    finally:
        pre_delete.disconnect(refuse)
    assert not left()


def test_it_is_in_the_trail_and_the_trail_stays() -> None:
    run("old", 4000)
    prune(SYSTEM)
    event = AuditEvent.objects.get(verb="prune")
    assert (event.actor_label, event.details["runs"]) == ("Nightly housekeeping", {"succeeded": 1})
    prune(SYSTEM)
    assert AuditEvent.objects.count() == 1, "nothing done, nothing written"


def test_without_permission_nothing_goes(vito: Actor) -> None:
    run("old", 4000)
    with pytest.raises(NotPermitted):
        prune(vito)
    assert left() == {"old"}


@pytest.fixture
def old_history() -> None:
    run("old", 91)
    run("failed", 400, State.FAILED)
    result("orphan", 91)
    Session.objects.create(session_key="a" * 32, session_data="", expire_date=days(1))
    Session.objects.create(session_key="b" * 32, session_data="", expire_date=days(-1))


def test_the_job_says_what_it_removed(old_history: None) -> None:
    said = nightly_housekeeping.run()
    assert said == (
        "Removed 2 runs (1 failed, 1 succeeded), 0 files, 1 stored result without a run and 1 expired sign-in."
    )
    assert not left()
    assert Session.objects.count() == 1


def test_the_catalogue_offers_it() -> None:
    job = find_job(HOUSEKEEPING)
    assert (job.title, job.idempotent, job.dry_run) == ("Nightly housekeeping", True, "dry_run")
    assert job.parameters is not None
    assert not any(parameter.required for parameter in job.parameters.fields), "a schedule asks for it without values"


def test_its_dry_run_removes_nothing(old_history: None) -> None:
    said = nightly_housekeeping.run(dry_run=True)
    assert said == "Would remove 2 runs (1 failed, 1 succeeded) and 1 expired sign-in."
    assert left() == {"old", "failed"}
    assert Session.objects.count() == 2
    assert not AuditEvent.objects.exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("runs 90 d, failed 1 y", "Runs are kept 90 days, failed ones a year."),
        ("runs 1 d, lost 2 y", "Runs are kept a day, lost ones 2 years."),
        (f"runs forever, {HOUSEKEEPING} 7 d", "Runs are kept for ever, those of Nightly housekeeping 7 days."),
        (
            "runs 1 w, a.a 1 d, a.b 1 d, a.c 1 d, a.d 1 d",
            "Runs are kept 7 days, those of 4 jobs by rules of their own.",
        ),
    ],
)
def test_the_foot_of_the_lists_says_how_long_runs_are_kept(text: str, expected: str) -> None:
    assert sentence(parse_keeping(text)) == expected


def test_the_foot_of_the_lists_says_how_far_back_they_go() -> None:
    foot = Template("{% load retention %}{% retention oldest %}")
    assert "The oldest" not in foot.render(Context({"oldest": None}))
    at = timezone.localtime(days(1000))
    assert f">{at.day} {at:%B} {at.year}</time>." in foot.render(Context({"oldest": at}))
