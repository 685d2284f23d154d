"""The Queues pages over a real Redis: the numbers, the words, what is unknown, what is hostile, who may."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from redis import Redis

from admin_ext.queues.listing import _remembered
from jobs.fleet.beacon import beacon_key
from jobs.fleet.broker import BEACONS_KEY, forget_clients
from jobs.fleet.headers import PUBLISHED_HEADER
from jobs.fleet.queues import lists_of
from jobs.fleet.samples import Latest, Point, write_samples
from jobs.models import Run
from jobs.states import State
from tests.integration.own_redis import full, hung, message, other_password, stopped

LIST = "/admin/jobs/run/queues/"
PAGE = LIST + "queue/"


def beacon(client: Redis, worker: str = "w@one", **values: object) -> None:
    """One worker as it would tell of itself."""
    told = {
        "worker": worker, "boot": worker, "beat": 100, "at": time.time(), "pid": 1, "release": "r", "pool": "prefork",
        "concurrency": 4, "queues": ["default"], "running": {}, "at_work": {"default": 2}, "taken": {}, **values,
    }  # fmt: skip
    client.set(beacon_key(worker), json.dumps(told))
    client.zadd(BEACONS_KEY, {worker: time.time()})


def text(client: Client, address: str, **parameters: str) -> str:
    response = client.get(address, parameters)
    assert response.status_code == 200
    return response.content.decode()


def test_the_list_tells_what_waits_where_and_who_takes_it(redis: Redis, ana: Client) -> None:
    now = time.time()
    beacon(redis)
    for priority, key in enumerate(lists_of("default")):
        redis.lpush(key, *[message(published_at=now - 100 + priority)] * (priority + 1))
    redis.lpush(lists_of("reports")[0], message(published_at=now - 2460))
    write_samples(redis, {}, Latest(now - 3, window=60, rates={"default": (310.0, 312.0)}))
    shown = text(ana, LIST)
    assert "Nobody consumes" in shown and "no worker takes from it" in shown and "never" in shown
    assert shown.index(">reports<") < shown.index(">default<")
    assert "1 of priority 0 to 2, 2 of priority 3 to 5, 3 of priority 6 to 8, 4 of priority 9" in shown
    assert "1 worker · 4 slots" in shown and "310 / 312" in shown and "41 min" in shown and "1 min 40 s" in shown
    assert "5 min" in shown  # ten messages at two a minute


def test_where_no_worker_can_say_that_it_lives_none_is_told_to_be_missing(
    redis: Redis, ana: Client, root: Path
) -> None:
    redis.lpush(lists_of("default")[0], message(published_at=time.time() - 2460))
    assert "Nobody consumes" in text(ana, LIST, q="default")
    with full(redis, root):
        for shown in (text(ana, LIST, q="default"), text(ana, PAGE, name="default")):
            assert "Nobody consumes" not in shown and ">never<" not in shown and "41 min" in shown
        assert "Redis takes no writes, so workers are not heard" in text(ana, LIST, q="default")
        assert "No worker takes from this queue" not in text(ana, PAGE, name="default")
        shown = text(ana, LIST, only="look")
        assert "No queue needs a look" not in shown and "nobody knows which queue needs one" in shown


def test_the_oldest_is_what_workers_take_next_whatever_else_is_stamped(redis: Redis, ana: Client) -> None:
    beacon(redis)
    now = time.time()
    twice = message(published_at=now - 200, stamps={PUBLISHED_HEADER: now - 9e4}, argsrepr=f'"{PUBLISHED_HEADER}": 5')
    redis.lpush(lists_of("default")[0], twice, message(published_at=now - 100), message(published_at=now))
    assert "3 min 20 s" in text(ana, LIST, q="default")


def test_what_nobody_knows_is_never_zero(redis: Redis, ana: Client) -> None:
    beacon(redis, at_work=None)
    redis.lpush(lists_of("default")[0], message(published_at=None))
    shown = text(ana, LIST, q="default")
    assert "not stamped" in shown and "In and out are unknown" in shown
    assert shown.count(">unknown</span>") == 3  # running, in and out, clears in


def test_an_age_beside_messages_without_a_stamp_is_at_least_so_much(redis: Redis, ana: Client) -> None:
    beacon(redis)
    redis.lpush(lists_of("default")[0], message(published_at=None))
    redis.lpush(lists_of("default")[3], message(published_at=time.time() - 200))
    assert "3 min 20 s or more" in text(ana, LIST, q="default")


def test_a_queue_that_no_setting_names_is_listed_while_it_holds_messages(redis: Redis, ana: Client) -> None:
    write_samples(redis, {}, Latest(time.time(), found=("legacy", "empty-one")))
    redis.lpush(lists_of("legacy")[3], message())
    shown = text(ana, LIST)
    assert "Unexpected" in shown and "legacy" in shown and "empty-one" not in shown
    assert ana.get(PAGE, {"name": "empty-one"}).status_code == 404


def test_an_address_of_a_queue_can_be_typed_and_an_unknown_one_says_what_there_is(redis: Redis, ana: Client) -> None:
    beacon(redis)
    for typed in ("/queues/default/", LIST + "default/"):
        response = ana.get(typed, follow=True)
        assert response.status_code == 200 and response.request["QUERY_STRING"] == "name=default"
    assert ana.get("/queues/", follow=True).request["PATH_INFO"] == LIST
    odd = ana.get(LIST + "a/b%3F c/", follow=True)
    assert odd.status_code == 404 and odd.request["QUERY_STRING"] == "name=a%2Fb%3F+c"
    unknown = ana.get(LIST + "defualt/", follow=True)
    shown = unknown.content.decode()
    assert unknown.status_code == 404 and "There is no queue of this name" in shown
    assert shown.index("Queue default</a>") < shown.index("Queue reports</a>") < shown.index("All queues</a>")
    purge = ana.get(PAGE + "purge/", {"name": "defualt"})
    assert purge.status_code == 404 and "Queue default</a>" in purge.content.decode()


def test_a_growing_queue_and_one_too_old_need_a_look(redis: Redis, ana: Client) -> None:
    beacon(redis, queues=["default", "reports"])
    now = time.time()
    redis.lpush(lists_of("default")[0], message(published_at=now - 10))
    redis.lpush(lists_of("reports")[0], message(published_at=now - 700))
    write_samples(redis, {}, Latest(now, growing=("default",)))
    shown = text(ana, LIST, only="look")
    assert "Growing" in shown and "Too old" in shown and "Flowing" not in shown
    write_samples(redis, {}, Latest(now - 31, growing=("default",)))
    assert "Growing" not in text(ana, LIST)


@pytest.mark.parametrize(
    ("rates", "chip", "clears"),
    [
        ((20, 10), "Filling", "growing"),
        ((10, 20), "Flowing", "6.0 s"),
        ((10, 10), "Flowing", "as many come"),
        ((0, 0), "Stands still", "stands still"),
    ],
)
def test_a_queue_flows_only_while_more_leaves_than_stays(
    redis: Redis, ana: Client, rates: tuple[float, float], chip: str, clears: str
) -> None:
    beacon(redis)
    now = time.time()
    redis.lpush(lists_of("default")[0], message(published_at=now - 10))
    write_samples(redis, {}, Latest(now, rates={"default": rates}))
    shown = text(ana, LIST, q="default")
    assert chip in shown and clears in shown and ("Flowing" in shown) == (chip == "Flowing")


def test_runs_that_wait_in_the_ledger_are_held_for_later(redis: Redis, ana: Client) -> None:
    Run.objects.create(task_id="later", task_name="t", queue="default", state=State.WAITING)
    assert "0 with workers, 1 not yet sent" in text(ana, LIST)


def test_of_too_many_messages_with_workers_the_page_says_how_many_it_looked_at(redis: Redis, ana: Client) -> None:
    beacon(redis)  # of a release that does not tell what it holds: nothing is said to be with nobody
    value = json.dumps([json.loads(message()), "", "default"])
    pipe = redis.pipeline()
    for number in range(2100):
        pipe.hset("unacked", f"tag{number}", value)
        pipe.zadd("unacked_index", {f"tag{number}": number})
    pipe.execute()
    shown = text(ana, LIST)
    assert "2,000+" in shown and "Workers have 2,100 messages; the 2,000 that they have had longest" in shown


HOSTILE = "<script>alert(1)</script>\x00\"'/../{{ 7 }}\u202e" + "q" * 200


def test_hostile_names_and_bodies_are_harmless(redis: Redis, ana: Client) -> None:
    redis.lpush(
        lists_of(HOSTILE)[0],
        b"\xff\xfe not JSON",
        b"[" * 200_000,
        message("<img src=x onerror=alert(2)>", body=[["<b>", "\x00"], {"password": "hunter2", "x": "\ud800"}, {}]),
        message("big", body=["x" * 5_000_000]),
        message("pickled").replace(b"application/json", b"application/x-python-serialize"),
        json.dumps({"body": {"a": 1}, "headers": [1], "properties": "x"}),
        b"5",
    )
    write_samples(redis, {}, Latest(time.time(), found=(HOSTILE,)))
    listed, shown = text(ana, LIST), text(ana, PAGE, name=HOSTILE)
    for page in (listed, shown):
        assert "<script>alert" not in page and "&lt;script&gt;alert" in page
    assert "<img src=x" not in shown and "&lt;img src=x" in shown and "hunter2" not in shown
    assert "application/x-python-serialize, never decoded" in shown and "5.0 MB" not in shown and "6.7 MB" in shown
    assert shown.count("not JSON") >= 2 and len(shown) < 200_000
    assert "password=•••" in shown


def test_the_page_of_a_queue_tells_what_is_taken_next(redis: Redis, ana: Client) -> None:
    Run.objects.create(task_id="known-run", task_name="tests.add", queue="default", state=State.QUEUED)
    now = time.time()
    low, high = lists_of("default")[2], lists_of("default")[0]
    redis.lpush(low, *[message("low.task", id=f"low{i}", published_at=now - 50 + i) for i in range(30)])
    redis.lpush(high, message("tests.add", id="known-run", body=[[41], {"token": "s3cret"}, {}], published_at=now - 5))
    shown = text(ana, PAGE, name="default")
    first, last = shown.index("known-ru"), shown.index("low18"[:8])
    assert first < shown.index("low0") < last and "low19" not in shown
    assert "41, token=•••" in shown and "s3cret" not in shown
    assert "all 31 read" in shown and "the first 20 of 31" in shown
    assert f"/admin/jobs/run/{'known_2Drun'}/change/" in shown or "/admin/jobs/run/known-run/change/" in shown


@pytest.mark.parametrize("asked", ["1h", "24h", "7d", "nonsense"])
def test_the_past_is_drawn_and_told_in_numbers(redis: Redis, ana: Client, asked: str) -> None:
    now = time.time()
    for ago in range(6900, -1, -300):
        write_samples(redis, {"default": Point(ready=ago, seconds=5, arrived=7, left=3)}, Latest(now - ago))
    shown = text(ana, PAGE, name="default", range=asked)
    assert 'class="oc-chart__line oc-chart__line--ready"' in shown and "84.0" in shown and "36.0" in shown
    assert 'style="' not in shown.partition('id="oc-queue"')[2]


def test_the_poll_answers_with_a_fragment_and_tells_strangers_to_sign_in(redis: Redis, ana: Client) -> None:
    answer = ana.get(LIST + "live/", headers={"HX-Request": "true"})
    assert answer.status_code == 200 and b"<html" not in answer.content and b'id="oc-live"' in answer.content
    assert ana.get(LIST + "live/?q=x").headers["Location"] == LIST + "?q=x"
    stranger = Client().get(LIST + "live/", headers={"HX-Request": "true"})
    assert stranger.status_code == 204 and stranger.headers["HX-Refresh"] == "true"
    assert ana.get(PAGE + "live/?name=default", headers={"HX-Request": "true"}).status_code == 200


def test_who_may_not_see_runs_sees_no_queues(redis: Redis) -> None:
    client = Client()
    client.force_login(User.objects.create_user("nobody", is_staff=True))
    for address in (LIST, PAGE + "?name=default", LIST + "live/", PAGE + "live/", PAGE + "purge/?name=default"):
        assert client.get(address).status_code == 403, address


def test_a_thousand_queues_take_a_page_of_a_hundred_few_queries_and_little_time(redis: Redis, ana: Client) -> None:
    names = [f"q{number:04d}" for number in range(1000)]
    now = time.time()
    for number, name in enumerate(names):
        redis.lpush(lists_of(name)[number % 4], message(published_at=now - number))
    beacon(redis, queues=names, at_work={})
    write_samples(redis, {name: Point(ready=1, seconds=5) for name in names}, Latest(now))
    with CaptureQueriesContext(connection) as asked:
        shown = text(ana, LIST)
        first = len(asked)
    assert shown.count('class="oc-subject"') == 100 and 'page=2"' in shown
    with CaptureQueriesContext(connection) as asked:
        text(ana, LIST, q="q0001")
        assert len(asked) == first and 0 < first <= 12
    times = []
    for _ in range(7):
        began = time.process_time()
        text(ana, LIST)
        times.append(time.process_time() - began)
    # The aim is 100 ms; on a busy machine even the processor's own time is longer.
    assert min(times) < 0.25


@pytest.mark.parametrize("away", [stopped, hung, full, other_password])
def test_without_redis_the_page_shows_what_it_last_read_in_grey(
    redis: Redis, ana: Client, root: Path, away: Callable[[Redis, Path], AbstractContextManager[str]]
) -> None:
    redis.lpush(lists_of("default")[0], *[message(published_at=time.time())] * 214)
    text(ana, LIST)
    with away(redis, root) as banner:
        for address, name in ((LIST, {}), (PAGE, {"name": "default"}), (PAGE + "purge/", {"name": "default"})):
            began = time.perf_counter()
            shown = text(ana, address, **name)
            assert time.perf_counter() - began < 1
            assert banner in shown and "Not live" in shown
        shown = text(ana, LIST)
        assert "214" in shown
        if away is not full:
            assert "Last read at" in shown and "Unknown" in shown and "Nobody consumes" not in shown


def test_a_page_that_has_never_heard_of_redis_tells_no_number(redis: Redis, ana: Client, root: Path) -> None:
    _remembered.forget()
    with stopped(redis, root):
        forget_clients()
        shown = text(ana, LIST)
        assert "default" in shown and "Redis has not been read yet" in shown
        assert not re.findall(r'<td class="oc-num[^>]*>[^<]*\d', shown)
        assert ana.get(PAGE, {"name": "default"}).status_code == 200
