"""The Workers pages over a real Redis: what each condition looks like, what is unknown, what is hostile, how fast."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from redis import Redis

from jobs.fleet.beacon import Beacon, beacon_key, last_key, parsed
from jobs.fleet.broker import BEACONS_KEY, forget_clients
from jobs.fleet.queues import lists_of
from jobs.fleet.vitals import Vitals, read_trend
from jobs.models import Run
from jobs.states import State
from tests.integration.own_redis import message

LIST = "/admin/jobs/run/workers/"
PAGE = LIST + "worker/"


def told(worker: str = "w@one", **values: Any) -> dict[str, Any]:
    """What a worker tells of itself."""
    return {
        "worker": worker, "boot": worker, "beat": 100, "at": time.time(), "pid": 4121, "release": "unknown",
        "pool": "prefork", "concurrency": 4, "queues": ["default"], "running": {}, "at_work": {}, "taken": {},
        "up": 7200.0, "processed": 18_940, "pace": 6.0, "moved": 1.0, "quiet": 0.2, "memory": 60_000_000,
        "children": {"4140": 50_000_000, "4141": 40_000_000}, "load": 1.5, "cpus": 2, "prefetch": 4, "clock": 0.012,
        "host": "web-1", **values,
    }  # fmt: skip


def put(client: Redis, worker: str = "w@one", *, burning: bool = True, **values: Any) -> None:
    """One worker's beacon and last words, as it writes them."""
    text = json.dumps(told(worker, **values))
    if burning:
        client.set(beacon_key(worker), text)
    client.set(last_key(worker), text)
    client.zadd(BEACONS_KEY, {worker: values.get("at", time.time())})


def at_work(*ids: str, began: float = 12.0, task: str = "tests.add") -> dict[str, Any]:
    """Executions that began so many seconds ago."""
    start = time.time() - began
    return {
        "running": dict.fromkeys(ids, 1),
        "started": {one: [start, 0] for one in ids},
        "tasks": {one: [task, 4140] for one in ids},
    }


def text(client: Client, address: str = LIST, **parameters: str) -> str:
    response = client.get(address, parameters)
    assert response.status_code == 200
    return response.content.decode()


def test_the_list_tells_slots_runs_memory_queues_and_age(redis: Redis, ana: Client) -> None:
    held = at_work("a", "b")
    put(redis, **{**held, "running": {**held["running"], "c": 1}}, queues=["default", "reports"])
    shown = text(ana)
    assert "<b>2</b> of 4 + 1 reserved" in shown and "Ready" in shown and "2 h" in shown
    assert "tests.add" in shown and "and 1 more" in shown and "default, reports" in shown and "150 MB" in shown
    assert ">50 %<" in shown and "each heard within 4 s" in shown and "just now</td>" in shown


@pytest.mark.parametrize(
    ("values", "word", "said"),
    [
        (at_work("a", "b", "c", "d"), "Busy", ""),
        ({**at_work("a"), "concurrency": 1, "pool": "solo", "quiet": 40.0}, "Busy, no answer", ""),
        ({"queues": []}, "Quiet", ""),
        ({"stopping": True}, "Stopping", "takes nothing new"),
        ({"quiet": 31.0}, "Wedged", "its main loop has stood still for 31 s"),
        ({"at": time.time() - 3600}, "No news", "A beat is missing"),
        ({"boot": "old release", "quiet": None, "moved": None, "up": None}, "Ready", ""),
    ],
)
def test_each_condition_has_its_word(redis: Redis, ana: Client, values: dict[str, Any], word: str, said: str) -> None:
    put(redis, **values)
    shown = text(ana)
    assert f"</span>{word}</span>" in shown and said in shown


def test_a_worker_that_leaves_what_waits_is_wedged_and_one_that_moves_is_not(redis: Redis, ana: Client) -> None:
    redis.lpush(lists_of("default")[0], message(published_at=time.time() - 40))
    put(redis, "stands@still", moved=35.0)
    put(redis, "moves@on", moved=3.0)
    put(redis, "is@full", moved=35.0, **at_work("a", "b", "c", "d"))
    put(redis, "listens@elsewhere", moved=35.0, queues=["reports"])
    shown = text(ana, only="look")
    assert "stands@still" in shown and "a message has waited in default for 40 s" in shown
    assert not [one for one in ("moves@on", "is@full", "listens@elsewhere") if one in shown]


def test_what_is_gone_is_told_apart_from_what_has_stopped(redis: Redis, ana: Client) -> None:
    then = time.time() - 2040
    put(redis, "gone@web-3", burning=False, at=then, **at_work("x"), queues=["import"])
    put(redis, "stopped@web-4", burning=False, at=then, stopped=True)
    put(redis, "here@web-1")
    shown = text(ana)
    assert shown.index("gone@web-3") < shown.index("here@web-1") < shown.index("stopped@web-4")
    assert "It had 1 run at work" in shown and "34 min ago" in shown and "unknown of 4" in shown
    assert "gone@web-3 not heard for 34 min" in shown and "<b>1</b> of 2" in shown and "4 more unknown" in shown
    page = text(ana, PAGE, name="gone@web-3")
    assert "Ran when last heard" in page and "within a minute" in page and "Slots unknown, it had 4" in page
    assert "Took so far" in page and "free" not in page.split("oc-places")[1].split("</ul>")[0]


def test_another_release_is_told(redis: Redis, ana: Client, settings: Any) -> None:
    settings.RELEASE = "2026.10.1"
    put(redis, "new@web", release="2026.10.1")
    put(redis, "old@web", release="2026.9.4")
    shown = text(ana)
    assert "Other release" in shown and shown.index("Different releases run") < shown.index("old@web")
    assert "old@web" in text(ana, only="look") and "new@web" not in text(ana, only="look")


def test_the_page_of_a_worker_tells_what_it_runs_against_what_is_usual(redis: Redis, ana: Client) -> None:
    for number in range(4):
        Run.objects.create(
            task_id=f"done-{number}", task_name="tests.usual", state=State.SUCCEEDED, runtime=2.0, attempt=1
        )
    Run.objects.create(task_id="late", task_name="tests.usual", state=State.RUNNING, summary="sku=44", attempt=1)
    put(redis, **at_work("late", began=30.0, task="tests.usual"))
    shown = text(ana, PAGE, name="w@one")
    assert "usually 2.0 s" in shown and "oc-text--warn" in shown and "sku=44" in shown and "50 MB" in shown
    assert "web-1, process 4121" in shown and "4 processes, prefetch 4" in shown and "18,940" in shown
    assert "12 ms ahead of Redis" in shown and "1.5 in the last minute, on 2 cores" in shown
    assert ana.get(PAGE, {"name": "nobody"}).status_code == 404


def test_an_address_of_a_worker_can_be_typed_and_an_unknown_one_says_who_is_there(redis: Redis, ana: Client) -> None:
    for name in ("mail@web-1", "other@web-2"):
        put(redis, name)
    for typed in ("/workers/mail@web-1/", "/admin/jobs/run/workers/mail@web-1/"):
        response = ana.get(typed, follow=True)
        assert response.status_code == 200 and response.request["QUERY_STRING"] == "name=mail%40web-1"
    unknown = ana.get("/workers/other@web-3/", follow=True)
    shown = unknown.content.decode()
    assert unknown.status_code == 404 and "No worker of this name has been heard" in shown
    assert shown.index("Worker other@web-2</a>") < shown.index("Worker mail@web-1</a>") < shown.index("All workers</a>")


HOSTILE = "<script>alert(1)</script>\"'{{ 7 }}\u202e@" + "q" * 200


def test_hostile_names_are_harmless(redis: Redis, ana: Client) -> None:
    put(redis, HOSTILE, **at_work("<b>/../\x00", task="<img src=x onerror=alert(2)>"), queues=["<i>q</i>"])
    put(redis, "odd@one", trend="no base64!", release="<u>r</u>", pool="<s>p</s>", host="<h1>")
    listed, page = text(ana), text(ana, PAGE, name=HOSTILE)
    for shown in (listed, page):
        assert not [tag for tag in ("<script>alert", "<img src=x", "<i>q", "<u>r", "<s>p", "<h1>") if tag in shown]
        assert "&lt;script&gt;alert" in shown
    assert "odd@one" in text(ana, PAGE, name="odd@one")


def test_what_is_not_known_is_grey(redis: Redis, ana: Client) -> None:
    put(redis, memory=None, children=None, pace=None)
    shown = text(ana)
    assert '<td class="oc-num" data-c="memory">unknown</td>' in shown and "<b>unknown</b>" in shown


def test_without_redis_the_page_comes_at_once_in_grey_with_what_was_read(
    redis: Redis, ana: Client, settings: Any
) -> None:
    put(redis)
    text(ana)
    settings.CELERY_BROKER_URL = "redis+socket:///nowhere/redis.sock"
    forget_clients()
    began = time.monotonic()
    shown, page = text(ana), text(ana, PAGE, name="w@one")
    assert time.monotonic() - began < 2
    assert "w@one" in shown and "Unknown" in shown and "Last read at" in shown and "unknown of 4" in shown
    assert shown.count("<b>?</b>") == 4 and "not known now" in page


def test_a_thousand_workers_are_read_and_judged_in_time_with_few_queries(redis: Redis, ana: Client) -> None:
    pipe = redis.pipeline()
    for number in range(1000):
        values = told(f"w{number:04}@host", moved=60.0, **at_work(f"run-{number}", task=f"tests.t{number % 40}"))
        pipe.set(beacon_key(values["worker"]), json.dumps(values))
        pipe.zadd(BEACONS_KEY, {values["worker"]: values["at"]})
    pipe.execute()
    text(ana)
    with CaptureQueriesContext(connection) as queries:
        shown = text(ana)
    assert shown.count('<tr class="oc-row') == 100 and "1 to 100 of 1,000" in shown
    assert len(queries) <= 8, [query["sql"][:100] for query in queries]
    # A wide bound, by the processor's own time: tests/bench/workers.py measures the page alone, by the clock.
    assert min(_seconds(ana) for _ in range(3)) < 1.0
    assert "w0100@host" in text(ana, page="2")


def _seconds(client: Client) -> float:
    began = time.process_time()
    text(client)
    return time.process_time() - began


def test_only_who_may_see_runs_sees_workers(redis: Redis, client: Client) -> None:
    User.objects.create_user("nadia", is_staff=True)
    client.force_login(User.objects.get(username="nadia"))
    for address in (LIST, LIST + "live/", PAGE, PAGE + "live/"):
        assert client.get(address, {"name": "w@one"}).status_code == 403
    client.logout()
    assert client.get(LIST + "live/", headers={"HX-Request": "true"}).status_code == 204


def test_a_beacon_of_another_release_is_read_both_ways() -> None:
    new = parsed(json.dumps({**told(), "from_the_future": 1}))
    assert new.worker == "w@one" and new.at_once == 0
    first = {"worker": "w", "boot": "b", "beat": 1, "at": 1.0, "pid": 1, "release": "0", "pool": "solo"}
    old = parsed(json.dumps({**first, "concurrency": 1, "queues": ["q"], "running": {"a": 1}}))
    assert (old.queues, old.memory, old.moved, old.stopping, old.reserved) == (("q",), None, None, False, 1)


def test_the_trend_keeps_an_hour_and_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("jobs.fleet.vitals.time.monotonic", lambda: now[0])
    vitals, measured = Vitals(), {}
    for _ in range(70 * 30):
        now[0] += 2
        measured = vitals.measure(None, 4, ["a", "b"])
    points = read_trend(measured["trend"])
    assert len(points) == 60 and {point.busy for point in points} == {0.5}
    assert all((point.memory or 0) > 10_000_000 for point in points)
    text = json.dumps(told(**{**measured, **at_work(*(f"{n:036}" for n in range(8)))}), separators=(",", ":"))
    assert len(text) < 3000 and isinstance(parsed(text), Beacon)
