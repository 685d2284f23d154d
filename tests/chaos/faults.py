"""The faults: what each does to the house, and how long it lasts. A plan is a list of their names."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.db import connections
from django.utils import timezone
from redis import RedisError

from jobs.fleet.broker import FACTS_KEY
from jobs.models import Lease
from jobs.recorder.chores import LEASE
from tests.chaos.failpoints import arm
from tests.chaos.house import SKEW, House, answers
from tests.e2e.processes import Daemon, wait_for
from tests.integration.own_redis import unsaved

Fault = Callable[[House, random.Random], None]
FAULTS: dict[str, Fault] = {}


def fault(name: str) -> Callable[[Fault], Fault]:
    def keep(function: Fault) -> Fault:
        FAULTS[name] = function
        return function

    return keep


def _name(worker: Daemon) -> str:
    return f"{worker.name}@chaos"


@fault("worker group kill -9")
def worker_killed(house: House, chance: random.Random) -> None:
    worker = chance.choice(house.workers)
    with house.diary.write("worker", "kill -9", _name(worker)):
        worker.kill()


@fault("pool child kill -9")
def child_killed(house: House, chance: random.Random) -> None:
    worker = chance.choice(house.workers)
    children = house.children(worker)
    with house.diary.write("child", "kill -9", _name(worker)), suppress(ProcessLookupError):
        if children:
            os.kill(chance.choice(children), signal.SIGKILL)


@fault("worker SIGTERM then SIGKILL")
def worker_stopped_hard(house: House, chance: random.Random) -> None:
    worker = chance.choice(house.workers)
    with house.diary.write("worker", "SIGTERM, 4 s, SIGKILL", _name(worker)):
        assert worker.process is not None
        worker.process.terminate()
        time.sleep(4)
        worker.kill()


@fault("worker SIGTERM")
def worker_stopped(house: House, chance: random.Random) -> None:
    worker = chance.choice(house.workers)
    with house.diary.write("worker", "SIGTERM", _name(worker)), house.held_down(worker):
        worker.stop()


@fault("Redis kill -9, with its data")
def redis_killed(house: House, chance: random.Random) -> None:
    with house.diary.write("redis", "kill -9, append-only file kept"), house.held_down(house.redis):
        house.redis.kill()
        time.sleep(chance.choice([0.2, 3]))
        house.socket.unlink(missing_ok=True)
    _redis_answers(house)


@fault("Redis kill -9, without its data")
def redis_forgets(house: House, chance: random.Random) -> None:
    with (
        house.diary.write("redis", "kill -9, nothing kept"),
        house.diary.write("forgets", "kill -9, nothing kept") as event,
        house.held_down(house.redis),
    ):
        event.erased = _unrecorded(house)
        house.redis.kill()
        time.sleep(chance.choice([0.2, 3]))
        house.socket.unlink(missing_ok=True)
        (house.root / "appendonly.aof").unlink(missing_ok=True)
    _redis_answers(house)


@fault("Redis frozen")
def redis_frozen(house: House, chance: random.Random) -> None:
    with house.diary.write("redis", "SIGSTOP for 12 s"):
        house.redis.signal(signal.SIGSTOP)
        time.sleep(12)
        house.redis.signal(signal.SIGCONT)


@fault("FLUSHALL")
def redis_flushed(house: House, chance: random.Random) -> None:
    with house.diary.write("forgets", "FLUSHALL") as event:
        event.erased = _unrecorded(house)
        house.client().flushall()


@fault("Redis full")
def redis_full(house: House, chance: random.Random) -> None:
    client = house.client()
    with house.diary.write("redis", "full for 5 s"), house.diary.write("full", "full for 5 s"):
        client.config_set("maxmemory", 1)
        time.sleep(5)
        client.config_set("maxmemory", 0)


@fault("Redis cannot save")
def redis_cannot_save(house: House, chance: random.Random) -> None:
    what = "its disk is full for 8 s"
    with (
        house.diary.write("redis", what),
        house.diary.write("full", what),
        unsaved(house.client(), house.root),
    ):
        time.sleep(8)


@fault("database away 3 s")
def database_away(house: House, chance: random.Random) -> None:
    with house.diary.write("database", "away for 3 s"):
        house.database.outage(3)


@fault("database away 12 s")
def database_away_longer(house: House, chance: random.Random) -> None:
    with house.diary.write("database", "away for 12 s"):
        house.database.outage(12)


@fault("database away 30 s")
def database_away_long(house: House, chance: random.Random) -> None:
    with house.diary.write("database", "away for 30 s"):
        house.database.outage(30)


@fault("database away 60 s with 500 runs queued")
def database_away_queue_full(house: House, chance: random.Random) -> None:
    """The workers are stopped while the queue fills, and find the database gone when they are back."""
    burst, workers = house.root / "burst", house.all_workers
    with house.diary.write("worker", "SIGTERM, started again without a database"), house.held_down(*workers):
        for worker in workers:
            assert worker.process is not None
            worker.process.terminate()
        burst.write_text("500")
        wait_for(lambda: not burst.exists(), "500 runs more to be accepted", 120)
        client = house.client()
        wait_for(lambda: client.llen("default") >= 500, "500 messages in the queue", 60)
    with house.diary.write("database", "away for 60 s"):
        house.database.outage(60)


@fault("database restored")
def database_restored(house: House, chance: random.Random) -> None:
    with house.diary.write("restore", "restored"), house.diary.write("database", "restored"):
        house.database.restore()


@fault("recorder kill -9")
def recorder_killed(house: House, chance: random.Random) -> None:
    with house.diary.write("recorder", "kill -9"):
        house.leader().kill()


@fault("recorder frozen while another takes over")
def recorder_frozen(house: House, chance: random.Random) -> None:
    leader = house.leader()
    with house.diary.write("recorder", "SIGSTOP for 14 s"):
        leader.signal(signal.SIGSTOP)
        time.sleep(14)
        leader.signal(signal.SIGCONT)


def _is_led() -> bool:
    try:
        return Lease.objects.filter(name=LEASE, renewed_at__gt=timezone.now() - timedelta(seconds=3)).exists()
    finally:
        connections.close_all()  # the next fault may stop the database, and a dead connection is not noticed


@fault("queue copied three times")
def queue_copied(house: House, chance: random.Random) -> None:
    """The workers stand still for two seconds, so that there is something to copy."""
    client = house.client()
    # After a recorder was killed nothing is published until the other one leads.
    wait_for(_is_led, "a recorder to lead", 30)
    with house.diary.write("queue", "copied three times"):
        workers = house.all_workers
        for worker in workers:
            worker.signal(signal.SIGSTOP)
        try:
            wait_for(lambda: _messages(house), "messages in the queue", 5)
        finally:
            messages = _messages(house)
            for key, message in messages:
                client.lpush(key, message, message, message)
            for worker in workers:
                worker.signal(signal.SIGCONT)
        house.seen += messages


@fault("old messages replayed")
def queue_replayed(house: House, chance: random.Random) -> None:
    client = house.client()
    with house.diary.write("queue", f"{len(house.seen)} old messages again"):
        for key, message in house.seen:
            client.lpush(key, message)


@fault("a worker's clock two hours off")
def clock_off(house: House, chance: random.Random) -> None:
    """A third worker joins, and stays."""
    with house.diary.write("clock", f"{_name(house.skewed)}: {SKEW} s off"):
        house.want(house.skewed)


def _failpoint(part: str, name: str) -> None:
    @fault(f"{part} killed: {name}")
    def kill(house: House, chance: random.Random) -> None:
        with house.diary.write(part, name):
            path: Path = arm(house.failpoints, name)
            wait_for(lambda: not path.exists(), f"somebody to die at {name}", 60)


for _moment in ("before-commit", "after-commit", "after-response"):
    _failpoint("web", f"web.{_moment}")
    _failpoint("recorder", f"ingest.{_moment}")
    _failpoint("recorder", f"dispatch.{_moment}")


def _messages(house: House) -> list[tuple[str, str]]:
    client = house.client()
    try:
        return [(key, str(message)) for key in ("default", "reports") for message in client.lrange(key, 0, -1)]
    except RedisError:
        return []


def _unrecorded(house: House) -> frozenset[str]:
    """The runs of the facts that lie on the stream."""
    entries: Any = house.client().xrange(FACTS_KEY)
    return frozenset(str(json.loads(fields["f"])["task_id"]) for _, fields in entries)


def _redis_answers(house: House) -> None:
    client = house.client()
    wait_for(lambda: answers(client), "Redis to answer", 30)
