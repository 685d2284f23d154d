"""An invented history: whole, the same for the same seed, never over a real one."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, models
from django.test.utils import isolate_apps
from django_celery_results.models import TaskResult

from jobs.ledger.summary import summarise
from jobs.management.invented_words import COMMON_WORD, RARE_WORD
from jobs.management.loading import Table, moment_text
from jobs.models import Attempt, AuditEvent, Run, RunLog
from jobs.states import FINISHED, State

pytestmark = pytest.mark.django_db
UNTIL = "2026-11-22T12:00+00:00"
NEWEST = datetime(2026, 11, 22, 12, tzinfo=UTC)


def seed(count: int, **options: Any) -> None:
    call_command("seed_history", str(count), until=UNTIL, **options)


def indexes() -> set[str]:
    with connection.cursor() as cursor:
        return set(connection.introspection.get_constraints(cursor, Run._meta.db_table))


def test_the_runs_are_whole() -> None:
    before = indexes()
    seed(3_000, days=10)
    assert indexes() == before, "the indexes that were away during the load are back"
    runs = list(Run.objects.order_by("pk"))
    assert len(runs) == 3_000
    assert all(summarise(run.arguments) == run.summary for run in runs)
    states = {state: sum(run.state == state for run in runs) for state in State}
    assert states[State.SUCCEEDED] > 0.95 * 3_000
    assert all(states[state] for state in (State.FAILED, State.CANCELLED, State.EXPIRED, State.LOST))
    assert states[State.RUNNING] + states[State.QUEUED] >= 5
    assert all(run.accepted_at <= NEWEST and (run.finished_at or NEWEST) <= NEWEST for run in runs)
    assert (NEWEST - runs[0].accepted_at).days >= 9
    assert sum(9 <= run.accepted_at.hour < 17 for run in runs) > 1_300, "days are busier than nights"
    children = [run for run in runs if run.root_id]
    known = {run.task_id for run in runs}
    assert children
    assert all(run.root_id in known and run.parent_id in known for run in children)
    assert all(run.publish_after is None for run in runs), "nothing that the dispatcher would publish"


def test_what_belongs_to_the_runs_is_there_too() -> None:
    seed(3_000, days=10)
    finished = Run.objects.filter(state__in=FINISHED)
    assert TaskResult.objects.count() == finished.count()
    failed = Run.objects.filter(state=State.FAILED).order_by("pk")[0]
    attempt = Attempt.objects.get(run=failed, outcome="failed")
    stored = TaskResult.objects.get(task_id=failed.task_id)
    assert (stored.status, stored.traceback) == ("FAILURE", attempt.traceback)
    assert json.loads(stored.result)["exc_type"] == failed.error_type == attempt.error_type
    assert stored.date_done == failed.finished_at
    log = RunLog.objects.order_by("pk")[0]
    assert len(json.loads(log.lines)) == log.written
    acts = AuditEvent.objects.filter(verb="start_run")
    assert acts.count() == Run.objects.filter(source__in=["console", "retry"]).count()
    assert Run.objects.filter(summary__contains=COMMON_WORD).count() > 500
    assert Run.objects.filter(summary__contains=RARE_WORD).count() in (1, 2)


def test_the_same_seed_gives_the_same_rows() -> None:
    def rows() -> list[tuple[Any, ...]]:
        return list(Run.objects.order_by("accepted_at", "task_id").values_list("task_id", "arguments", "state"))

    seed(200)
    first = rows()
    Run.objects.all().delete()
    TaskResult.objects.all().delete()
    seed(200)
    assert rows() == first
    Run.objects.all().delete()
    TaskResult.objects.all().delete()
    seed(200, seed=2)
    assert rows() != first


def test_a_run_can_be_made_after_the_load() -> None:
    seed(50)
    last = Run.objects.order_by("-pk")[0].pk
    assert Run.objects.create(task_id="next", task_name="t").pk > last


def test_it_adds_only_when_told_so() -> None:
    Run.objects.create(task_id="real", task_name="t")
    with pytest.raises(CommandError, match="say --add"):
        seed(20)
    assert Run.objects.count() == 1
    seed(20, add=True)
    assert Run.objects.count() == 21


@pytest.mark.parametrize("label", ["production", " Production "])
def test_production_is_refused(label: str, settings: Any) -> None:
    settings.ENVIRONMENT_LABEL = label
    with pytest.raises(CommandError, match="this is production"):
        seed(20, add=True)
    assert not Run.objects.exists()


@pytest.mark.parametrize(("until", "expected"), [("soon", "is no moment"), ("2026-11-22T12:00", "has no zone")])
def test_a_moment_that_cannot_be_read_is_refused(until: str, expected: str) -> None:
    with pytest.raises(CommandError, match=expected):
        call_command("seed_history", "5", until=until)


@isolate_apps("tests.integration")
def test_a_column_that_nobody_gives_gets_its_default() -> None:
    class Parcel(models.Model):
        code = models.CharField(max_length=10)
        sent_at = models.DateTimeField()
        weight = models.FloatField(default=1.5)
        notes = models.JSONField(default=dict)
        kept_at = models.DateTimeField(null=True)
        made_at = models.DateTimeField(db_default=models.functions.Now())

        class Meta:
            app_label = "jobs"

    # Not entered: on SQLite no schema editor works inside the test's transaction, and one table needs none.
    statement, values = connection.schema_editor().table_sql(Parcel)
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
    Table(Parcel, ("code", "sent_at")).load([("a\tb\\n'é", moment_text(0.5))])
    parcel = Parcel._default_manager.get()
    assert (parcel.code, parcel.weight, parcel.notes, parcel.kept_at) == ("a\tb\\n'é", 1.5, {}, None)
    assert parcel.sent_at == datetime(1970, 1, 1, microsecond=500_000, tzinfo=UTC)
    assert parcel.made_at is not None
    with pytest.raises(ValueError, match="has no colour"):
        Table(Parcel, ("colour",))
