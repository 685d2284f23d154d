"""While Redis is away each page draws what it last read, in grey, and says from when; what is kept is bounded."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from django.test import Client
from redis import Redis

from admin_ext.overview import numbers
from admin_ext.parts.remembered import Remembered
from admin_ext.queues import listing, page
from admin_ext.workers import page as worker_page
from jobs.fleet.beacon import LAST_KEPT, beacon_key, last_key
from jobs.fleet.broker import BEACONS_KEY, page_client
from jobs.fleet.day import Day
from jobs.fleet.samples import Latest, Point, write_samples
from jobs.fleet.vitals import Vitals
from tests.integration.own_redis import full, hung, stopped

QUEUES, WORKERS = "/admin/jobs/run/queues/", "/admin/jobs/run/workers/"
QUEUE, WORKER = f"{QUEUES}queue/?name=default", f"{WORKERS}worker/?name=w@one&range=24h"
OF_QUEUE = 'aria-label="Ready in the last hour: at most 7, last 5.'


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    for one in (listing._remembered, listing._sparks, page._charts, worker_page._days, numbers._sparks):
        one.forget()


@pytest.fixture
def filled(redis: Redis) -> Redis:
    """A queue with a past, and a worker with a day."""
    now = time.time()
    for ago in (180, 120, 60):
        write_samples(page_client(), {"default": Point(ready=7, oldest=9, seconds=5)}, Latest(now - ago))
    write_samples(page_client(), {"default": Point(ready=5, oldest=9, seconds=5)}, Latest(now))
    vitals = Vitals()
    vitals.measure(None, 4, [])
    vitals._began -= 60
    told = {
        "worker": "w@one", "boot": "b", "beat": 100, "at": now, "pid": 1, "release": "r", "pool": "prefork",
        "concurrency": 4, "queues": ["default"], "running": {}, "at_work": {}, "taken": {},
        **vitals.measure(None, 4, ["a", "b"]), "up": 200.0,
    }  # fmt: skip
    redis.set(beacon_key("w@one"), json.dumps(told))
    redis.set(last_key("w@one"), json.dumps(told))
    redis.zadd(BEACONS_KEY, {"w@one": now})
    day, pipe = Day("w@one", LAST_KEPT), page_client().pipeline(transaction=False)
    for ago in range(86_000, -1, -600):
        day.note(pipe, now - ago, 300_000_000, 0.5)
        day.note(pipe, now - ago + 60, 320_000_000, 0.5)
    pipe.execute()
    return redis


def shown(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.mark.parametrize("away", [stopped, hung, full])
def test_pictures_stay_in_grey_with_their_age(
    filled: Redis, ana: Client, root: Path, away: Callable[[Redis, Path], AbstractContextManager[str]]
) -> None:
    before = {address: shown(ana, address) for address in (QUEUES, QUEUE, WORKERS, WORKER, "/admin/")}
    assert OF_QUEUE[:-1] in before[QUEUES] and "oc-chart__line--ready" in before[QUEUE]
    assert not [address for address, text in before.items() if "Last read at" in text]
    with away(filled, root):
        after = {address: shown(ana, address) for address in before}
    # A Redis that takes no writes still tells what the queues hold.
    if away is not full:
        assert "oc-t--stale" in after[QUEUES] and re.search(OF_QUEUE + r" Last read at \d\d:\d\d:\d\d, ", after[QUEUES])
        assert "oc-chart--stale" in after[QUEUE] and "oc-chart__line--ready" in after[QUEUE]
        assert "Last read at" in after[QUEUE]
    assert "oc-t--stale" in after[WORKERS] and "min before it was last heard" in after[WORKERS]
    assert "oc-chart--stale" in after[WORKER] and "Memory over 24 h" in after[WORKER]
    assert "Last read at" in after[WORKER]
    for label in ("Longest wait now", "Slots in use"):
        number = after["/admin/"].split(f">{label}<")[1].split("</a>")[0]
        assert "<b>?</b>" in number and "oc-spark--idle" in number, number
        assert "; drawn as of" in number and "Last read at" in number


def test_what_was_never_read_is_not_drawn(redis: Redis, ana: Client, root: Path) -> None:
    with stopped(redis, root):
        assert "oc-spark" not in shown(ana, QUEUES)
        assert "Not known: Redis does not answer" in shown(ana, QUEUE)
        overview = shown(ana, "/admin/")
    assert "drawn as of" not in overview


def test_only_so_many_are_remembered() -> None:
    remembered: Remembered[int] = Remembered(3)
    for number in range(10):
        remembered.keep(number, at=float(number), name=str(number))
        remembered.keep(0, name="often")
    assert remembered.last("often") and not remembered.last("7")
    last = remembered.last("9")
    assert last is not None and (last.value, last.at) == (9, 9.0)
    assert len(remembered._known) == 3
