"""Messages that a killed worker had received: with nobody, and back at a moment; slots whose runs are never listed."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone
from redis import Redis

from admin_ext.parts.words import clock
from jobs.fleet.beacon import parsed, read_beacons
from jobs.fleet.broker import page_client
from jobs.fleet.queues import Reading, read_queues
from jobs.models import Lease
from tests.integration.test_why_waiting import received
from tests.integration.test_workers_pages import PAGE as WORKER
from tests.integration.test_workers_pages import at_work, put, told

QUEUES, QUEUE, HOME = "/admin/jobs/run/queues/", "/admin/jobs/run/queues/queue/", "/admin/"
IDS = tuple(f"m{number}" for number in range(10))


def text(client: Client, address: str, **parameters: str) -> str:
    response = client.get(address, parameters)
    assert response.status_code == 200
    return response.content.decode()


def read() -> Reading:
    beacons = read_beacons(page_client()).beacons
    return read_queues(page_client(), beacons)


def later(hours: int = 1) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat()


def test_what_a_killed_worker_had_is_with_nobody_and_comes_back_at_a_moment(redis: Redis, ana: Client) -> None:
    received(redis, *IDS, ago=100)
    score = redis.zscore("unacked_index", "tag-m0")
    assert score is not None
    back = clock(datetime.fromtimestamp(score + 3600, UTC))
    listed, page, home = text(ana, QUEUES, q="default"), text(ana, QUEUE, name="default"), text(ana, HOME)
    assert f"10 with nobody, back from {back} on" in listed and "Left behind" in listed and "Flowing" not in listed
    assert f"10 with nobody, back from {back} on" in page and "0 reserved, 0 held for later, 10 with nobody" in page
    assert "10 messages of code are with nobody." in home and f"another: back from {back} on." in home
    put(redis, holds=0)
    listed = text(ana, QUEUES, q="default")
    assert "1 worker · 4 slots · 10 with nobody" in listed and "Left behind" in listed


def test_what_a_living_worker_holds_or_names_is_never_with_nobody(redis: Redis) -> None:
    received(redis, *IDS[:4], ago=100, eta=later())
    received(redis, *IDS[4:], ago=100)
    named = {**at_work("m4"), "running": dict.fromkeys(IDS[4:], None)}
    put(redis, holds=4, **named)
    depth = read().queues["default"]
    assert (depth.nobody, depth.reserved, depth.held) == (0, 5, 4)
    put(redis, holds=1, **named)  # three of those with a time have nobody
    depth = read().queues["default"]
    assert (depth.nobody, depth.reserved, depth.held) == (3, 5, 1)
    put(redis, holds=4)  # it names none: five reserved ones are with nobody, and what it holds is held
    reading = read()
    depth = reading.queues["default"]
    assert (depth.nobody, depth.reserved, depth.held, reading.received.stranded) == (6, 0, 4, 6)
    put(redis, holds=4, up=50.0)  # it began after all were received
    assert read().queues["default"].nobody == 10


def test_nobody_is_said_of_nothing_that_is_young_or_that_a_release_does_not_tell(redis: Redis) -> None:
    received(redis, *IDS, ago=20)
    assert read().queues["default"].nobody == 0
    received(redis, *IDS, ago=40)
    assert read().queues["default"].nobody == 10
    put(redis, clock=-15.0, holds=0)  # its moments are 15 s too early
    assert read().queues["default"].nobody == 0
    put(redis)
    assert (read().queues["default"].nobody, read().queues["default"].reserved) == (0, 10)


def test_of_what_the_console_published_no_trouble_is_made(redis: Redis, ana: Client) -> None:
    received(redis, *IDS, ago=100, attempt=1)
    assert read().queues["default"].nobody == 10 and read().received.stranded == 0
    assert "with nobody" not in text(ana, HOME)
    put(redis, holds=0)
    listed = text(ana, QUEUES, q="default")
    assert "Left behind" not in listed and "10 with nobody, and sent again by the console" in listed


@pytest.mark.parametrize(("age", "when"), [(60, "the last ones from"), (4000, "all from")])
def test_the_page_of_a_gone_worker_tells_what_it_had_received(redis: Redis, ana: Client, age: int, when: str) -> None:
    at = time.time() - age
    put(redis, burning=False, at=at, holds=8, running={"a": None, "b": 1})
    shown = text(ana, WORKER, name="w@one")
    assert "8 messages until their time" in shown
    assert "It had received 10 messages and not begun" in shown and "Nothing of it is lost" not in shown
    assert f"{when} {clock(datetime.fromtimestamp(at + 3600, UTC))} on." in shown
    put(redis, burning=False, at=at, holds=0)
    assert "It had nothing at work. Nothing of it is lost." in text(ana, WORKER, name="w@one")
    put(redis, burning=False, at=at)
    assert "Whether it held messages for later is not known" in text(ana, WORKER, name="w@one")
    put(redis, burning=False, at=at, holds=3, **at_work("x"))
    shown = text(ana, WORKER, name="w@one")
    assert "The recorder declares its runs lost" in shown and "It had received 3 messages and not begun" in shown


def test_slots_whose_runs_are_too_short_to_be_listed(redis: Redis, ana: Client) -> None:
    now = timezone.now()
    Lease.objects.create(name="recorder", holder="r", since=now, renewed_at=now, expires_at=now + timedelta(minutes=5))
    put(redis)
    assert "Nothing is running." in text(ana, HOME)
    put(redis, **at_work("a", "b"))
    shown = text(ana, HOME)
    assert "2 slots were in use a moment ago, by runs that have ended or are too short to be listed." in shown
    assert "none listed" in shown
    Lease.objects.all().delete()
    assert "2 slots are in use; what runs there, no recorder records." in text(ana, HOME)


def test_a_beacon_of_a_release_before_tells_nothing_of_what_it_holds() -> None:
    assert parsed(json.dumps(told())).holds is None


@pytest.mark.parametrize("name", ["q", "long" * 60, ""])
def test_the_queue_of_a_message_is_read_from_its_end_however_long_its_name_is(redis: Redis, name: str) -> None:
    received(redis, "mine", ago=100, queue=name)
    put(redis, holds=0, queues=[name])
    assert read().received.nobody == {name: 1}
