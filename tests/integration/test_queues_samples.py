"""The sampler over a real Redis: rates that are counted, what nobody measured is unknown, rings that stay bounded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from jobs.fleet.beacon import Beacon, Heard
from jobs.fleet.broker import page_client
from jobs.fleet.queues import Reading, lists_of, read_queues
from jobs.fleet.samples import FINE, HOURS, MINUTES, Latest, Point, read_latest, read_ready, read_series, write_samples
from jobs.recorder import sample
from jobs.recorder.sample import Sampler
from tests.integration.facts_aside import round_trips
from tests.integration.own_redis import fresh, message, own_redis

BOUND = b"_kombu.binding."


class Clock:
    """The time of recorder and Redis alike, and the beacons that burn."""

    def __init__(self) -> None:
        self.now = 1_760_000_000.0
        self.beacons: list[Beacon] = []

    def time(self) -> float:
        return self.now

    def worker(self, taken: dict[str, int] | None, *, boot: str = "b", beat: int = 1000) -> None:
        one = Beacon("w@one", boot, beat, self.now, 1, "r", "prefork", 4, ("default",), {}, taken=taken)
        self.beacons = [one]


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[Redis]:
    with own_redis(root) as client:
        yield client


@pytest.fixture
def redis(server: Redis) -> Redis:
    fresh(server)
    return server


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    really = read_queues

    def read_then(*args: Any) -> Reading:
        return replace(really(*args), at=clock.now)

    monkeypatch.setattr(sample, "time", clock)
    monkeypatch.setattr(sample, "read_queues", read_then)
    monkeypatch.setattr(sample, "read_beacons", lambda _: Heard(tuple(clock.beacons), clock.now))
    return clock


@pytest.fixture
def sampler(redis: Redis, clock: Clock) -> Sampler:
    return Sampler(page_client())


def latest() -> Latest:
    found = read_latest(page_client())
    assert found is not None
    return found


def step(sampler: Sampler, clock: Clock, seconds: float = 5) -> Latest:
    clock.now += seconds
    sampler.step()
    return latest()


def test_in_and_out_are_what_workers_took_and_what_the_queue_became(
    redis: Redis, clock: Clock, sampler: Sampler
) -> None:
    clock.worker({"default": 100})
    step(sampler, clock)
    assert latest().rates["default"] is None  # one sample tells no pace
    for number in range(1, 13):
        redis.lpush("default", message(), message(), message())
        redis.rpop("default")
        clock.worker({"default": 100 + number})
        step(sampler, clock)
    assert latest().rates["default"] == (36.0, 12.0) and latest().window == 60
    assert latest().rates.get("reports", (0, 0)) == (0, 0)


def test_what_was_purged_or_taken_by_strangers_makes_in_unknown_for_a_minute(
    redis: Redis, clock: Clock, sampler: Sampler
) -> None:
    redis.lpush("default", *[message()] * 50)
    for _ in range(5):
        step(sampler, clock)
    assert latest().rates.get("default", (0, 0)) == (0, 0)
    redis.delete("default")
    assert step(sampler, clock).rates["default"] is None
    for _ in range(13):
        step(sampler, clock)
    assert latest().rates.get("default", (0, 0)) == (0, 0)


@pytest.mark.parametrize(("beat", "known"), [(1, True), (1000, False)])
def test_a_worker_that_began_since_is_counted_and_one_that_was_not_seen_is_unknown(
    redis: Redis, clock: Clock, sampler: Sampler, beat: int, known: bool
) -> None:
    for _ in range(5):
        step(sampler, clock)
    clock.worker({"default": 6}, boot="another", beat=beat)
    clock.beacons[0] = replace(clock.beacons[0], at=clock.now + 5)
    rate = step(sampler, clock).rates["default"]
    assert (rate is not None and rate[1] > 0) is known


def test_a_worker_of_an_older_release_makes_its_queues_unknown(redis: Redis, clock: Clock, sampler: Sampler) -> None:
    clock.worker(None)
    for _ in range(6):
        step(sampler, clock)
    assert latest().rates["default"] is None and latest().rates.get("reports", (0, 0)) == (0, 0)


def test_a_queue_that_becomes_longer_for_minutes_grows(redis: Redis, clock: Clock, sampler: Sampler) -> None:
    redis.lpush("reports", *[message()] * 100)
    step(sampler, clock)
    for _ in range(70):
        redis.lpush("default", message())
        if step(sampler, clock).growing:
            break
    assert latest().growing == ("default",) and redis.llen("default") >= 50
    for _ in range(70):
        step(sampler, clock)
    assert latest().growing == ()


def test_names_that_nobody_expects_are_found_without_listing_the_keys(
    redis: Redis, clock: Clock, sampler: Sampler
) -> None:
    for number in range(3000):
        redis.set(f"celery-task-meta-{number}", "x")
    for queue in ("legacy", "default", "celeryev.1234", "w@one.celery.pidbox", "x.reply.celery.pidbox"):
        redis.sadd(BOUND + queue.encode(), f"{queue}\x06\x16\x06\x16{queue}")
    redis.sadd(BOUND + b"odd", b"\xff\x06\x16\x06\x16\xff")
    redis.set(BOUND + b"text", "no set")
    for _ in range(8):
        step(sampler, clock)
    assert latest().found == ("legacy",)
    assert "cmdstat_keys" not in redis.info("commandstats")
    redis.delete(BOUND + b"legacy")
    step(sampler, clock)
    assert step(sampler, clock).found == ()


def test_rings_gather_samples_and_leave_unknown_what_nobody_measured(redis: Redis) -> None:
    at = 1_760_000_000.0 // 3600 * 3600
    client = page_client()
    for number, ready in enumerate([5, 9, 2]):
        point = Point(ready=ready, oldest=ready, seconds=5, arrived=10, left=20)
        write_samples(client, {"default": point, "never": Point(seconds=5)}, Latest(at + number * 5))
    write_samples(client, {"default": Point(ready=1)}, Latest(at + 120))
    (fine, minutes, hours) = (
        read_series(client, ["default"], ring, places, at + 120)["default"]
        for ring, places in ((FINE, 25), (MINUTES, 4), (HOURS, 2))
    )
    assert [point and point.ready for point in fine] == [5, 9, 2, *[None] * 21, 1]
    assert minutes[0] is None and minutes[1] == Point(9, 9, 15, 30, 60) and minutes[2] is None
    assert minutes[1].in_per_minute == 120 and minutes[3] == Point(1) and minutes[3].in_per_minute is None
    assert hours[0] is None and hours[1] == Point(9, 9, 15, 30, 60)
    assert read_series(client, ["never"], HOURS, 2, at)["never"] == [None, None]
    assert redis.keys("*never*") == []  # an idle queue without a past costs nothing
    depths = read_ready(client, ["default"], FINE, 25, at + 120)["default"]
    assert depths == [None if point is None else point.ready for point in fine]
    # A lap later the same place is another moment, and begins anew.
    later = at + MINUTES.step * MINUTES.length
    write_samples(client, {"default": Point(ready=2)}, Latest(later))
    assert read_series(client, ["default"], MINUTES, 1, later)["default"] == [Point(2)]
    later = at + FINE.step * FINE.length
    assert read_series(client, ["default"], FINE, 1, later)["default"] == [None]
    assert read_ready(client, ["default"], FINE, 1, later)["default"] == [None]


def test_a_hundred_queues_take_six_megabytes_however_long_they_are_sampled(redis: Redis) -> None:
    names = [f"queue-{number}" for number in range(100)]
    for ring in (FINE, MINUTES, HOURS):
        last_place = (1000 * ring.length - 1) * ring.step
        write_samples(page_client(), {name: Point(9, 9, 5, 9, 9) for name in names}, Latest(last_place))
    taken = sum(redis.memory_usage(key) or 0 for key in redis.scan_iter("opsconsole:samples:*", count=1000))
    assert 5_000_000 < taken < 7_000_000
    ttl = {ring.name: redis.ttl(f"opsconsole:samples:{ring.name}:queue-1") for ring in (FINE, MINUTES, HOURS)}
    assert 3600 < ttl["5s"] <= 7200 and 86_400 < ttl["1min"] <= 90_000 and 30 * 86_400 < ttl["1h"] <= 31 * 86_400


def test_a_thousand_queues_are_read_and_written_in_one_round_trip_each_by_short_scripts(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"queue-{number}" for number in range(1000)]
    for number, name in enumerate(names):
        redis.lpush(lists_of(name)[number % 4], message())
    client = page_client()
    client.ping()
    trips = round_trips(monkeypatch)
    redis.config_resetstat()
    assert sum(depth.ready for depth in read_queues(client, found=names).queues.values()) == 1000
    read = scripts(redis)
    write_samples(client, dict.fromkeys(names, Point(1)), Latest(1_760_000_000.0))
    written = scripts(redis) - read
    # A script serves a hundred queues at most: Redis answers others in between.
    assert len(trips) == 2 and read >= 11 and written >= 20


def scripts(redis: Redis) -> int:
    told: Any = redis.info("commandstats")
    return int(told["cmdstat_eval"]["calls"])


def test_a_ring_lives_as_long_as_it_is_written(redis: Redis) -> None:
    at, key = 1_760_000_000.0 // 60 * 60, "opsconsole:samples:1min:default"
    for number, more in ((0, 0), (5, 0), (65, 1)):
        write_samples(page_client(), {"default": Point(ready=1)}, Latest(at + number))
        assert redis.ttl(key) > MINUTES.expires - 5 or not more
        redis.expire(key, 100)  # as if it had grown old
    assert redis.ttl(key) <= 100
    write_samples(page_client(), {"default": Point(ready=1)}, Latest(at + 120))
    assert redis.ttl(key) > MINUTES.expires - 5, "each new place renews it"


def test_numbers_beyond_all_measure_are_kept_within_the_ring(redis: Redis) -> None:
    huge = Point(ready=2**40, oldest=2**40, seconds=10**6, arrived=-(2**40), left=2**40)
    for _ in range(2):
        write_samples(page_client(), {"default": huge}, Latest(1_760_000_000.0))
    (point,) = read_series(page_client(), ["default"], HOURS, 1, 1_760_000_000.0)["default"]
    assert point is not None and point.ready == 2**31 - 1 and point.in_per_minute == 0


def test_a_step_writes_once_in_five_seconds(redis: Redis, clock: Clock, sampler: Sampler) -> None:
    redis.lpush(lists_of("default")[0], message())
    sampler.step()
    first = latest().at
    clock.now += 0.5
    sampler.step()
    assert latest().at == first
