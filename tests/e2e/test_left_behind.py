"""What a real worker that is killed leaves behind, against what its beacon told before: held, reserved, at work."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from celery import current_app
from kombu import pools

from jobs.fleet.beacon import Beacon, last_key, parsed, read_beacons
from jobs.fleet.broker import forget_clients
from jobs.fleet.queues import Depth, read_queues
from tests.e2e.client import Person
from tests.e2e.conftest import PASSWORD
from tests.e2e.processes import Stack, wait_for
from tests.jobs_under_test import hold


def test_a_killed_workers_messages_are_with_nobody(running: Stack, tmp_path: Path) -> None:
    for daemon in (running.recorder, running.worker):
        daemon.stop()
    running.up()
    running.client().flushall()
    forget_clients()
    pools.reset()
    app: Any = current_app
    app._pool = app.amqp._producer_pool = None
    running.up(running.worker, running.web)
    flag = tmp_path / "go"
    try:
        for _ in range(20):
            hold.apply_async(args=[str(flag)], countdown=3600)
        slots = _beacon(running).concurrency
        for _ in range(slots + 2):
            hold.apply_async(args=[str(flag)])
        wait_for(
            lambda: (one := _beacon(running)).holds == 20 and one.reserved == 2, "the worker to tell what it has", 8
        )
        age(running)
        depth = _read(running, older=60)
        assert (depth.nobody, depth.reserved, depth.held, depth.running) == (0, 2, 20, slots)
        boot = _beacon(running).boot
        running.worker.kill()
        last = parsed(str(running.client().get(last_key("default@tests", boot))))
        assert (last.holds, last.reserved) == (20, 2)
        running.up(running.worker)
        wait_for(lambda: _boots(running) and last.boot not in _boots(running), "only the new one to tell of itself")
        depth = _read(running)
        assert (depth.nobody, depth.reserved, depth.held) == (22, 0, 0)
        person = Person(running.url)
        person.sign_in("ana", PASSWORD)
        assert "22 with nobody, back from" in person.get("/admin/jobs/run/queues/queue/?name=default").text
    finally:
        flag.touch()
        running.worker.kill()
        running.client().flushall()


def age(running: Stack) -> None:
    """As if all had been received a minute ago."""
    client = running.client()
    for tag, _ in client.zscan_iter("unacked_index"):
        client.zincrby("unacked_index", -60, tag)


def _boots(running: Stack) -> set[str]:
    return {one.boot for one in read_beacons(running.client()).beacons}


def _beacon(running: Stack) -> Beacon:
    return wait_for(lambda: next(iter(read_beacons(running.client()).beacons), None), "a worker")


def _read(running: Stack, older: float = 0.0) -> Depth:
    """The queue as pages read it; `older` makes the workers so many seconds older."""
    client = running.client()
    beacons = [replace(beacon, up=(beacon.up or 0.0) + older) for beacon in read_beacons(client).beacons]
    return read_queues(client, beacons).queues["default"]
