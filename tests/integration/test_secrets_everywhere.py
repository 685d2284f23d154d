"""A secret that code gave by position: on no page that shows arguments, in no list, export, search or audit event."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from celery import current_app
from celery.app.task import Context
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from django_celery_results.models import TaskResult
from redis import Redis

from jobs.catalog.registry import find_job
from jobs.fleet.broker import DEAD_KEY, FACTS_KEY, forget_clients
from jobs.fleet.queues import lists_of
from jobs.ledger.audit import Actor
from jobs.ledger.retry import retry_run
from jobs.ledger.start import Wish, start_run
from jobs.models import AuditEvent, Preset, Run
from jobs.pipeline import live
from jobs.pipeline.backend import RecordingBackend, fact_of
from jobs.pipeline.execution import execution_of
from jobs.pipeline.facts import Fact, Kind
from jobs.pipeline.publishing import report_published
from jobs.pipeline.quarantine import Quarantine
from jobs.recorder.record import record_facts
from jobs.schedules.changes import changes_of
from jobs.schedules.drafts import Draft, shown_arguments
from jobs.schedules.spec import Every, Unit
from tests import jobs_under_test as under_test
from tests.integration import schedule_rows
from tests.integration.own_redis import message
from tests.integration.test_run_page import address

LIST = "/admin/jobs/run/"
FAILS, SIGN_IN = under_test.fail_with_secret.name, under_test.sign_in.name
GIVEN: dict[str, list[Any]] = {FAILS: ["place-1", "canary-1"], SIGN_IN: ["place-2", "canary-2", "place-3"]}
pytestmark = pytest.mark.filterwarnings("ignore:No directory at")


def told(task: str, number: int) -> list[Fact]:
    """What publisher and worker report of a run that failed."""
    at = time.time() - 100 + number
    text = json.dumps([GIVEN[task], {}])
    published = Fact(Kind.PUBLISHED, f"{number:08x}-t", at, task=task, arguments=text, published=at, source="code")
    ended = Fact(Kind.ENDED, f"{number:08x}-t", at + 1, task=task, state="FAILURE", published=at, worker="w@1")
    ended.error_type, ended.error_message, ended.result = "ValueError", "no", '{"exc_type": "ValueError"}'
    return [published, ended]


@pytest.fixture
def runs(db: None) -> list[Run]:
    """Six failed runs of each, as code published them."""
    for number, task in enumerate([FAILS, SIGN_IN] * 6, 1):
        record_facts(told(task, number))
    return list(Run.objects.order_by("task_id"))


def shown(client: Client, where: str) -> str:
    response = client.get(where)
    assert response.status_code == 200, where
    return str(response.content.decode())


def test_no_page_shows_it(ana: Client, redis: Redis, runs: list[Run]) -> None:
    fails, sign_in, *_ = runs
    pages = [f"{LIST}catalog/", "/admin/", LIST, "/admin/jobs/failuregroup/"]
    for run in (fails, sign_in):
        other = next(one for one in reversed(runs) if one.task_name == run.task_name)
        pages += [address(run, rest) for rest in ("change/", "change/?tab=technical", "change/?tab=errors", "retry/")]
        pages += [address(run, f"compare/?with={other.task_id}")]
        pages += [f"{LIST}catalog/{run.task_name}/start/{more}" for more in ("", f"?from={run.task_id}")]
        pages += [f"/admin/jobs/failuregroup/{run.failure_group_id}/{rest}/" for rest in ("change", "retry")]
        kept = TaskResult.objects.get(task_id=run.task_id)
        TaskResult.objects.filter(pk=kept.pk).update(task_args=json.dumps(GIVEN[run.task_name]), task_kwargs="{}")
        pages.append(f"/admin/django_celery_results/taskresult/{kept.pk}/change/")
        made = schedule_rows.row(run.task_name, task=run.task_name, args=json.dumps(GIVEN[run.task_name]), kwargs="{}")
        pages += [f"{schedule_rows.LIST}{made.pk}/{rest}/" for rest in ("change", "run", "delete")]
        pages.append(schedule_rows.LIST)
        body = [GIVEN[run.task_name], {}, {}]
        waiting = message(run.task_name, body=body, argsrepr=repr(GIVEN[run.task_name]), published_at=time.time())
        redis.lpush(lists_of("default")[0], waiting)
        Quarantine("w@1")._set_aside("default", waiting.decode(), ValueError("odd"))
        aside: dict[Any, Any] = {**told(run.task_name, 1)[0].entry(), "id": "1-1", "why": "broken"}
        redis.xadd(DEAD_KEY, aside)
    pages += [f"{LIST}queues/queue/?name=default", f"{LIST}set-aside/", f"{LIST}set-aside/messages/"]
    seen = set()
    for page in pages:
        text = shown(ana, page)
        assert "canary" not in text, page
        seen |= {page.split("?")[0] for place in ("place-1", "place-2") if place in text}
    # Each shows the arguments that are no secret: the test looks where arguments are.
    for part in ("/queue/", "/set-aside/", "/messages/", "/periodictask/", "/taskresult/", "/start/", "/failuregroup/"):
        assert any(part in page for page in seen), part
    for part in ("change/", "compare/", "retry/"):
        assert address(fails, part) in seen and address(sign_in, part) in seen, part


def test_no_list_no_export_and_no_search_tells_it(ana: Client, runs: list[Run]) -> None:
    assert {run.summary for run in runs} == {"place-1, •••", "place-2, •••, place-3"}
    exported: Any = ana.post(f"{LIST}export/")
    text = b"".join(exported.streaming_content).decode()
    assert "canary" not in text and "place-1, •••" in text
    for part in ("canary-1", "canary-", "anary"):
        assert runs[0].task_id not in shown(ana, f"{LIST}?q={part}")
    assert runs[0].task_id in shown(ana, f"{LIST}?q=place-1")


def test_what_the_job_declares_is_not_in_the_ledger_at_all(runs: list[Run]) -> None:
    of_job = [run for run in runs if run.task_name == FAILS]
    assert all("encrypted:" in run.arguments and "canary" not in run.arguments for run in of_job)
    assert "canary-2" in runs[1].arguments, "nobody has declared it: a retry sends it as it was"


def test_the_audit_trail_does_not_keep_it(runs: list[Run], ana: Client) -> None:
    actor = Actor.person(User.objects.get(username="ana"), via="command")
    retried = retry_run(runs[1], actor=actor, wish=Wish(reason="again")).run
    assert retried.summary == "place-2, •••, place-3" and "canary-2" in retried.arguments
    start_run(find_job(FAILS), {"place": "a", "token": "canary-3"}, actor=actor)
    found = repr(list(AuditEvent.objects.values_list("details", flat=True)))
    assert "canary" not in found and "place-2" in found
    assert "canary" not in shown(ana, "/admin/jobs/auditevent/")


def test_the_audit_trail_of_a_schedule_does_not_keep_it(db: None) -> None:
    for task in GIVEN:
        made = schedule_rows.row(task, task=task, args=json.dumps(GIVEN[task]), kwargs="{}")
        kept = schedule_rows.stored(made.pk)
        assert "canary" not in repr(shown_arguments(find_job(task), made))
        draft = Draft(task, find_job(under_test.positional.name), Every(2, Unit.HOURS), {"a": 1})
        changes = changes_of(kept, draft)
        assert "canary" not in repr(changes) and any("place-" in change for change in changes)


def test_a_publisher_that_knows_the_job_reports_no_secret(redis: Redis) -> None:
    forget_clients()
    report_published(FAILS, {"id": "t", "task": FAILS}, (["place-1", "canary-1"], {}, {}))
    entries = repr(redis.xrange(FACTS_KEY))
    assert "place-1" in entries and "canary" not in entries


def test_the_command_hides_what_is_there_already(runs: list[Run], capsys: pytest.CaptureFixture[str]) -> None:
    before = {run.pk: (run.summary, run.arguments) for run in runs}
    for run in runs:
        args = GIVEN[run.task_name]
        Run.objects.filter(pk=run.pk).update(summary=", ".join(args), arguments=json.dumps([args, {}]))
    TaskResult.objects.update(task_args="\"('place', 'canary-1')\"", task_kwargs='"{}"')
    kept = {"place": "place-1", "token": "canary-1"}
    preset = Preset.objects.create(job=FAILS, name="Old", values=kept, created_at=timezone.now())
    call_command("hide_secrets")
    preset.refresh_from_db()
    assert preset.values == {"place": "place-1"}
    assert "Changed: 12 runs, 6 stored results, 1 presets." in capsys.readouterr().out
    after = {run.pk: (run.summary, run.arguments) for run in Run.objects.all()}
    assert {key: one[0] for key, one in after.items()} == {key: one[0] for key, one in before.items()}
    assert "canary-1" not in repr(after)
    assert set(TaskResult.objects.filter(task_name=FAILS).values_list("task_args", flat=True)) == {None}
    assert TaskResult.objects.exclude(task_args=None).filter(task_name=SIGN_IN).count() == 6
    call_command("hide_secrets")
    assert "Changed: 0 runs, 0 stored results, 0 presets." in capsys.readouterr().out


class Kept(RecordingBackend):
    """Tells what it would send to Redis."""

    def _write(self, fact: Fact | None, live: Any, stored: Any = None, before: Any = None) -> None:
        self.sent = [*getattr(self, "sent", []), stored, fact and fact.entry()["f"]]


@pytest.mark.parametrize("end", ["failure", "retry", "done", "unkept failure", "progress", "odd result", "told group"])
def test_whatever_end_a_run_comes_to_tells_no_secret(redis: Redis, end: str) -> None:
    backend = Kept(app=current_app, url=str(current_app.conf.result_backend).partition("+")[2])
    asked = {"id": "t", "task": FAILS, "args": ["p", "canary-1"], "kwargs": {}, "argsrepr": "('p', 'canary-1')"}
    request = Context({**asked, "kwargsrepr": "{}", "delivery_info": {}, "hostname": "w@1"})
    execution_of(request).started_at = 1.0
    live.current.run, live.current.secrets = None, ()
    live.hide(["canary-1"])
    error = RuntimeError("with canary-1", {"canary-1": ["canary-1"]})
    try:
        match end:
            case "failure":
                backend.mark_as_failure("t", error, "line canary-1", request)
            case "retry":
                backend.mark_as_retry("t", error, "line canary-1", request)
            case "done":
                backend.mark_as_done("t", {"canary-1": ["canary-1", datetime(2026, 1, 1, tzinfo=UTC)]}, request)
            case "unkept failure":
                backend.mark_as_failure("t", error, "line canary-1", request, store_result=False)
            case "progress":
                backend.store_result("t", {"at": "canary-1"}, "PROGRESS", request=request)
            case "odd result":
                backend.mark_as_done("t", type("Odd", (), {"__repr__": lambda self: "canary-1"})(), request)
            case "told group":
                error.fingerprint = "about canary-1"  # type: ignore[attr-defined]
                backend.mark_as_failure("t", error, None, request)
    finally:
        live.current.secrets = ()
    assert backend.sent and "canary" not in repr(backend.sent)
    assert any("\\u2022" in str(text) for text in backend.sent)


def test_the_main_process_that_knows_no_arguments_tells_none(redis: Redis) -> None:
    request = Context({"id": "t", "task": FAILS, "argsrepr": "('p', 'canary-1')", "kwargsrepr": "{}"})
    told_by_it = fact_of("t", {"exc_type": "WorkerLostError", "exc_message": ["gone"]}, "FAILURE", None, request)
    assert "canary" not in repr(told_by_it) and told_by_it.meta["args"] is None
