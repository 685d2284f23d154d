"""What a message says besides its arguments is kept, said again by a retry, and shown without a value."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from redis import Redis

from jobs.fleet.broker import DEAD_KEY, FACTS_KEY, connect, list_key
from jobs.fleet.headers import OWN_HEADERS
from jobs.ledger.audit import Actor
from jobs.ledger.retry import expires_within, retry_run
from jobs.ledger.start import Wish
from jobs.models import Run
from jobs.pipeline.delivery import MAX_HEADERS, delivery_of
from jobs.recorder.dispatch import Dispatcher
from jobs.recorder.ingest import Ingest
from jobs.states import State
from tests import jobs_under_test as under_test
from tests.integration.test_run_page import address

pytestmark = [pytest.mark.django_db, pytest.mark.filterwarnings("ignore:No directory at")]
PLAIN = under_test.plain.name
OWN = {"tenant": "acme", "traceparent": "00-4bf92f35-01", "x-token": "canary", "sizes": [1, {"a": None}]}


@pytest.fixture
def boss(roles: None) -> Actor:
    return Actor.person(User.objects.create_superuser("boss"), via="command")


def record(redis: Redis) -> None:
    ingest = Ingest(connect(settings.REDIS_URL, timeout=5))
    while redis.xlen(FACTS_KEY):
        ingest.step(wait=0.05)
    assert not redis.xlen(DEAD_KEY)


def published(redis: Redis, **options: Any) -> Run:
    """A run that code published, as the ledger has it once the recorder has read of it, and then failed."""
    sent = current_app.send_task(PLAIN, args=[1], queue="default", **options)
    record(redis)
    redis.delete(*(redis.keys("default*") or ["none"]))
    Run.objects.update(state=State.FAILED, finished_at=timezone.now())
    return Run.objects.get(task_id=sent.id)


def message(redis: Redis, priority: int | None = None, queue: str = "default") -> dict[str, Any]:
    """The one that the dispatcher puts into the queue."""
    assert Dispatcher(current_app, redis).step() == 1
    found: dict[str, Any] = json.loads(redis.lindex(list_key(queue, priority), 0) or "")
    return found


def test_a_retry_says_again_what_the_message_said(redis: Redis, boss: Actor) -> None:
    old = published(redis, headers=OWN, priority=3, expires=600, time_limit=77, soft_time_limit=66)
    assert old.delivery == {"headers": OWN, "limits": [77, 66]} and old.priority == 3
    again = retry_run(old, actor=boss).run
    sent = message(redis, 3)
    assert {name: sent["headers"].get(name) for name in OWN} == OWN
    assert (sent["headers"]["timelimit"], sent["properties"]["priority"]) == ([77, 66], 3)
    left = again.expires_at - timezone.now() if again.expires_at else timedelta(0)
    assert timedelta(seconds=550) < left <= timedelta(seconds=600), "it expires anew"
    assert again.expires_at and sent["headers"]["expires"][:19] == again.expires_at.isoformat()[:19]


def test_an_expired_message_can_be_retried(redis: Redis, boss: Actor) -> None:
    old = published(redis, expires=60)
    then = timezone.now() - timedelta(hours=2)
    Run.objects.update(accepted_at=then, expires_at=then + timedelta(seconds=60))
    old.refresh_from_db()
    later = timezone.now() + timedelta(hours=1)
    again = retry_run(old, actor=boss, wish=Wish(not_before=later)).run
    assert again.expires_at == later + timedelta(seconds=60), "counted from when it may begin"


def test_time_to_begin_counts_from_when_it_could(redis: Redis) -> None:
    now = timezone.now()
    run = Run(accepted_at=now, not_before=now + timedelta(minutes=5), expires_at=now + timedelta(minutes=6))
    assert expires_within(run) == timedelta(minutes=1)
    run.not_before = now + timedelta(minutes=9)
    assert expires_within(run) == timedelta(minutes=6)
    run.expires_at = now - timedelta(minutes=1)
    assert expires_within(run) is None


def test_neither_celerys_headers_nor_ours_are_copied(redis: Redis, boss: Actor) -> None:
    old = published(redis, headers={**OWN, "periodic_task_name": "nightly", "redelivered": True})
    assert old.delivery == {"headers": OWN}
    again = retry_run(old, actor=boss).run
    headers = message(redis)["headers"]
    assert headers["id"] == again.task_id and not headers.get("periodic_task_name") and "redelivered" not in headers
    assert headers["opsconsole_actor_label"] == "boss" and headers["opsconsole_source"] == "retry"
    assert not set(OWN_HEADERS) & set(old.delivery["headers"])


def test_an_ordinary_message_keeps_nothing(redis: Redis) -> None:
    assert published(redis).delivery is None
    limits = current_app.tasks[PLAIN].time_limit, current_app.tasks[PLAIN].soft_time_limit
    assert published(redis, time_limit=limits[0], soft_time_limit=limits[1]).delivery is None, "the task's own limits"


def test_stamps_are_sent_again(redis: Redis, boss: Actor) -> None:
    signature = current_app.tasks[PLAIN].s(1)
    signature.stamp(order="A-7")
    signature.apply_async(queue="default")
    record(redis)
    redis.delete(list_key("default", None))
    Run.objects.update(state=State.FAILED)
    retry_run(Run.objects.get(), actor=boss)
    headers = message(redis)["headers"]
    assert (headers["stamps"], headers["stamped_headers"]) == ({"order": "A-7"}, ["order"])


@pytest.mark.parametrize(
    ("headers", "kept"),
    [
        ({"a": "x" * MAX_HEADERS}, {"lost": ["a"]}),
        ({"a": object(), "b": 1}, {"headers": {"b": 1}, "lost": ["a"]}),
        ({"a": float("nan")}, {"lost": ["a"]}),
        ({1: "no name", "opsconsole_attempt": 1, "opsconsole_made_up": 1, "argsrepr": "()"}, {}),
        ({"timelimit": [None, None]}, {}),
        ({"timelimit": ["abc", 5]}, {"limits": [None, 5]}),
        ({"timelimit": [1, 2, 3]}, {}),
        ({"timelimit": [True, -1]}, {}),
    ],
)
def test_what_cannot_be_kept_is_named(headers: dict[Any, Any], kept: dict[str, Any]) -> None:
    assert delivery_of(headers, None) == kept


def test_the_page_names_what_is_kept_and_what_is_not(redis: Redis, ana: Client) -> None:
    old = published(redis, headers=OWN, expires=600, time_limit=77, link=current_app.tasks[PLAIN].s())
    text = ana.get(address(old, "retry/")).content.decode()
    for told in (*OWN, "77 s", "10 min", "link_error"):
        assert told in text, told
    assert "canary" not in text and "acme" not in text, "a value may be a token"
    Run.objects.update(delivery={"lost": ["baggage"]})
    assert "baggage" in ana.get(address(old, "retry/")).content.decode()


def test_a_form_with_edited_values_says_it_again_too(redis: Redis, boss: Actor) -> None:
    old = published(redis, headers=OWN, expires=600)
    again = retry_run(old, actor=boss, arguments={"args": [2], "kwargs": {}}).run
    assert again.delivery == old.delivery and again.expires_at
