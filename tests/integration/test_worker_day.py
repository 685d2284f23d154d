"""The last day of a worker: minutes in a ring of fixed length, gaps where it was not heard, and its chart."""

from __future__ import annotations

import json
import time

from django.test import Client
from redis import Redis

from jobs.fleet.beacon import LAST_KEPT, beacon_key, last_key, parsed
from jobs.fleet.broker import BEACONS_KEY, page_client
from jobs.fleet.day import DAY_POINTS, Day, day_key, read_day

PAGE = "/admin/jobs/run/workers/worker/"
MIDNIGHT = 1_760_054_400.0


def beats(worker: str, *beats: tuple[float, int | None, float]) -> None:
    day, pipe = Day(worker, LAST_KEPT), page_client().pipeline(transaction=False)
    for beat in beats:
        day.note(pipe, *beat)
    pipe.execute()


def test_a_minute_keeps_the_most_memory_and_the_mean_of_its_slots(redis: Redis) -> None:
    beats("w", (MIDNIGHT, 300_000_000, 0.0), (MIDNIGHT + 2, 310_400_000, 1.0), (MIDNIGHT + 58, 305_000_000, 0.5))
    beats("w", (MIDNIGHT + 180, None, 0.25))
    points = read_day(page_client(), "w", MIDNIGHT + 185)
    assert len(points) == DAY_POINTS and points[:-4] == (None,) * (DAY_POINTS - 4)
    first, *gap, last = points[-4:]
    assert first is not None and (first.memory, first.busy) == (310_000_000, 0.5) and gap == [None, None]
    assert last is not None and (last.memory, last.busy) == (None, 0.25)


def test_a_day_later_the_same_place_is_another_minute(redis: Redis) -> None:
    beats("w", (MIDNIGHT, 300_000_000, 0.0))
    assert read_day(page_client(), "w", MIDNIGHT + 86_400)[-1] is None
    beats("w", (MIDNIGHT + 86_400, 200_000_000, 0.0))
    later = read_day(page_client(), "w", MIDNIGHT + 86_400)
    assert [point.memory for point in later if point] == [200_000_000]
    assert set(read_day(page_client(), "nobody", MIDNIGHT)) == {None}


def test_a_thousand_workers_take_eight_megabytes_however_long_they_beat(redis: Redis) -> None:
    for number in range(100):
        beats(f"w{number}", *((MIDNIGHT + minute * 60, 300_000_000, 0.5) for minute in (0, 700, 1439, 2879)))
    taken = sum(redis.memory_usage(day_key(f"w{number}")) or 0 for number in range(100)) * 10
    assert 7_000_000 < taken < 9_000_000
    assert 0 < redis.ttl(day_key("w0")) <= LAST_KEPT


def test_the_page_draws_the_hour_or_the_day(redis: Redis, ana: Client) -> None:
    now = time.time()
    told = {
        "worker": "w@one", "boot": "b", "beat": 1, "at": now, "pid": 1, "release": "r", "pool": "solo",
        "concurrency": 1, "queues": ["default"], "running": {}, "up": 5.0, "memory": 50_000_000, "children": {},
    }  # fmt: skip
    redis.set(beacon_key("w@one"), json.dumps(told))
    redis.set(last_key("w@one"), json.dumps(told))
    redis.zadd(BEACONS_KEY, {"w@one": now})
    beats("w@one", *((now - 60 * ago, 300_000_000 + ago * 1_000_000, 0.5) for ago in (700, 699, 698, 2, 1, 0)))
    day = ana.get(PAGE, {"name": "w@one", "range": "24h"}).content.decode()
    assert "Memory over 24 h: at most 1.0 GB, last 300 MB." in day, "before it was started anew, too"
    assert day.count("oc-chart__line--ready") == 2 and "not known" in day, "a gap between two pieces"
    assert 'range=24h" aria-current="true"' in day and "worker/live/?name=w%40one&amp;range=24h" in day
    for asked in ("1h", "nonsense"):
        hour = ana.get(PAGE, {"name": "w@one", "range": asked}).content.decode()
        assert "A chart follows two minutes after its start" in hour and 'range=1h" aria-current="true"' in hour


def test_a_name_with_half_a_character_is_read() -> None:
    values = {"worker": "w\udc80", "boot": "b", "beat": 1, "at": 1.0, "pid": 1, "release": "0", "pool": "solo"}
    found = parsed(json.dumps({**values, "concurrency": 1, "queues": [], "running": {"a": 7}}))
    assert (found.worker, found.running) == ("w?", {"a": 7})
