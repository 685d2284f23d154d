"""The pages of a retry: what is told before, what the button does, the form to edit first, the marks on both runs."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs.failures.cases import case_digest
from jobs.models import AuditEvent, FailureCase, FailureGroup, FailureNote, Run
from jobs.pipeline.canvas import CHAIN_BROKEN
from jobs.states import Source, State
from tests import jobs_under_test as under_test
from tests.integration.test_run_page import address, make

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(operator: User) -> Client:
    client = Client()
    client.force_login(operator)
    return client


def page(client: Client, run: Run, rest: str = "retry/") -> str:
    response = client.get(address(run, rest))
    assert response.status_code == 200
    return unescape(response.content.decode())


def test_one_press_retries_and_opens_the_new_run(client: Client) -> None:
    old = make(State.FAILED, finished_at=timezone.now())
    assert f'href="{address(old, "retry/")}"' in page(client, old, "change/")
    text = page(client, old)
    assert "A new run starts with the same arguments" in text and "Retry as it was" in text
    assert "Not known to be safe to run twice" in text and "Goes to the queue default" in text
    answer = client.post(address(old, "retry/"), {"nonce": "n1", "reason": "again", "oc.queue": "default"})
    again = Run.objects.get(retry_of=old)
    assert answer.headers["Location"] == address(again)
    assert (again.reason, again.actor_label, again.source) == ("again", "Olga Berg", Source.RETRY)
    assert client.post(address(old, "retry/"), {"nonce": "n1", "oc.queue": "default"}).status_code == 302
    assert Run.objects.filter(retry_of=old).count() == 1


def test_a_retry_that_succeeded_meanwhile_is_told_before_the_work_is_done_again(client: Client) -> None:
    old = make(State.FAILED, finished_at=timezone.now())
    form = {"nonce": "second", "oc.queue": "default", "seen": ""}
    healed = make(State.SUCCEEDED, task_id="healed-1", retry_of=old, actor_label="Ben", finished_at=timezone.now())
    text = unescape(client.post(address(old, "retry/"), form).content.decode())
    assert "it was retried by Ben meanwhile: run healed-1, which succeeded" in text and address(healed) in text
    assert Run.objects.filter(retry_of=old).count() == 1
    assert "Retried already: run healed-1 by Ben succeeded" in text and 'name="seen" value="healed-1"' in text
    again = client.post(address(old, "retry/"), form | {"seen": "healed-1"})
    assert again.status_code == 302 and Run.objects.filter(retry_of=old).count() == 2, "who knows may press again"


def test_a_page_of_its_own_has_a_title_of_its_own(client: Client) -> None:
    old = make(State.FAILED, finished_at=timezone.now())
    for rest, verb in (("retry/", "Retry"), ("compare/", "Compare")):
        assert f"<title>{verb} Add {old.short_id} |" in re.sub(r"\s+", " ", page(client, old, rest)).replace("> ", ">")


def test_both_runs_name_each_other(client: Client) -> None:
    old = make(State.FAILED, finished_at=timezone.now())
    client.post(address(old, "retry/"), {"nonce": "n1", "oc.queue": "default"})
    again = Run.objects.get(retry_of=old)
    text = page(client, old, "change/")
    assert re.search(
        rf"Retried by Olga Berg as <a[^>]*{again.task_id}[^>]*>run {again.short_id}</a>, which is accepted; asked for",
        text,
    )
    assert re.search(rf"Retry of <a[^>]*{old.task_id}[^>]*>run {old.short_id}</a>", page(client, again, "change/"))
    Run.objects.filter(pk=again.pk).update(state=State.SUCCEEDED, finished_at=timezone.now())
    assert "Healed: retried by Olga Berg as" in page(client, old, "change/")


def test_a_second_retry_is_refused_with_a_link(client: Client) -> None:
    old = make(State.FAILED)
    client.post(address(old, "retry/"), {"nonce": "n1", "oc.queue": "default"})
    again = Run.objects.get(retry_of=old)
    blocked = page(client, old)
    assert f"Already retried by Olga Berg: run {again.short_id}" in blocked and "Retry as it was" not in blocked
    answer = client.post(address(old, "retry/"), {"nonce": "n2", "oc.queue": "default"})
    text = unescape(answer.content.decode())
    assert answer.status_code == 200 and "already retried by Olga Berg" in text and address(again) in text
    assert AuditEvent.objects.filter(verb="retry_run", outcome="denied").count() == 1
    audit = page(client, old, "change/?tab=audit")
    assert "was refused to retry:" in audit and "already retried by Olga Berg" in audit


def test_who_may_not_retry_sees_why_and_a_post_is_refused(viewer: User) -> None:
    old = make(State.FAILED)
    client = Client()
    client.force_login(viewer)
    assert "retry/" not in page(client, old, "change/")
    assert "You may not retry runs; ask for the role Operator" in page(client, old)
    assert client.post(address(old, "retry/"), {"nonce": "n1", "oc.queue": "default"}).status_code == 403
    assert AuditEvent.objects.get().outcome == "denied"


def test_what_cannot_be_retried_is_asked_for_no_reason(client: Client) -> None:
    of_celery = make(State.FAILED, task_name="celery.starmap", arguments='[[], {"task": {"task": "a.b"}, "it": [[1]]}]')
    assert 'name="reason"' not in page(client, of_celery)
    assert 'name="reason"' in page(client, make(State.FAILED, task_id="as-it-was"))


def test_a_get_changes_nothing_and_the_token_is_asked_for(operator: User) -> None:
    old = make(State.FAILED)
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(operator)
    page(strict, old)
    assert strict.post(address(old, "retry/"), {"nonce": "n1"}).status_code == 403
    assert Run.objects.count() == 1 and not AuditEvent.objects.exists()


def test_the_page_tells_what_will_not_happen(client: Client) -> None:
    old = make(State.FAILED, group_id="aaaabbbbcccc", parent_id="p", root_id="p", source=Source.CODE)
    assert "member of the group aaaabbbb" in page(client, old)
    first = make(State.FAILED, task_id="first", source=Source.CODE)
    for number in range(2):
        note = {"parent_id": "first", "root_id": "first", "state_note": CHAIN_BROKEN}
        make(State.CANCELLED, task_id=f"rest{number}", **note)
    assert "The rest of its chain, 2 that never started" in page(client, first)


def test_the_page_tells_what_is_known_of_the_failure(client: Client) -> None:
    now = timezone.now()
    old = make(State.FAILED, task_id="x1", finished_at=now - timedelta(minutes=1))
    assert "It was retried" not in page(client, old)
    make(State.FAILED, task_id="x2", retry_of=old)
    assert "It was retried 1 time before, without success" in page(client, old)
    group = FailureGroup.objects.create(
        fingerprint="f",
        basis="frame",
        task_name=old.task_name,
        last_run="x1",
        first_seen=now,
        last_seen=now,
        hurting=12,
    )
    digest = case_digest(old.task_name, old.arguments, exact=True)
    case = FailureCase.objects.create(group=group, digest=digest, hurting=1, last_failed_at=now, last_run="x1")
    FailureNote.objects.create(group=group, actor_label="Ben", text="Retry after 15:00, not before.")
    Run.objects.filter(pk=old.pk).update(failure_group=group)
    text = page(client, old)
    assert "Not healed" in text and "12 runs failed the same way" in text and "Ben noted: “Retry after 15:00" in text
    FailureCase.objects.filter(pk=case.pk).update(hurting=0, healed_at=now, healed_by="healer01")
    assert "Already healed: run healer01 with the same arguments succeeded" in page(client, old)
    lost = make(State.LOST, task_id="x3")
    assert "may even be at work still" in page(client, lost)


def test_edit_first_fills_the_form_and_starts_the_retry(client: Client) -> None:
    old = make(State.FAILED)
    form = f"/admin/jobs/run/catalog/{under_test.add.name}/start/?retry={old.task_id}"
    assert f'href="{form}"' in page(client, old)
    text = unescape(client.get(form).content.decode())
    assert "This starts the <b>retry</b> of" in text and 'value="1"' in text and "<span>Retry" in text
    values = {"nonce": "n1", "oc.act": "run", "a": "7", "b": "2", "oc.queue": "reports", "reason": "other number"}
    answer = client.post(form, values)
    again = Run.objects.get(retry_of=old)
    assert answer.headers["Location"] == address(again)
    assert (again.arguments, again.queue, again.based_on) == ('[[], {"a": 7, "b": 2}]', "reports", old.task_id)
    assert "2 fields differ" in page(client, again, "change/") or False
    answer = client.post(form, {**values, "nonce": "n2"})
    assert "already retried by Olga Berg" in unescape(answer.content.decode())


def test_edit_first_of_a_run_that_is_gone_starts_nothing(client: Client) -> None:
    form = f"/admin/jobs/run/catalog/{under_test.add.name}/start/?retry=nobody"
    answer = client.post(form, {"nonce": "n1", "oc.act": "run", "a": "7", "b": "2", "oc.queue": "default"})
    assert "the run to be retried is not kept any more" in unescape(answer.content.decode())
    assert not Run.objects.exists()


def test_an_address_that_names_no_run_to_retry_is_the_jobs_form(client: Client) -> None:
    form = f"/admin/jobs/run/catalog/{under_test.add.name}/start/?retry="
    assert client.get(form).status_code == 200
    assert client.get(f"{form}%00").status_code == 200
    assert client.post(f"{form}%00", {"a": "1", "b": "1", "nonce": "n"}).status_code == 200
    assert not Run.objects.exists()


def test_another_time_waits_in_the_database(client: Client) -> None:
    old = make(State.FAILED)
    later = timezone.localtime(timezone.now() + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M")
    client.post(address(old, "retry/"), {"nonce": "n1", "oc.queue": "default", "oc.not_before": later})
    assert Run.objects.get(retry_of=old).state == State.WAITING


def test_a_dangerous_job_wants_its_name(client: Client) -> None:
    person = User.objects.create(username="pia")
    old = make(State.FAILED, task_name=under_test.greet_all.name, arguments=f'[[], {{"people": [{person.pk}]}}]')
    assert "Greet 100 % of them</b> to confirm" in page(client, old)
    client.post(address(old, "retry/"), {"nonce": "n1", "oc.queue": "default"})
    assert not Run.objects.filter(retry_of=old).exists()
    client.post(address(old, "retry/"), {"nonce": "n1", "oc.queue": "default", "oc.confirm": "Greet 100 % of them"})
    assert Run.objects.filter(retry_of=old).exists()


def test_a_dry_run_comes_first_where_the_job_has_one(client: Client) -> None:
    old = make(State.FAILED, task_name=under_test.purge.name, arguments='[[], {"prefix": "p", "dry_run": false}]')
    assert "Press Edit first for the dry run" in page(client, old)
    client.post(address(old, "retry/"), {"nonce": "n1", "oc.queue": "default", "oc.confirm": "Purge accounts"})
    assert not Run.objects.filter(retry_of=old).exists()


@pytest.mark.parametrize("values", [{}, {"nonce": "x" * 65}, {"nonce": "n", "oc.queue": "nowhere"}])
def test_a_form_that_is_not_whole_starts_nothing(client: Client, values: dict[str, str]) -> None:
    old = make(State.FAILED)
    assert "Nothing was started" in client.post(address(old, "retry/"), values).content.decode()
    assert Run.objects.count() == 1


def test_hostile_content_is_text(client: Client) -> None:
    evil = "<script>alert(1)</script>\u202e {{7*7}}"
    old = make(State.FAILED, error_message=evil, actor_label=evil, arguments='[[], {"a": "<script>x"}]', group_id=evil)
    make(State.FAILED, task_id="again", retry_of=old, actor_label=evil)
    for rest in ("retry/", "change/"):
        assert "<script>alert(1)" not in client.get(address(old, rest)).content.decode()


def test_the_page_asks_the_database_a_bounded_number_of_times(client: Client) -> None:
    old = make(State.FAILED)
    page(client, old)
    with CaptureQueriesContext(
        connection,
    ) as few:
        page(client, old)
    for number in range(30):
        make(State.FAILED, task_id=f"r{number}", retry_of=old)
    with CaptureQueriesContext(connection) as many:
        page(client, old)
    assert len(many) == len(few) <= 20
