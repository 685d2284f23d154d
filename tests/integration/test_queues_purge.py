"""Purge a queue: what is removed is what is counted, a cancelled run never starts, and nothing is lost on the way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery.exceptions import Ignore
from django.contrib.auth.models import Group, User
from django.db import DatabaseError
from django.test import Client
from redis import Redis

from jobs.fleet.broker import FACTS_KEY, PREFIX, RedisError
from jobs.fleet.quarantined import QUARANTINE_KEY
from jobs.fleet.queues import lists_of
from jobs.fleet.removal import Removal
from jobs.ledger import purge
from jobs.ledger.audit import Actor
from jobs.ledger.purge import NotAQueue, NotConfirmed, Purged, PurgeStopped, purge_queue
from jobs.models import AuditEvent, Run
from jobs.pipeline import task
from jobs.pipeline.claim import claim_or_ignore
from jobs.pipeline.facts import read_entry
from jobs.recorder.record import record_facts
from jobs.recorder.sample import Sampler
from jobs.states import State
from tests.integration.own_redis import fresh, message, own_redis

PAGE = "/admin/jobs/run/queues/queue/purge/?name=default"
NOW = 1_760_000_000.0


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[Redis]:
    with own_redis(root) as client:
        yield client


@pytest.fixture
def redis(server: Redis, db: None) -> Redis:
    fresh(server)
    return server


@pytest.fixture
def user(db: None) -> User:
    return User.objects.create_superuser("ana", first_name="Ana")


@pytest.fixture
def ana(user: User) -> Actor:
    return Actor.person(user, via="admin")


def console_run(task_id: str, **values: object) -> Run:
    given = {"state": State.QUEUED, "guaranteed": True, "task_name": "tests.add", "queue": "default", **values}
    return Run.objects.create(task_id=task_id, **given)


def of_run(run: Run) -> bytes:
    """The message that the run's next execution would be claimed with."""
    return message(id=run.task_id, attempt=run.attempt + 1 - run.retries, retries=run.retries)


def all_facts(client: Redis) -> list[dict[str, str]]:
    entries: Any = client.xrange(FACTS_KEY)
    return [{"f": entry[b"f"].decode()} for _, entry in entries]


@pytest.fixture
def claims(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker's claim within the test's own transaction, whose connection it must not close."""
    monkeypatch.setattr(task, "close_old_connections", lambda: None)


def test_what_is_no_queue_is_not_touched(redis: Redis, ana: Actor) -> None:
    redis.rpush("otherapp:jobs", "a", "b")
    redis.rpush(QUARANTINE_KEY, "kept")
    for name in ("otherapp:jobs", QUARANTINE_KEY, "nosuch", ""):
        with pytest.raises(NotAQueue, match="Nothing was removed"):
            purge_queue(name, typed=name, actor=ana, reason="r")
    assert redis.llen("otherapp:jobs") == 2 and redis.llen(QUARANTINE_KEY) == 1
    assert not AuditEvent.objects.exists()


def test_a_queue_that_only_a_message_named_can_be_purged(redis: Redis, client: Client, user: User) -> None:
    client.force_login(user)
    redis.lpush("strange", message())
    redis.sadd("_kombu.binding.strange", "strange\x06\x16\x06\x16strange")
    sampler = Sampler(redis)
    sampler._look_for_queues()
    sampler.step()
    page = PAGE.replace("default", "strange")
    answer = client.post(page, {"reason": "r", "oc.confirm": "strange"}, follow=True)
    assert "1 message of strange removed" in answer.content.decode() and redis.llen("strange") == 0
    assert answer.redirect_chain == [("/admin/jobs/run/queues/", 302)], "its own page is gone"


def test_a_purge_removes_counts_cancels_and_is_told(redis: Redis, ana: Actor, claims: None) -> None:
    queued, retrying = console_run("a"), console_run("b", state=State.RETRYING, attempt=2, retries=1)
    other = console_run("other", queue="reports")
    redis.lpush(lists_of("default")[0], of_run(queued), message(id="seen", first_published=NOW), b"no JSON")
    redis.lpush(lists_of("default")[3], of_run(retrying))
    redis.lpush(lists_of("reports")[0], of_run(other))
    done = purge_queue("default", typed="default", actor=ana, reason="wrong link")
    assert done == Purged(removed=4, cancelled=2, observed=1, unreadable=1, left=0)
    assert redis.keys("default*") == [] and redis.llen("reports") == 1 and redis.keys(PREFIX + "purging*") == []
    for run in (queued, retrying):
        run.refresh_from_db()
        assert run.state == State.CANCELLED and run.cancel_requested_at and run.finished_at
        assert run.publish_after is None and run.state_note == "its message was removed from default by Ana"
        with pytest.raises(Ignore):
            claim_or_ignore(run.task_id, run.attempt + 1, worker="w", retries=run.retries)
    other.refresh_from_db()
    assert other.state == State.QUEUED
    begun, ended = AuditEvent.objects.order_by("id")
    assert (begun.verb, begun.details) == ("begin_purge", {"ready": 4})
    assert ended.verb == "purge_queue" and ended.reason == "wrong link" and ended.details["removed"] == 4


def test_an_observed_run_becomes_cancelled_as_the_recorder_reads_of_it(redis: Redis, ana: Actor) -> None:
    Run.objects.create(task_id="seen", task_name="tests.add", state=State.QUEUED)
    redis.lpush(lists_of("default")[0], message(id="seen"), message(id="new"))
    purge_queue("default", typed="default", actor=ana, reason="r")
    record_facts([read_entry(entry) for entry in all_facts(redis)], {})
    for run in Run.objects.filter(task_id__in=["seen", "new"]):
        assert run.state == State.CANCELLED and "by Ana" in run.state_note


def test_a_copy_of_a_message_whose_run_is_at_work_cancels_nothing(redis: Redis, ana: Actor) -> None:
    run = console_run("busy", state=State.RUNNING, attempt=1)
    redis.lpush(lists_of("default")[0], message(id="busy", attempt=1, retries=0))
    assert purge_queue("default", typed="default", actor=ana, reason="r").cancelled == 0
    run.refresh_from_db()
    assert run.state == State.RUNNING and run.cancel_requested_at is None


def test_many_messages_go_in_portions_and_what_comes_meanwhile_stays(
    redis: Redis, ana: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis.lpush(lists_of("default")[0], *[message(id=f"i{number}") for number in range(1200)])
    once = iter([True])

    def comes_meanwhile(*_: object) -> int:
        if next(once, False):
            redis.lpush(lists_of("default")[0], message(id="late"))
        return 0

    monkeypatch.setattr(purge, "_cancel_unclaimed", comes_meanwhile)
    done = purge_queue("default", typed="default", actor=ana, reason="r")
    assert (done.removed, done.left) == (1200, 1)
    assert b'"late"' in (redis.lindex("default", 0) or b"")


def test_when_the_database_fails_the_portion_goes_back_in_its_order(
    redis: Redis, ana: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> int:
        raise DatabaseError("away")

    monkeypatch.setattr(purge, "_cancel_unclaimed", fails)
    for key in lists_of("default"):
        redis.lpush(key, *[message(id=f"{key}{number}") for number in range(3)])
    before = {key: redis.lrange(key, 0, -1) for key in lists_of("default")}
    with pytest.raises(PurgeStopped, match="stopped after 0 messages"):
        purge_queue("default", typed="default", actor=ana, reason="r")
    assert {key: redis.lrange(key, 0, -1) for key in lists_of("default")} == before
    assert AuditEvent.objects.latest("id").details["stopped"] == "away"


def test_when_redis_fails_after_the_database_the_messages_are_kept_aside(
    redis: Redis, ana: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise RedisError("away")

    monkeypatch.setattr(Removal, "drop", fails)
    redis.lpush(lists_of("default")[0], message(id="a"))
    with pytest.raises(PurgeStopped):
        purge_queue("default", typed="default", actor=ana, reason="r")
    (aside,) = redis.keys(PREFIX + "purging*")
    assert redis.llen(aside) == 1 and 0 < redis.ttl(aside) <= 7 * 86_400


@pytest.mark.parametrize(("typed", "reason"), [("", "r"), ("reports", "r"), ("default ", "r"), ("default", "")])
def test_without_the_name_or_a_reason_nothing_goes(redis: Redis, ana: Actor, typed: str, reason: str) -> None:
    redis.lpush(lists_of("default")[0], message())
    with pytest.raises(NotConfirmed, match="Nothing was removed"):
        purge_queue("default", typed=typed, actor=ana, reason=reason)
    assert redis.llen("default") == 1 and not AuditEvent.objects.exists()


def test_by_the_page_with_a_name_that_is_typed(redis: Redis, user: User) -> None:
    redis.lpush(lists_of("default")[0], message(published_at=time.time()))
    client = Client()
    client.force_login(user)
    assert "Purge 1 message" in client.get(PAGE).content.decode() and redis.llen("default") == 1
    wrong = client.post(PAGE, {"reason": "r", "oc.confirm": "defualt"})
    assert "type default to confirm" in wrong.content.decode() and redis.llen("default") == 1
    assert client.get(PAGE + "&reason=r&oc.confirm=default").status_code == 200 and redis.llen("default") == 1
    right = client.post(PAGE, {"reason": "r", "oc.confirm": "default"}, follow=True)
    assert "1 message of default removed" in right.content.decode() and redis.llen("default") == 0
    assert "purged the queue" in client.get("/admin/jobs/auditevent/").content.decode()


def test_who_may_not_is_refused_and_it_is_recorded(redis: Redis, operator: User) -> None:
    operator.groups.set(Group.objects.filter(name="Viewer"))
    redis.lpush(lists_of("default")[0], message())
    client = Client()
    client.force_login(operator)
    assert client.get(PAGE).status_code == 403
    assert client.post(PAGE, {"reason": "r", "oc.confirm": "default"}).status_code == 403
    assert redis.llen("default") == 1
    assert AuditEvent.objects.get().outcome == AuditEvent.Outcome.DENIED
    assert "Purge…" in client.get(PAGE.replace("purge/", "")).content.decode()
