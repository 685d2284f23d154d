"""The page of one run: its words for every state, its files, its live part, hostile text."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client
from django.utils import timezone
from kombu.utils import json

from admin_ext.parts import chips
from admin_ext.run.tabs import Tab
from jobs.catalog.registry import find_job
from jobs.failures.record import note_failures
from jobs.ledger.audit import Actor
from jobs.ledger.run_page import run_page, trail
from jobs.ledger.start import start_run
from jobs.models import Attempt, AuditEvent, Run, RunFile, RunObject
from jobs.pipeline.facts import Fact, Kind
from jobs.states import ACTIVE, Source, State
from tests import jobs_under_test as under_test

HOSTILE = ["<script>alert(1)</script>", "{{191*7919}}", '" x-data="{}" onload="alert(1)']


def test_the_head_says_that_it_was_a_dry_run(client: Client, olga: Actor) -> None:
    for dry in (True, False):
        run = start_run(find_job(under_test.purge.name), {"prefix": "x", "dry_run": dry}, actor=olga).run
        head = client.get(f"/admin/jobs/run/{run.task_id}/change/").content.decode().split("</header>")
        assert any("Dry run</span>" in part for part in head) is dry


@pytest.fixture
def client(client: Client, viewer: User) -> Client:
    client.force_login(viewer)
    return client


def make(state: State = State.SUCCEEDED, **values: Any) -> Run:
    now = timezone.now()
    defaults: dict[str, Any] = {
        "task_id": f"1234abcd-{state}",
        "task_name": under_test.add.name,
        "arguments": '[[], {"a": 1}]',
        "state": state,
        "source": Source.CONSOLE,
        "actor_label": "Ana Petrova",
        "reason": "Month end",
        "queue": "default",
        "accepted_at": now - timedelta(seconds=130),
        "guaranteed": True,
    }
    return Run.objects.create(**{**defaults, **values})


def address(run: Run, rest: str = "change/") -> str:
    return f"/admin/jobs/run/{run.task_id}/{rest}"


@pytest.mark.parametrize("state", list(State))
def test_every_state_has_a_chip_and_a_page(client: Client, state: State) -> None:
    now = timezone.now()
    run = make(
        state,
        not_before=now + timedelta(hours=1) if state is State.WAITING else None,
        finished_at=None if state in ACTIVE else now,
    )
    text = client.get(address(run)).content.decode()

    assert chips.RUN[state].word in text
    assert "Started by <b>Ana Petrova</b>" in text and "2 min ago" in text and "because “Month end”" in text
    assert "console run: one worker alone may take each attempt" in text
    polls = 'hx-trigger="every 2s, oc-ended from:body"' in text
    assert polls == (state in ACTIVE)


def test_the_table_of_chips_is_complete() -> None:
    assert set(chips.RUN) == set(State)
    assert set(chips.ATTEMPT) == set(Attempt.Outcome)
    assert set(chips.AUDIT) == set(AuditEvent.Outcome)
    assert len({chip.word for chip in chips.RUN.values()}) == len(State)
    assert len({chip.icon for chip in chips.RUN.values()}) == len(State), "colour and word are not alone"
    assert chips.run_chip("no such state") is chips.UNKNOWN


def test_a_lost_run_says_what_that_means(client: Client) -> None:
    run = make(State.LOST, state_note="worker gone", attempt=1, worker="default@web-1")
    text = client.get(address(run)).content.decode()
    assert "Its worker vanished (worker gone); it may have partly run." in text


def test_an_observed_run_says_whose_rules_it_follows(client: Client) -> None:
    run = make(guaranteed=False, source=Source.CODE, actor_label="")
    text = client.get(address(run)).content.decode()
    assert "observed run: Celery&#x27;s own delivery rules" in text and "Published by <b>code</b>" in text


def test_attempts_and_the_error_with_its_traceback(client: Client) -> None:
    run = make(State.FAILED, attempt=2, error_type="ValueError", error_message="no", finished_at=timezone.now())
    for number in (1, 2):
        outcome = Attempt.Outcome.RETRIED if number == 1 else Attempt.Outcome.FAILED
        Attempt.objects.create(run=run, number=number, outcome=outcome, error_type="ValueError", traceback="line 7")
    text = client.get(address(run)).content.decode()
    assert "ValueError: no" in text and "after 2 attempts" in text
    assert re.search(r"<details[^>]*><summary>Whole traceback</summary>.*line 7", text, re.DOTALL)
    assert "Retried" in client.get(address(run, "change/?tab=attempts")).content.decode()


def test_an_unknown_id_leads_back_to_the_list_with_a_word(client: Client) -> None:
    response = client.get("/admin/jobs/run/no-such-id/change/", follow=True)
    assert response.redirect_chain == [("/admin/jobs/run/", 302)]
    assert "No run has the id no-such-id." in response.content.decode()


def test_an_id_with_any_characters_has_a_page(client: Client) -> None:
    run = make(task_id="nightly/2026-10-01 _x?#")
    text = client.get("/admin/jobs/run/").content.decode()
    found = re.search(r'class="oc-subject" href="([^"]+)"', text)
    assert found and run.task_id[:8] in client.get(found[1]).content.decode()


def test_the_live_part_is_the_page_without_its_frame(client: Client) -> None:
    run = make(State.RUNNING)
    response = client.get(address(run, "live/"), headers={"HX-Request": "true"})
    text = response.content.decode()
    assert text.count('id="oc-run"') == 1 and "every 2s" in text and "<html" not in text
    assert 'hx-swap-oob="true"' in text and response.headers["Cache-Control"] == "no-store"
    Run.objects.update(state=State.SUCCEEDED)
    assert "every 2s" not in client.get(address(run, "live/")).content.decode()


def test_a_watched_run_is_not_replaced_by_a_sign_in_page(client: Client) -> None:
    run = make(State.RUNNING)
    client.logout()
    watched = client.get(address(run, "live/"), headers={"HX-Request": "true"})
    assert (watched.status_code, watched.headers["HX-Refresh"], watched.content) == (204, "true", b"")
    assert client.get(address(run, "live/")).headers["Location"].startswith("/admin/login/")


def test_a_file_is_a_download_and_opening_it_is_recorded(client: Client) -> None:
    run = make()
    path = default_storage.save("runs/x/a.html", ContentFile(b"<script>alert(1)</script>"))
    file = RunFile.objects.create(run=run, name='a"\r\n.html', path=path, content_type="text/html", size=25, rows=1)
    assert "1 row, 25 B" in client.get(address(run)).content.decode()

    response = client.get(address(run, f"files/{file.pk}/"))
    assert b"".join(response) == b"<script>alert(1)</script>"
    assert response.headers["Content-Disposition"].startswith("attachment;")
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    event = AuditEvent.objects.get()
    assert (event.verb, event.object_id, event.outcome) == ("open_file", run.task_id, "done")


def test_a_page_that_a_run_has_made_is_shown_in_a_frame_that_allows_nothing(client: Client) -> None:
    run = make()
    path = default_storage.save("runs/x/report.html", ContentFile(b"<h1>Report</h1><script>alert(1)</script>"))
    kept = {"run": run, "path": path, "size": 40}
    file = RunFile.objects.create(name="report.html", content_type="text/html; charset=utf-8", **kept)
    frame = address(run, f"files/{file.pk}/page/")
    text = client.get(f"{address(run)}?preview={file.pk}").content.decode()
    assert f'sandbox src="{frame}"' in text and "alert(1)" not in text
    assert not AuditEvent.objects.exists(), "it is the frame that opens it"
    response = client.get(frame)
    assert b"".join(response).startswith(b"<h1>Report")
    assert response["Content-Security-Policy"].startswith("sandbox; default-src 'none'; style-src 'unsafe-inline'")
    assert response["X-Frame-Options"] == "SAMEORIGIN" and response["Content-Disposition"] == "inline"
    assert AuditEvent.objects.get().verb == "open_file"
    RunFile.objects.filter(pk=file.pk).update(content_type="text/csv", name="report.csv")
    assert client.get(frame).status_code == 404


def test_the_file_of_a_job_with_a_permission_of_its_own_is_for_those_who_hold_it(viewer: User) -> None:
    """Who may not see users must not read them in the file that exports them."""
    export = find_job("jobs.library.user_export.export_users")
    run = make(task_name=export.name)
    path = default_storage.save("runs/x/users.csv", ContentFile(b"username\nana\n"))
    file = RunFile.objects.create(run=run, name="users.csv", path=path, content_type="text/csv", size=13)
    client = Client()
    client.force_login(viewer)
    page = client.get(address(run)).content.decode()
    assert "users.csv" not in page and "User support" in page and f"files/{file.pk}/" not in page
    for opened in (address(run, f"files/{file.pk}/"), f"{address(run)}?preview={file.pk}"):
        assert client.get(opened).status_code == 403, opened
    assert set(AuditEvent.objects.values_list("verb", "outcome")) == {("open_file", "denied")}
    viewer.user_permissions.add(Permission.objects.get(codename="view_user"))
    assert b"".join(client.get(address(run, f"files/{file.pk}/"))) == b"username\nana\n"
    assert "ana" in client.get(f"{address(run)}?preview={file.pk}").content.decode()


@pytest.mark.parametrize("path", ["runs/x/gone.csv", "../../etc/passwd"])
def test_a_file_that_is_gone_says_so(client: Client, path: str, root: Path) -> None:
    run = make()
    file = RunFile.objects.create(run=run, name="gone.csv", path=path, content_type="text/csv", size=1)
    response = client.get(address(run, f"files/{file.pk}/"), follow=True)
    assert response.status_code == 200 and "the storage no longer has it" in response.content.decode()
    assert not AuditEvent.objects.exists()


def test_a_file_of_another_run_is_not_found(client: Client) -> None:
    run, other = make(), make(State.FAILED)
    file = RunFile.objects.create(run=other, name="a.csv", path="a.csv", content_type="text/csv", size=1)
    assert client.get(address(run, f"files/{file.pk}/")).status_code == 404


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_text(client: Client, text: str) -> None:
    run = make(
        State.FAILED,
        arguments=json.dumps([[text, {"key": text}], {"name": text}]),
        reason=text,
        actor_label=text,
        worker=text,
        queue=text,
        release=text[:64],
        state_note=text,
        task_name=text,
        error_type=text,
        error_message=text,
        finished_at=timezone.now(),
    )
    Attempt.objects.create(run=run, number=1, outcome="failed", error_message=text, traceback=text, worker=text)
    RunFile.objects.create(run=run, name=text, path="a", content_type=text, size=1)
    AuditEvent.objects.create(
        actor_label=text,
        via="admin",
        verb=text,
        object_type="run",
        object_id=run.task_id,
        object_label=text,
        reason=text,
    )
    User.objects.filter(username="vito").update(is_superuser=True)
    tabs = [address(run, f"{part}/?tab={tab}") for tab in Tab for part in ("change", "live")]
    note_failures([(run, Fact(Kind.ENDED, run.task_id, 0, error_type=text, error_message=text))], [])
    for page in ("/admin/", "/admin/jobs/run/", "/admin/jobs/auditevent/", address(run), address(run, "live/"), *tabs):
        found = client.get(page).content.decode()
        escaped = text.replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
        assert escaped in found, page
        assert "<script>alert" not in found and ' x-data="{}" onload' not in found, page
        assert "1512529" not in found


def test_what_is_read_in_part_saves_no_more_than_was_read(db: None) -> None:
    run = make(State.FAILED, finished_at=timezone.now(), attempt=2)
    Attempt.objects.create(run=run, number=2, outcome="failed", runtime=1.5, started_at=timezone.now())
    RunFile.objects.create(run=run, name="a.csv", path="a.csv", content_type="text/csv", size=3)
    RunObject.objects.create(run=run, model="auth.user", key="1", label="Ana")
    make(State.QUEUED, task_id="again", retry_of=run, reason="Once more", state_note="kept")
    page = run_page(run.task_id)
    assert page is not None and page.retries and page.last_attempt is not None
    for found in (*page.retries, page.last_attempt, *page.files, *page.objects):
        rows = type(found)._default_manager.filter(pk=found.pk)
        before = rows.values().get()
        found.save()
        assert rows.values().get() == before, type(found)
    assert page.retries[0].state_note == "kept", "what was not read is asked for, not made up"
    assert page.retries[0].accepted_at == Run.objects.get(task_id="again").accepted_at


def test_objects_among_the_parameters_are_called_by_their_names(client: Client) -> None:
    ana = User.objects.create_user("ana")
    run = make(task_name=under_test.greet.name, arguments=f'[[], {{"person": {ana.pk}, "times": 2}}]')

    def person() -> object:
        page = run_page(run.task_id)
        assert page is not None
        return dict(page.arguments)["Person"]

    assert person() == ana.pk
    RunObject.objects.create(run=run, model="auth.user", key=str(ana.pk), label="Ana Petrova")
    assert person() == "Ana Petrova"


@pytest.mark.parametrize("nonce", ["form:0d5c6f0e-0000-4000-8000-00000000abcd", "0d5c6f0e", None])
def test_what_one_form_has_started_counts_no_act_of_another(client: Client, nonce: str | None) -> None:
    run = make(source=Source.CONSOLE, nonce=nonce)
    page = run_page(run.task_id)
    assert page is not None and page.counts.audit == len(trail(page.run)) == 0
