"""Export of a view, and the question whether there are new runs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.http import StreamingHttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext

from admin_ext.parts.keyset import place_text
from admin_ext.runs.views import NEW_CAP
from jobs.errors import NotPermitted
from jobs.ledger import export, run_query
from jobs.ledger.audit import Actor
from jobs.ledger.export import COLUMNS, export_runs
from jobs.ledger.run_query import Place, RunQuery
from jobs.models import AuditEvent, Run
from jobs.states import State
from tests import jobs_under_test as under_test

EXPORT, NEW = "/admin/jobs/run/export/", "/admin/jobs/run/new/"
START = datetime(2026, 9, 30, 12, 0, tzinfo=UTC)


def make(number: int, **values: Any) -> Run:
    at = START + timedelta(seconds=number)
    defaults: dict[str, Any] = {
        "task_id": f"run-{number}",
        "task_name": under_test.add.name,
        "state": State.SUCCEEDED,
        "accepted_at": at,
        "started_at": at + timedelta(seconds=1.5),
        "runtime": 2.25,
        "summary": f"a={number}",
    }
    return Run.objects.create(**{**defaults, **values})


def read(lines: Iterable[str]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO("".join(lines).removeprefix("\ufeff"), newline="")))


def body(response: Any) -> str:
    assert isinstance(response, StreamingHttpResponse)
    return b"".join(response).decode()


def test_a_view_is_exported_whole_and_recorded(client: Client, viewer: User) -> None:
    client.force_login(viewer)
    for number in range(5):
        make(number, state=State.FAILED if number % 2 else State.SUCCEEDED)
    response = client.post(f"{EXPORT}?state=failed")
    text = body(response)
    assert text.startswith("\ufeff") and response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"].startswith('attachment; filename="runs-2')
    found = read([text])
    assert tuple(found[0]) == COLUMNS and [row["id"] for row in found] == ["run-3", "run-1"]
    row = found[0]
    assert (row["asked for"], row["wait s"], row["took s"]) == ("2026-09-30T12:00:03+00:00", "1.5", "2.25")
    assert (row["job"], row["arguments"]) == ("Add", "a=3")
    event = AuditEvent.objects.get()
    assert (event.verb, event.object_label, event.actor_id) == ("export_runs", "runs: state Failed", str(viewer.pk))
    assert event.details == {"filters": {"state": "state Failed"}, "most_rows": export.MOST_ROWS}


@pytest.mark.parametrize("start", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_a_cell_is_never_a_formula(olga: Actor, start: str) -> None:
    make(1, task_name=start, summary=start, error_message=start, actor_label=start, worker=start, queue=start)
    (row,) = read(export_runs(RunQuery(), actor=olga, filters={}))
    for column in ("task", "job", "arguments", "error message", "started by", "worker", "queue"):
        assert row[column].startswith("'") and row[column][1:] == start
    assert row["took s"] == "2.25"


def test_odd_characters_survive(olga: Actor) -> None:
    odd = 'a="b", c\nd; ключ, 漢字'
    make(1, summary=odd)
    assert read(export_runs(RunQuery(), actor=olga, filters={}))[0]["arguments"] == odd


@pytest.mark.parametrize("query", [RunQuery(), RunQuery(task_name=under_test.add.name, queue="reports")])
def test_many_runs_come_in_batches_without_gaps(olga: Actor, query: RunQuery, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also through parts of the history in which nothing matches."""
    monkeypatch.setattr(export, "_BATCH", 4)
    monkeypatch.setattr(run_query, "WINDOW", 6)
    for number in range(60):
        make(number, queue="default" if number % 20 else "reports", accepted_at=START)
    expected = [run.task_id for run in Run.objects.all() if query.queue in ("", run.queue)]
    assert [row["id"] for row in read(export_runs(query, actor=olga, filters={}))] == expected


def test_the_export_ends_at_its_cap(olga: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "MOST_ROWS", 7)
    monkeypatch.setattr(export, "_BATCH", 4)
    for number in range(10):
        make(number)
    with CaptureQueriesContext(connection) as queries:
        assert len(read(export_runs(RunQuery(), actor=olga, filters={}))) == 7
    assert len(queries) <= 6, "permissions, the trail, a statement a batch"


def test_who_may_not_see_runs_exports_none(client: Client, db: None) -> None:
    nobody = User.objects.create_user("nora", is_staff=True)
    make(1)
    client.force_login(nobody)
    assert client.post(EXPORT).status_code == 403
    assert AuditEvent.objects.get().outcome == AuditEvent.Outcome.DENIED
    with pytest.raises(NotPermitted):
        export_runs(RunQuery(), actor=Actor.person(nobody, via="command"), filters={})


def test_an_export_is_asked_for_by_a_form(client: Client, viewer: User) -> None:
    client.force_login(viewer)
    assert client.get(EXPORT).status_code == 405
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(viewer)
    assert strict.post(EXPORT).status_code == 403
    assert not AuditEvent.objects.exists()


def test_a_view_that_makes_no_sense_is_not_exported(client: Client, viewer: User) -> None:
    client.force_login(viewer)
    response = client.post(f"{EXPORT}?since=yesterday", follow=True)
    assert "Nothing was exported." in response.content.decode() and not AuditEvent.objects.exists()


def after(run: Run) -> str:
    return f"after={place_text(Place(run.accepted_at, run.pk))}"


def test_new_runs_wait_behind_a_link(client: Client, viewer: User) -> None:
    client.force_login(viewer)
    top = make(0)
    assert client.get(f"{NEW}?{after(top)}").status_code == 204
    for number in range(1, 4):
        make(number, state=State.FAILED if number == 1 else State.SUCCEEDED)
    assert "Load 3 new runs" in client.get(f"{NEW}?{after(top)}").content.decode()
    response = client.get(f"{NEW}?state=failed&{after(top)}")
    text = response.content.decode()
    assert "Load 1 new run<" in text and 'href="/admin/jobs/run/?state=failed"' in text
    assert client.get(f"{NEW}?state=lost&{after(top)}").status_code == 204
    assert response["Cache-Control"] == "no-store"


def test_counting_new_runs_stops(client: Client, viewer: User) -> None:
    client.force_login(viewer)
    top = make(0)
    Run.objects.bulk_create(
        [Run(task_id=f"n{n}", task_name="x", accepted_at=START + timedelta(hours=1)) for n in range(NEW_CAP + 5)]
    )
    assert "Load 100+ new runs" in client.get(f"{NEW}?{after(top)}").content.decode()


@pytest.mark.parametrize("query", ["", "after=x", "after=1-2-3", "state=broken&after=1-1", "before=1-1"])
def test_a_wrong_question_for_new_runs_has_no_answer(client: Client, viewer: User, query: str) -> None:
    client.force_login(viewer)
    assert client.get(f"{NEW}?{query}").status_code == 204


def test_new_runs_are_for_those_who_may_see_runs(client: Client, db: None) -> None:
    assert client.get(NEW).status_code == 302
    gone = client.get(NEW, headers={"HX-Request": "true"})
    assert gone.status_code == 204 and gone["HX-Refresh"] == "true"
    client.force_login(User.objects.create_user("nora", is_staff=True))
    assert client.get(NEW).status_code == 403
    assert client.post(NEW).status_code == 405
