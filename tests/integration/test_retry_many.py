"""Retrying the runs of a failure group: each once, what is left out told by reason, safe to press again."""

from __future__ import annotations

import re
import threading
import time
import uuid
from collections import Counter
from datetime import timedelta
from html import unescape

import pytest
from django.contrib.auth.models import Permission, User
from django.db import IntegrityError, connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs.catalog.registry import Job, find_job
from jobs.errors import NotPermitted
from jobs.failures.cases import case_digest
from jobs.ledger import retry_many as many_module
from jobs.ledger.audit import Actor, Subject
from jobs.ledger.retry_many import NOT_ENDED, NOT_EXACT, RETRIED, SECRET, UNFIT, retry_many
from jobs.ledger.start import Wish, start_run
from jobs.ledger.start_many import start_many
from jobs.models import AuditEvent, FailureCase, FailureGroup, Run
from jobs.states import Source, State
from tests import jobs_under_test as under_test
from tests.integration.test_run_page import make

pytestmark = pytest.mark.django_db
SUBJECT = Subject("failure", "1", "ValueError in Add")


@pytest.fixture
def add() -> Job:
    return find_job(under_test.add.name)


def failed(count: int) -> list[Run]:
    at = timezone.now() - timedelta(minutes=5)
    rows = [
        Run(
            task_id=f"f{n:04}",
            task_name=under_test.add.name,
            arguments=f'[[], {{"a": {n}}}]',
            state=State.FAILED,
            queue="default",
            accepted_at=at,
            finished_at=at,
        )
        for n in range(count)
    ]
    return Run.objects.bulk_create(rows)


def test_a_thousand_are_retried_once_each_and_fast(add: Job, olga: Actor) -> None:
    runs = failed(1000)
    began = time.monotonic()
    with CaptureQueriesContext(connection) as asked:
        done = retry_many(runs, add, actor=olga, wish=Wish(reason="back"), subject=SUBJECT, batch_id="b1")
    assert (done.started, done.left_out) == (1000, Counter())
    assert time.monotonic() - began < 20 and len(asked) < 200
    pairs = Run.objects.filter(source=Source.RETRY).values_list("retry_of__arguments", "arguments")
    assert len(pairs) == 1000 and all(old == new for old, new in pairs)
    own = AuditEvent.objects.filter(object_type="run", verb="retry_run")
    assert own.count() == 1000 and AuditEvent.objects.get(object_type="failure").details["runs"] == 1000


def test_the_same_form_again_goes_on_and_repeats_nothing(add: Job, olga: Actor) -> None:
    runs = failed(5)
    first = retry_many(runs[:3], add, actor=olga, wish=Wish(), subject=SUBJECT, batch_id="b1")
    again = retry_many(runs, add, actor=olga, wish=Wish(), subject=SUBJECT, batch_id="b1")
    assert (first.started, again.started, again.earlier) == (3, 2, 3)
    other = retry_many(runs, add, actor=olga, wish=Wish(), subject=SUBJECT, batch_id="b2")
    assert (other.started, other.left_out) == (0, Counter({RETRIED: 5}))


def test_what_is_left_out_is_counted_by_its_reason(add: Job, olga: Actor) -> None:
    runs = [
        make(State.FAILED, task_id="good"),
        make(State.SUCCEEDED, task_id="healed"),
        make(State.FAILED, task_id="cut", arguments_exact=False),
        make(State.FAILED, task_id="unfit", arguments='[[], {"a": "many"}]'),
    ]
    done = retry_many(runs, add, actor=olga, wish=Wish(), subject=SUBJECT, batch_id="b")
    assert (done.started, dict(done.left_out)) == (1, {NOT_ENDED: 1, NOT_EXACT: 1, UNFIT: 1})


def test_a_secret_keeps_a_run_out(olga: Actor) -> None:
    job = find_job(under_test.echo_types.name)
    run = start_run(job, {"pin": "canary"}, actor=olga).run
    Run.objects.update(state=State.FAILED)
    done = retry_many([run], job, actor=olga, wish=Wish(), subject=SUBJECT, batch_id="b")
    assert dict(done.left_out) == {SECRET: 1}


def test_who_may_not_is_told_once(add: Job, vito: Actor) -> None:
    with pytest.raises(NotPermitted):
        retry_many(failed(3), add, actor=vito, wish=Wish(), subject=SUBJECT, batch_id="b")
    assert AuditEvent.objects.get().outcome == "denied" and not Run.objects.filter(source=Source.RETRY).exists()


def test_one_that_slipped_past_the_locks_spoils_nothing(add: Job, olga: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = failed(3)

    def collide(*args: object) -> None:
        raise IntegrityError("run_one_live_retry")

    monkeypatch.setattr(many_module, "keep", collide)
    done = retry_many(runs, add, actor=olga, wish=Wish(), subject=SUBJECT, batch_id="b")
    assert done.started == 3


@pytest.mark.django_db(transaction=True)
def test_two_people_at_once_retry_each_run_once(roles: None) -> None:
    boss = User.objects.create_superuser("ana")
    runs, job = failed(150), find_job(under_test.add.name)
    begin, done = threading.Barrier(4), []

    def press(number: int) -> None:
        begin.wait(30)
        actor = Actor.person(boss, via="admin")
        try:
            done.append(retry_many(runs, job, actor=actor, wish=Wish(), subject=SUBJECT, batch_id=f"b{number}"))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=press, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(one.started for one in done) == 150
    assert sum(one.left_out[RETRIED] for one in done) == 450
    assert Run.objects.filter(source=Source.RETRY).values("retry_of").distinct().count() == 150


# --- The page ---


@pytest.fixture
def group() -> FailureGroup:
    """Three kinds of equal failures: of 2, 1 and 1 runs."""
    now = timezone.now() - timedelta(minutes=1)
    runs = failed(3)
    group = FailureGroup.objects.create(
        fingerprint="f", basis="place", task_name=runs[0].task_name, error_type="ValueError", last_run="f0000",
        first_seen=now, last_seen=now, hurting=3, total=5,
    )  # fmt: skip
    for run, count in zip(runs, (2, 1, 1), strict=True):
        digest = case_digest(run.task_name, run.arguments, exact=True)
        FailureCase.objects.create(group=group, digest=digest, hurting=count, last_failed_at=now, last_run=run.task_id)
    Run.objects.update(failure_group=group)
    return group


@pytest.fixture
def client(operator: User) -> Client:
    client = Client()
    client.force_login(operator)
    return client


def sheet(client: Client, group: FailureGroup) -> tuple[str, dict[str, str]]:
    text = unescape(client.get(f"/admin/jobs/failuregroup/{group.pk}/retry/").content.decode())
    found = {name: re.search(rf'name="{name}" value="([^"]+)"', text) for name in ("nonce", "upto")}
    return text, {name: match[1] for name, match in found.items() if match}


def test_the_review_tells_what_is_left_out_and_the_button_how_many(client: Client, group: FailureGroup) -> None:
    assert "Retry its runs…" in client.get(f"/admin/jobs/failuregroup/{group.pk}/change/").content.decode()
    text, values = sheet(client, group)
    assert "Retry 3 runs" in text and "Of 3 that still hurt" in text and "Left out" not in text
    answer = client.post(f"/admin/jobs/failuregroup/{group.pk}/retry/", {**values, "reason": "back"}, follow=True)
    assert Run.objects.filter(source=Source.RETRY, reason="back").count() == 3
    assert "3 runs of ValueError in Add are retried." in unescape(answer.content.decode())
    client.post(f"/admin/jobs/failuregroup/{group.pk}/retry/", values)
    assert Run.objects.filter(source=Source.RETRY).count() == 3
    assert "There is nothing to retry" in sheet(client, group)[0]


def test_a_retry_of_many_is_one_line_of_the_trail_and_each_run_tells_of_its_own(
    client: Client, operator: User, group: FailureGroup
) -> None:
    _, values = sheet(client, group)
    client.post(f"/admin/jobs/failuregroup/{group.pk}/retry/", {**values, "reason": "back"})
    assert AuditEvent.objects.count() == 4
    for act in client.get("/admin/").context["page"].acts:
        assert act.event.object_type == "failure"
    assert len(client.get("/admin/").context["page"].acts) == 1
    operator.user_permissions.add(Permission.objects.get(codename="view_auditevent"))
    acts = [act for _, of in client.get("/admin/jobs/auditevent/").context["page"].days for act in of]
    assert [act.sentence.event.object_type for act in acts] == ["failure"]
    assert ("Runs", "3") in acts[0].facts and not any("{" in text for _, text in acts[0].facts)
    again = Run.objects.filter(source=Source.RETRY).first()
    assert again is not None and again.retry_of is not None
    for one in (again.retry_of, again):
        text = client.get(f"/admin/jobs/run/{one.task_id}/change/?tab=audit").content.decode()
        assert "retried" in text and "back" in text and 'oc-tab__count">1<' in text.split(">Audit ")[1][:60]


def test_of_two_retries_the_page_names_both(client: Client, add: Job) -> None:
    old = failed(1)[0]
    for name in ("r1", "r2"):
        Run.objects.create(task_id=name, task_name=old.task_name, retry_of=old, state=State.FAILED)
    text = client.get(f"/admin/jobs/run/{old.task_id}/change/").content.decode()
    assert "run r1" in text and "run r2" in text


def test_what_was_started_together_says_by_whom(client: Client, olga: Actor, add: Job) -> None:
    start_many(add, [{"a": 1}, {"a": 2}], actor=olga, batch_id=(batch := str(uuid.uuid4())))
    run = Run.objects.filter(nonce__startswith=batch).first()
    assert run is not None
    text = client.get(f"/admin/jobs/run/{run.task_id}/change/?tab=audit").content.decode()
    assert "by hand" not in text and "ran" in text.split(">Audit ")[1]


def test_newer_failures_were_in_no_review(client: Client, group: FailureGroup) -> None:
    _, values = sheet(client, group)
    Run.objects.filter(task_id="f0001").update(accepted_at=timezone.now() + timedelta(seconds=5))
    client.post(f"/admin/jobs/failuregroup/{group.pk}/retry/", values)
    assert set(Run.objects.filter(source=Source.RETRY).values_list("retry_of__task_id", flat=True)) == {
        "f0000",
        "f0002",
    }


@pytest.mark.parametrize("values", [{}, {"nonce": "n"}, {"nonce": "n", "upto": "yesterday"}, {"upto": "2026-01-01"}])
def test_a_form_that_is_not_whole_starts_nothing(client: Client, group: FailureGroup, values: dict[str, str]) -> None:
    answer = client.post(f"/admin/jobs/failuregroup/{group.pk}/retry/", values)
    assert "Nothing was started" in answer.content.decode()
    assert not Run.objects.filter(source=Source.RETRY).exists()


def test_who_may_not_sees_why_and_a_post_is_refused(viewer: User, group: FailureGroup) -> None:
    client = Client()
    client.force_login(viewer)
    text, values = sheet(client, group)
    assert "You may not retry runs" in text
    assert client.post(f"/admin/jobs/failuregroup/{group.pk}/retry/", values).status_code == 403
    assert AuditEvent.objects.get().outcome == "denied"


def test_a_dangerous_job_wants_its_name_or_one_by_one(client: Client, group: FailureGroup) -> None:
    FailureGroup.objects.update(task_name=under_test.greet_all.name)
    _, values = sheet(client, group)
    answer = client.post(f"/admin/jobs/failuregroup/{group.pk}/retry/", values)
    assert "Type Greet 100 % of them to confirm" in unescape(answer.content.decode())
    FailureGroup.objects.update(task_name=under_test.purge.name)
    assert "retry its runs one by one" in sheet(client, group)[0]
    FailureGroup.objects.update(task_name="gone.task")
    assert "no longer in the catalogue" in sheet(client, group)[0]
    assert not Run.objects.filter(source=Source.RETRY).exists()
