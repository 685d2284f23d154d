"""Why a run does not run: the first cause that holds, in one sentence, with the link to what would change it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from redis import Redis

from admin_ext.parts.words import exact
from jobs.fleet.broker import forget_clients
from jobs.fleet.queues import lists_of
from jobs.fleet.samples import Latest, write_samples
from jobs.models import Lease, Run
from jobs.states import State
from tests.integration.own_redis import fresh, message, own_redis
from tests.integration.test_workers_pages import at_work, put


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[Redis]:
    with own_redis(root) as client:
        yield client


@pytest.fixture
def redis(server: Redis, db: None) -> Redis:
    fresh(server)
    now = timezone.now()
    Lease.objects.create(name="recorder", holder="r", since=now, renewed_at=now, expires_at=now + timedelta(minutes=5))
    return server


@pytest.fixture
def ana(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("ana"))
    return client


def run(state: State = State.QUEUED, **values: Any) -> Run:
    return Run.objects.create(
        **{
            "task_id": "mine",
            "task_name": "tests.add",
            "queue": "default",
            "state": state,
            "guaranteed": True,
            **values,
        }
    )


def said(client: Client) -> str:
    """The run's page down to its tabs."""
    response = client.get("/admin/jobs/run/mine/change/")
    assert response.status_code == 200
    return response.content.decode().split("oc-runtabs")[0]


def publish(client: Redis, *ids: str, step: int = 0) -> None:
    for one in ids:
        client.lpush(lists_of("default")[step], message(id=one, published_at=time.time() - 1))


def received(client: Redis, *ids: str, ago: float, queue: str = "default", **headers: Any) -> None:
    """Messages that a worker took so many seconds ago, as kombu keeps them until they are acknowledged."""
    for one in ids:
        value = json.dumps([json.loads(message(id=one, **headers)), "", queue])
        client.hset("unacked", f"tag-{one}", value)
        client.zadd("unacked_index", {f"tag-{one}": time.time() - ago})


def test_nobody_takes_from_its_queue(redis: Redis, ana: Client) -> None:
    run()
    put(redis, "elsewhere@w", queues=["reports"])
    publish(redis, "mine")
    shown = said(ana)
    assert "No worker takes from the queue default." in shown and "queues/queue/?name=default" in shown


def test_the_last_worker_of_its_queue_is_gone(redis: Redis, ana: Client) -> None:
    run()
    put(redis, "gone@w", burning=False, at=time.time() - 2040)
    publish(redis, "mine")
    shown = said(ana)
    assert "gone@w, is gone, 34 min ago" in shown and "workers/worker/?name=gone%40w" in shown


def test_it_waits_behind_others_and_when_the_queue_clears(redis: Redis, ana: Client) -> None:
    run()
    put(redis, moved=1.0, **at_work("a", "b", "c", "d"))
    publish(redis, "x1", "x2", "mine", "after")
    publish(redis, "higher", step=0)
    publish(redis, "lower", step=3)
    write_samples(redis, {}, Latest(time.time(), window=60, rates={"default": (0.0, 6.0)}))
    shown = said(ana)
    ahead = 2 + (1 if lists_of("default")[0] == lists_of("default")[3] else 0)
    assert f"behind {ahead} others, clears in 1 min" in shown and "4 of 4 slots" in shown


def test_it_is_the_next_one(redis: Redis, ana: Client) -> None:
    run()
    put(redis)
    publish(redis, "mine")
    assert "It is the next one of the queue default." in said(ana)


def test_a_worker_holds_it_behind_its_own_work(redis: Redis, ana: Client) -> None:
    run()
    held = at_work("a", "b", "c", "d")
    put(redis, **{**held, "running": {**held["running"], "mine": 1}})
    shown = said(ana)
    assert "w@one has received it and runs others in 4 slots." in shown and "workers/worker/?name=w%40one" in shown


def test_every_worker_of_its_queue_is_stuck(redis: Redis, ana: Client) -> None:
    run()
    put(redis, quiet=40.0)
    publish(redis, "mine")
    assert "w@one, which takes from the queue default, is wedged." in said(ana)


def test_it_has_a_time_of_its_own(redis: Redis, ana: Client) -> None:
    run(State.WAITING, not_before=timezone.now() + timedelta(hours=1))
    assert "Not before" in said(ana)


def test_no_recorder_brings_it_into_its_queue(redis: Redis, ana: Client) -> None:
    run(State.ACCEPTED)
    put(redis)
    assert "The recorder puts it into its queue within seconds." in said(ana)
    Lease.objects.all().delete()
    assert "which would put it into its queue" in said(ana)


def test_its_worker_is_gone(redis: Redis, ana: Client) -> None:
    run(State.RUNNING, worker="dead@w", claimed_at=timezone.now() - timedelta(seconds=20), attempt=1)
    put(redis)
    assert "dead@w, which ran it, is gone." in said(ana) and "within a minute" in said(ana)
    put(redis, "dead@w")
    assert "is gone" not in said(ana)


def test_a_message_that_is_nowhere_is_said_to_be_so(redis: Redis, ana: Client) -> None:
    run()
    put(redis)
    assert "Its message is in no list of its queue" in said(ana)


LONG_AGO = timedelta(minutes=5)
GONE = "Redis lost it, somebody removed it, or a worker that is gone had it."


def test_a_message_that_redis_lost_is_told_before_that_nobody_takes(redis: Redis, ana: Client) -> None:
    run(guaranteed=False, queue="lonely", published_at=timezone.now() - LONG_AGO)
    shown = said(ana)
    assert f"Its message is no longer in the queue: {GONE}" in shown and "cancel it, or start it anew" in shown
    assert "No worker takes" not in shown
    redis.lpush(lists_of("lonely")[0], message(id="mine"))
    assert "No worker takes from the queue lonely." in said(ana)


@pytest.mark.parametrize("state", [State.QUEUED, State.RETRYING])
def test_a_lost_message_of_the_console_is_published_again(redis: Redis, ana: Client, state: State) -> None:
    run(state, published_at=timezone.now() - LONG_AGO, publish_after=timezone.now() + LONG_AGO)
    put(redis)
    shown = said(ana)
    assert f"a worker has just taken it, {GONE}" in shown and "The recorder publishes it again by itself." in shown
    Lease.objects.all().delete()
    assert "Or it has run: no recorder is alive" in said(ana)


def test_a_message_is_not_called_lost_while_anybody_may_have_it(redis: Redis, ana: Client) -> None:
    mine = run(guaranteed=False, published_at=timezone.now() - timedelta(seconds=50))
    put(redis)
    assert GONE not in said(ana)
    Run.objects.filter(pk=mine.pk).update(published_at=timezone.now() - LONG_AGO)
    assert GONE in said(ana)
    put(redis, running={"mine": None})
    assert GONE not in said(ana)
    put(redis)
    redis.lpush(lists_of("default")[0], *[message(id=f"x{number}") for number in range(1001)])
    assert GONE not in said(ana)


def test_a_message_that_a_worker_left_behind_comes_back_at_a_moment(redis: Redis, ana: Client) -> None:
    run(guaranteed=False, published_at=timezone.now() - LONG_AGO)
    put(redis, holds=0)
    received(redis, "mine", ago=60)
    shown = said(ana)
    assert "The worker that had received it is gone, or has lost its connection; nobody has it now." in shown
    assert f"Redis gives it to another worker from {exact(timezone.now() + timedelta(minutes=59))[:-9]}" in shown
    put(redis, "holder@w", holds=1, up=7200.0)
    assert "A worker holds it until the time that its publisher asked for, or one that is gone had it." in said(ana)
    put(redis, "holder@w", holds=1, up=30.0)  # it began after the message was received
    assert "nobody has it now" in said(ana)
    received(redis, "mine", ago=4000)
    assert "Redis gives it to another worker once a worker looks." in said(ana)
    received(redis, "mine", ago=5)
    assert "A worker has just received it" in said(ana)


def test_without_redis_it_is_not_known(redis: Redis, ana: Client, settings: Any) -> None:
    run()
    settings.CELERY_BROKER_URL = "redis+socket:///nowhere/redis.sock"
    forget_clients()
    assert "how far is not known: Redis does not answer" in said(ana)


def test_a_run_that_has_ended_or_is_heard_at_work_has_no_such_sentence(redis: Redis, ana: Client) -> None:
    mine = run(State.SUCCEEDED)
    put(redis)
    assert "oc-notice" not in said(ana)
    Run.objects.filter(pk=mine.pk).update(state=State.RUNNING, worker="w@one", claimed_at=timezone.now())
    assert "oc-notice" not in said(ana)
