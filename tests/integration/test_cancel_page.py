"""The page that asks before a run is cancelled, and what the run's own page says of it."""

from __future__ import annotations

from datetime import timedelta
from html import unescape
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from admin_ext.acts.cancel_facts import cancel_words
from jobs.fleet.beacon import Beacon
from jobs.fleet.workers import Fleet
from jobs.ledger.audit import Actor
from jobs.ledger.cancel import (
    cancel_run,
    declare_lost,
)
from jobs.models import AuditEvent, Run
from jobs.states import State
from tests.integration.test_cancel import WORKER, beacon, boss, family_of_four, fleet
from tests.integration.test_run_page import address, make

pytestmark = pytest.mark.django_db
__all__ = ["boss"]


@pytest.fixture
def client(operator: User) -> Client:
    client = Client()
    client.force_login(operator)
    return client


def page(client: Client, run: Run, rest: str = "cancel/") -> str:
    response = client.get(address(run, rest))
    assert response.status_code == 200
    return unescape(response.content.decode())


@pytest.mark.parametrize(
    ("state", "values", "sentence"),
    [
        (State.WAITING, {"not_before": timezone.now() + timedelta(hours=1)}, "It will never start. It waits until"),
        (State.ACCEPTED, {}, "removed before it is published"),
        (State.QUEUED, {"publish_count": 1}, "a worker that reaches its message drops it"),
        (State.RETRYING, {"attempt": 2}, "Attempt 2 has ended; the next one will not be made"),
        (State.RUNNING, {"attempt": 1, "worker": WORKER}, "It is asked to stop"),
        (State.QUEUED, {"guaranteed": False}, "A worker keeps that in its memory"),
    ],
)
def test_the_page_says_what_will_happen_in_its_state(
    client: Client, state: State, values: dict[str, Any], sentence: str
) -> None:
    run = make(state, **values)
    assert f'href="{address(run, "cancel/")}"' in page(client, run, "change/")
    assert sentence in page(client, run)
    assert Run.objects.get().cancel_requested_at is None, "a GET changes nothing"


def test_the_button_cancels_and_the_runs_page_tells_who(client: Client) -> None:
    run = make(State.QUEUED, publish_count=1)
    answer = client.post(address(run, "cancel/"), {"reason": "wrong month"}, follow=True)
    assert answer.redirect_chain == [(address(run), 302)]
    text = unescape(answer.content.decode())
    assert "a worker that reaches its message drops it" in text
    assert "Olga Berg cancelled it just now because “wrong month”" in text and "Cancel…" not in text
    assert "Retry…" in text, "what was cancelled can be retried"
    answer = client.post(address(run, "cancel/"))
    assert "Nothing was cancelled: too late" in unescape(answer.content.decode())


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.FAILED, State.LOST])
def test_the_runs_page_says_what_it_came_to(client: Client, state: State) -> None:
    run = make(state, cancel_requested_at=timezone.now(), finished_at=timezone.now())
    sentence = {"succeeded": "That came too late", "failed": "failed before it could", "lost": "has not said"}[state]
    assert sentence in page(client, run, "change/")


def test_children_are_offered_and_cancelled(client: Client) -> None:
    root = family_of_four()
    assert "Also cancel 1 run below it" in page(client, root)
    client.post(address(root, "cancel/"), {"children": "on"})
    assert Run.objects.get(task_id="leaf").state == State.CANCELLED


def test_who_may_not_cancel_sees_why_and_a_post_is_refused(viewer: User) -> None:
    run = make(State.QUEUED)
    client = Client()
    client.force_login(viewer)
    assert "cancel/" not in page(client, run, "change/")
    assert "You may not cancel runs" in page(client, run)
    for act in ("cancel", "force", "lost"):
        assert client.post(address(run, "cancel/"), {"act": act}).status_code == 403
    assert AuditEvent.objects.filter(outcome="denied").count() == 3


@pytest.mark.parametrize(
    ("act", "sentence"),
    [("force", "Redis does not answer, so no worker can be told"), ("lost", "first cancel it, and give it 30 s")],
)
def test_force_and_lost_have_buttons_that_say_why_not(boss: Actor, act: str, sentence: str) -> None:
    run = make(State.RUNNING, attempt=1, worker=WORKER)
    client = Client()
    client.force_login(User.objects.get(username="boss"))
    answer = client.post(address(run, "cancel/"), {"act": act, "oc.confirm": "Add"})
    assert f"Nothing was cancelled: {sentence}" in unescape(answer.content.decode())
    run.refresh_from_db()
    assert (run.state, run.cancel_requested_at) == (State.RUNNING, None)


def test_hostile_content_is_text(client: Client) -> None:
    evil = "<script>alert(1)</script>"
    run = make(State.RUNNING, actor_label=evil, worker=evil, cancel_requested_at=timezone.now(), group_id=evil)
    AuditEvent.objects.create(
        verb="cancel_run", object_type="run", object_id=run.task_id, actor_label=evil, reason=evil
    )
    for rest in ("cancel/", "change/"):
        assert evil not in client.get(address(run, rest)).content.decode()


HEARD = fleet(beacon())
LONG_AGO = timedelta(seconds=50)


@pytest.mark.parametrize(
    ("state", "heard", "waited", "sentence"),
    [
        (State.RUNNING, HEARD, timedelta(0), "It has not ended yet."),
        (State.RUNNING, HEARD, LONG_AGO, "It has not stopped: its job may not look for that."),
        (State.RUNNING, fleet(), LONG_AGO, f"No answer: its worker {WORKER} is not heard."),
        (State.RUNNING, Fleet(known=False), LONG_AGO, "No answer: Redis does not answer"),
        (State.LOST, HEARD, LONG_AGO, "Its worker has not said what became of it"),
        (State.SUCCEEDED, HEARD, LONG_AGO, "That came too late: it succeeded."),
    ],
)
def test_the_runs_page_says_how_the_wish_stands(
    olga: Actor, state: State, heard: Fleet, waited: timedelta, sentence: str
) -> None:
    run = make(State.RUNNING, attempt=1, worker=WORKER)
    cancel_run(run, actor=olga, reason="wrong month")
    now = timezone.now()
    Run.objects.update(state=state, cancel_requested_at=now - waited, finished_at=now)
    fact, what = cancel_words(Run.objects.get(), heard, now)
    assert fact.startswith("Olga Berg") and fact.endswith("because “wrong month”.") and what.startswith(sentence)


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        (State.LOST, "Should the worker report after all, that counts."),
        (State.SUCCEEDED, "Its worker has answered after all: it has succeeded."),
        (State.CANCELLED, "Its worker has answered after all: it has been cancelled."),
    ],
)
def test_who_declared_it_lost_is_told_whatever_came_of_it(olga: Actor, state: State, sentence: str) -> None:
    asked = timezone.now() - LONG_AGO
    run = make(State.RUNNING, attempt=1, worker=WORKER, cancel_requested_at=asked)
    declare_lost(run, fleet(), actor=olga, reason="host is dead")
    Run.objects.update(state=state)
    fact, what = cancel_words(Run.objects.get(), fleet(), timezone.now())
    assert fact == "Olga Berg declared it lost just now because “host is dead”." and what.endswith(sentence)


@pytest.mark.parametrize(
    ("heard", "waited", "sentence", "button"),
    [
        (beacon("thread"), timedelta(0), "runs its work in threads, which nobody can end from outside", False),
        (beacon("solo"), timedelta(0), "runs its work in its only process", False),
        (beacon(), timedelta(0), "The worker kills the process that runs it.", True),
        (None, timedelta(0), "To declare it lost, first cancel it, and give it 30 s to answer.", False),
        (None, LONG_AGO, "Declare it lost", False),
    ],
)
def test_the_page_offers_what_its_worker_allows(
    boss: Actor, monkeypatch: pytest.MonkeyPatch, heard: Beacon | None, waited: timedelta, sentence: str, button: bool
) -> None:
    asked = timezone.now() - waited
    run = make(State.RUNNING, attempt=1, worker=WORKER, cancel_requested_at=asked)
    now = fleet(heard) if heard else fleet()
    monkeypatch.setattr("admin_ext.acts.cancel.read_machinery", lambda request: SimpleNamespace(fleet=now))
    client = Client()
    client.force_login(User.objects.get(username="boss"))
    text = page(client, run)
    assert sentence in text and ("End it by force" in text) is button
    assert "It has been asked already" in text
