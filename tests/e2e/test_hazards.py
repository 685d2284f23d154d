"""What the recorder finds unsafe about Redis and the clocks, and the Overview that says so."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from html import unescape

import pytest
from redis import Redis

from jobs.fleet.beacon import beacon_key, machine_mark
from jobs.fleet.broker import BEACONS_KEY
from jobs.fleet.hazards import HAZARDS_KEY, Hazard, told
from jobs.recorder.inspection import Inspection
from tests.e2e.client import Person
from tests.e2e.conftest import PASSWORD
from tests.e2e.processes import Stack, wait_for
from tests.unit.test_hazards import ids


@pytest.fixture
def unsafe(stack: Stack) -> Iterator[Stack]:
    """Redis keeps nothing and throws keys away, and one worker's clock is two hours ahead."""
    client = stack.client()
    client.config_set("maxmemory-policy", "allkeys-lru")
    client.config_set("appendonly", "no")
    told = {**wait_for(stack.told, "the beacon"), "worker": "ahead@tests", "clock": 7200.0}
    client.set(beacon_key("ahead@tests"), json.dumps(told), ex=120)
    client.zadd(BEACONS_KEY, {"ahead@tests": time.time()})
    yield stack
    client.config_set("maxmemory-policy", "noeviction")
    client.config_set("appendonly", "yes")
    client.delete(beacon_key("ahead@tests"), HAZARDS_KEY)
    client.zrem(BEACONS_KEY, "ahead@tests")


def unsafe_here(client: Redis) -> list[Hazard]:
    """But for the schedules of another beat: tests before this one have published as one."""
    return [hazard for hazard in Inspection(client).look() if hazard.id != "jobs.W026"]


def test_a_worker_tells_its_clock_and_its_machine(stack: Stack) -> None:
    client = stack.client()
    beacon = wait_for(stack.told, "the beacon")
    assert abs(beacon["clock"]) < 1 and beacon["machine"] == machine_mark()
    assert unsafe_here(client) == [], "the stack of the tests is safe"


def test_what_is_unsafe_is_found_and_shown(unsafe: Stack) -> None:
    client = unsafe.client()
    found = unsafe_here(client)
    assert ids(found) == {"jobs.W020", "jobs.W021", "jobs.W022"}
    assert "allkeys-lru" in found[0].fact and "ahead@tests 7,200 s ahead" in found[2].fact
    # The running recorder finds it by itself.
    wait_for(lambda: ids(told(client.get(HAZARDS_KEY))) >= ids(found), "the recorder to look", 30)  # type: ignore[arg-type]
    unsafe.up(unsafe.web)
    text = unescape(Person(unsafe.url).sign_in("ana", PASSWORD).get("/admin/?all=1").text)
    for hazard in found:
        assert hazard.fact in text
    assert "Set maxmemory-policy noeviction. See docs/guarantees.md" in text
