"""Every key of Redis that the console reads, with what it must not hold: no page and no chore ends by it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from redis import Redis, RedisError

from jobs.fleet import breaker
from jobs.fleet.beacon import beacon_key, last_key
from jobs.fleet.broker import BEACONS_KEY, DEAD_KEY, FACTS_KEY, PREFIX, PROBE_KEY, steady_client
from jobs.fleet.day import day_key
from jobs.fleet.dropped import note_dropped
from jobs.fleet.hazards import HAZARDS_KEY
from jobs.fleet.looks import LOOKS_KEY
from jobs.fleet.quarantined import QUARANTINE_KEY
from jobs.fleet.queues import lists_of
from jobs.fleet.samples import LATEST_KEY, Latest, Point, write_samples
from jobs.ledger.leases import hold
from jobs.models import Lease, Run
from jobs.pipeline.told import log_key, progress_key
from jobs.recorder.dispatch import Dispatcher
from jobs.recorder.ingest import Ingest
from jobs.recorder.inspection import Inspection
from jobs.recorder.reap import CLAIM_GRACE, PROBE_STEADY, Reaper
from jobs.recorder.restored import MARK_KEY, Books
from jobs.recorder.sample import Sampler
from jobs.recorder.watch import Watch
from jobs.states import State
from tests.integration.own_redis import message
from tests.integration.test_workers_pages import told

pytestmark = pytest.mark.django_db

WORKER, QUEUE, RUN = "w@one", "default", "00000000-0000-4000-8000-000000000001"
NO_TEXT = b"\xff\xfe\x00\x81"
UNACKED, INDEX, BINDING = "unacked", "unacked_index", "_kombu.binding.default"

#: What a text may hold instead of what it ought to.
TEXTS: dict[str, bytes] = {
    "no JSON": b"\x01{not json",
    "a number": b"12",
    "null": b"null",
    "a list": b"[1, [2], null, {}]",
    "nothing in it": b"{}",
    "other types": b'{"at": {}, "worker": 7, "queues": 3, "running": [], "rates": 1, "count": "x", "size": {}}',
    "enormous numbers": b'{"at": 1e999, "worker": "w", "task_id": "t", "window": ' + b"9" * 5000 + b"}",
    "deep": b"[" * 200_000,
    "long": b'"' + b"x" * 1_000_000 + b'"',
    "no UTF-8": NO_TEXT,
    "no UTF-8 in JSON": b'{"worker": "' + NO_TEXT + b'", "at": 1}',
    "half a character": rb'{"worker": "\ud800\u0000", "at": 1, "queues": ["\udfff"]}',
}
ANOTHER_TYPE = "another type"
FAULTS = (*TEXTS, ANOTHER_TYPE)


def _string(key: str) -> Callable[[Redis, bytes], None]:
    return lambda client, value: _put(client.set, key, value)


def _list(key: str) -> Callable[[Redis, bytes], None]:
    def spoil(client: Redis, value: bytes) -> None:
        client.delete(key)
        client.rpush(key, value)

    return spoil


def _hash(key: str, *names: str) -> Callable[[Redis, bytes], None]:
    def spoil(client: Redis, value: bytes) -> None:
        client.delete(key)
        client.hset(key, mapping=dict.fromkeys(names, value))

    return spoil


def _stream(key: str) -> Callable[[Redis, bytes], None]:
    return lambda client, value: _put(client.xadd, key, {"f": value, "why": value, value: value})


def _set(key: str) -> Callable[[Redis, bytes], None]:
    return lambda client, value: _put(client.sadd, key, value)


def _unacked(client: Redis, value: bytes) -> None:
    client.zadd(INDEX, {"tag": 1e300})
    client.hset(UNACKED, "tag", value)


def _put(command: Callable[..., Any], *values: Any) -> None:
    command(*values)


RING = f"{PREFIX}samples:5s:{QUEUE}"
MINUTES = f"{PREFIX}samples:1min:{QUEUE}"
DROPPED = f"{PREFIX}dropped:{int(time.time() // 86_400)}"
PROBE_MARK = PROBE_KEY + ":recorder"
RESULT = f"celery-task-meta-{RUN}"
#: Each key, and what puts a text there in the key's own form.
KEYS: dict[str, Callable[[Redis, bytes], None]] = {
    BEACONS_KEY: lambda client, value: _put(client.zadd, BEACONS_KEY, {value: 1e300}),
    beacon_key(WORKER): _string(beacon_key(WORKER)),
    last_key("gone@two"): _string(last_key("gone@two")),
    day_key(WORKER): _string(day_key(WORKER)),
    FACTS_KEY: _stream(FACTS_KEY),
    DEAD_KEY: _stream(DEAD_KEY),
    log_key(RUN): _list(log_key(RUN)),
    progress_key(RUN): _hash(progress_key(RUN), "progress", "written"),
    QUARANTINE_KEY: _list(QUARANTINE_KEY),
    DROPPED: _hash(DROPPED, "count", "last"),
    DROPPED + " last": lambda client, value: _put(client.hset, DROPPED, "last", value),
    HAZARDS_KEY: _string(HAZARDS_KEY),
    LATEST_KEY: _string(LATEST_KEY),
    LOOKS_KEY: _string(LOOKS_KEY),
    RING: _string(RING),
    MINUTES: _string(MINUTES),
    PROBE_KEY: _string(PROBE_KEY),
    PROBE_MARK: _string(PROBE_MARK),
    MARK_KEY: _string(MARK_KEY),
    UNACKED: _unacked,
    INDEX: lambda client, value: _put(client.zadd, INDEX, {value: 5.0}),
    BINDING: _set(BINDING),
    lists_of(QUEUE)[0]: _list(lists_of(QUEUE)[0]),
    RESULT: _string(RESULT),
}
#: Every key with every fault in `make hostile`; else each with another type and a quarter of the others, by turns.
PAIRS = [
    (key, fault)
    for place, key in enumerate(KEYS)
    for number, fault in enumerate(FAULTS)
    if os.environ.get("HOSTILE") == "large" or fault == ANOTHER_TYPE or (place + number) % 4 == 0
]
#: These are written over by whoever uses them, so nobody misses what was there.
_HEALS = {PROBE_KEY, PROBE_MARK}
#: Any text is one of theirs: places of a ring, a member of a set, a message of a queue (`test_queues_pages`), a fact
#: (set aside by itself), the name of a worker that does not beat.
_TAKES_ANY = {
    day_key(WORKER), RING, MINUTES, INDEX, UNACKED, BINDING, FACTS_KEY, DEAD_KEY, QUARANTINE_KEY, BEACONS_KEY,
    lists_of(QUEUE)[0],
}  # fmt: skip
#: What only a database that was restored asks for.
_WHEN_RESTORED = {RESULT}


@pytest.fixture
def console(redis: Redis) -> Redis:
    """One worker at a run, one that is gone, and everything that the console reads as it ought to be."""
    now = time.time()
    hold("recorder", "r")
    Run.objects.create(
        task_id=RUN, task_name="tests.add", queue=QUEUE, guaranteed=True, state=State.RUNNING, attempt=1,
        worker=WORKER, claimed_at=timezone.now() - timedelta(seconds=CLAIM_GRACE + 60), accepted_at=timezone.now(),
    )  # fmt: skip
    Run.objects.create(
        task_id="waits", task_name="tests.add", queue="reports", guaranteed=True, state=State.QUEUED, attempt=0,
        arguments="[[1, 2], {}]", publish_after=timezone.now(), published_at=timezone.now(), accepted_at=timezone.now(),
    )  # fmt: skip
    for name, values in ((WORKER, {"running": {RUN: 1}, "started": {RUN: [now - 60, 0]}}), ("gone@two", {})):
        text = json.dumps(told(name, **values))
        redis.set(last_key(name), text)
        redis.zadd(BEACONS_KEY, {name: now})
        if name == WORKER:
            redis.set(beacon_key(name), text)
    note_dropped(redis, now, "t", WORKER)
    write_samples(redis, {QUEUE: Point(ready=1, seconds=5)}, Latest(now))
    redis.rpush(lists_of(QUEUE)[0], message(published_at=now))
    redis.rpush(log_key(RUN), json.dumps([now, "INFO", 1, "a line"]))
    redis.hset(progress_key(RUN), "written", 1)
    redis.sadd(BINDING, "celery\x06\x16\x06\x16strange")
    return redis


def spoiled(client: Redis, key: str, fault: str) -> None:
    """Put the fault there."""
    if fault != ANOTHER_TYPE:
        KEYS[key](client, TEXTS[fault])
        return
    client.delete(key.split(" ")[0])
    kind = client.sadd if KEYS[key] is not KEYS[BINDING] else client.set
    kind(key.split(" ")[0], "something else")


def chores() -> dict[str, Callable[[], object]]:
    """Everything that the recorder does, once each."""
    client = steady_client()
    reaper, ingest, sampler = Reaper(client), Ingest(client), Sampler(client)

    def reap() -> None:
        reaper.step()
        reaper._probed_since = time.monotonic() - 2 * PROBE_STEADY
        for _ in range(3):
            reaper.step()

    def look_again() -> None:
        Lease.objects.filter(name="books").update(renewed_at=timezone.now() - timedelta(hours=1))
        Books(client).look()

    return {
        "watch": Watch(client).step,
        "sample": sampler.step,
        "reap": reap,
        "ingest": lambda: [ingest.step(wait=0.01) for _ in range(4)],
        "dispatch": Dispatcher(current_app, client).step,
        "inspect": Inspection(client).step,
        "restored": look_again,
    }


OVERVIEW = ("/admin/",)
WORKERS = (
    "/admin/jobs/run/workers/",
    f"/admin/jobs/run/workers/worker/?name={WORKER}",
    f"/admin/jobs/run/workers/worker/?name={WORKER}&range=24h",
    f"/admin/jobs/run/workers/worker/ask/?name={WORKER}&verb=shutdown",
)
QUEUES = (
    "/admin/jobs/run/queues/",
    f"/admin/jobs/run/queues/queue/?name={QUEUE}",
    "/admin/jobs/run/waits/change/",
)
OF_RUN = tuple(f"/admin/jobs/run/{RUN}/{page}" for page in ("change/", "live/", "log/", "log.txt", "cancel/"))
ASIDE = ("/admin/jobs/run/set-aside/", "/admin/jobs/run/set-aside/messages/")
OTHERS = (
    "/admin/jobs/run/",
    "/admin/jobs/run/overview/live/",
    "/admin/jobs/run/queues/live/",
    "/admin/jobs/run/workers/live/",
    "/admin/jobs/run/catalog/jobs.library.diagnostics.self_check/start/",
    "/admin/search/?s=w",
    "/readyz",
)
#: Who reads a key besides the Overview; where none is named, the pages of queues and of what waits there.
READ_BY = {
    **dict.fromkeys((BEACONS_KEY, beacon_key(WORKER)), WORKERS + QUEUES),
    **dict.fromkeys((last_key("gone@two"), day_key(WORKER)), WORKERS),
    **dict.fromkeys((FACTS_KEY, DEAD_KEY, QUARANTINE_KEY, DROPPED, DROPPED + " last"), ASIDE),
    **dict.fromkeys((log_key(RUN), progress_key(RUN)), OF_RUN),
}


def look_at(browser: Client, pages: tuple[str, ...]) -> None:
    """Open them; a worker of which nobody hears has no page."""
    for address in pages:
        response = browser.get(address)
        assert response.status_code in {200, 204, 302, *({404} if "worker" in address else ())}, address
        assert breaker.away() is None, f"{address}: Redis is well"


@pytest.mark.parametrize(("key", "fault"), PAIRS)
def test_no_page_ends_by_what_lies_there(console: Redis, ana: Client, key: str, fault: str) -> None:
    spoiled(console, key, fault)
    look_at(ana, READ_BY.get(key, QUEUES))
    shown = ana.get("/admin/").content.decode()
    if (fault == ANOTHER_TYPE or key not in _TAKES_ANY) and key not in _HEALS | _WHEN_RESTORED | {MARK_KEY, BINDING}:
        assert "hazard:jobs.W024" in shown, "what cannot be read is told"
        assert key.split(" ")[0] in shown


@pytest.mark.parametrize("fault", FAULTS)
def test_no_page_ends_where_everything_is_spoiled(console: Redis, ana: Client, fault: str) -> None:
    for key in KEYS:
        spoiled(console, key, fault)
    look_at(ana, OVERVIEW + WORKERS + QUEUES + OF_RUN + ASIDE + OTHERS)


@pytest.mark.parametrize(("key", "fault"), PAIRS)
def test_no_chore_of_the_recorder_ends_by_what_lies_there(
    console: Redis, key: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.recorder.dispatch.Dispatcher._send", lambda *_: None)
    spoiled(console, key, fault)
    for name, step in chores().items():
        try:
            step()
        except RedisError:
            # Whoever cannot read a single fact waits, and says so; everything else goes on.
            assert (name, key, fault) == ("ingest", FACTS_KEY, ANOTHER_TYPE)
        if name == "inspect":
            run = Run.objects.get(task_id=RUN)
            assert run.state == State.RUNNING, f"nobody knows that its worker is gone ({run.state_note})"
    Inspection(steady_client()).step()
    hazards = json.loads(console.get(HAZARDS_KEY) or b"[]")
    known = {hazard["id"] for hazard in hazards}
    if key == MARK_KEY and fault != "a number":
        assert "jobs.W024" in known, "what the recorder cannot read is told"
    if fault == ANOTHER_TYPE and key in {FACTS_KEY, RING, BEACONS_KEY, beacon_key(WORKER)}:
        assert "jobs.W024" in known, "what the recorder cannot read is told"


@pytest.mark.parametrize("fault", FAULTS)
def test_the_proof_of_a_start_is_not_stopped_by_one_odd_beacon(console: Redis, fault: str) -> None:
    """What `make up` waits for: it finds the worker that does listen."""
    spoiled(console, beacon_key(WORKER), fault)
    console.zadd(BEACONS_KEY, {"well@one": time.time()})
    console.set(beacon_key("well@one"), json.dumps(told("well@one")))
    with pytest.raises(Exception, match="is still"):
        call_command("self_check", timeout=0.2)


def test_a_queue_whose_key_is_no_list_holds_up_no_other(redis: Redis) -> None:
    for number, queue in enumerate(("reports", QUEUE)):
        Run.objects.create(
            task_id=f"r{number}", task_name="tests.add", queue=queue, guaranteed=True, state=State.ACCEPTED,
            arguments="[[1, 2], {}]", publish_after=timezone.now(), accepted_at=timezone.now(),
        )  # fmt: skip
    redis.set(lists_of("reports")[0], "no list")
    dispatcher = Dispatcher(current_app, steady_client())
    assert [dispatcher.step(), dispatcher.step()] == [0, 1]
    states = {run.queue: run for run in Run.objects.all()}
    assert states[QUEUE].state == State.QUEUED and redis.llen(lists_of(QUEUE)[0]) >= 1
    refused = states["reports"]
    assert (refused.state, refused.publish_count) == (State.ACCEPTED, 1) and "no list" not in refused.state_note
    assert refused.state_note and refused.publish_after is not None and refused.publish_after > timezone.now()
    redis.delete(lists_of("reports")[0])
    Run.objects.update(publish_after=timezone.now())
    dispatcher.step()
    refused.refresh_from_db()
    assert refused.state == State.QUEUED
