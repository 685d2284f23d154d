"""The beacon: what each worker writes about itself into Redis every two seconds, and how others read it.

It is a thread of its own inside the worker's main process: the solo pool blocks the event loop while a task runs,
and a blocked worker must not look like a dead one. What a worker said last is kept for some hours beyond its end.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
import uuid
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from socket import gethostname
from typing import Any

from celery import bootsteps, signals
from celery.worker import state as worker_state
from django.conf import settings

from jobs.storage import storage_mark

from .broker import ATTEMPT_HEADER, BEACONS_KEY, PREFIX, RedisError, connect
from .taken import Taken
from .vitals import Vitals

logger = logging.getLogger(__name__)

#: Seconds between two beats, and how long one stays believable.
BEAT_EVERY = 2.0
BEACON_EXPIRES = 8
#: Seconds for which a vanished worker's last words are kept, and those of one that was stopped.
LAST_KEPT, STOPPED_KEPT = 6 * 3600, 3600
#: Of so many executions, those that run longest, the beacon tells what they are.
MOST_NAMED = 50


@dataclass(frozen=True, slots=True)
class Beacon:
    """One worker as it last described itself.

    Attributes:
        worker: Celery's node name.
        boot: identifies this start of the worker; a restarted one has another.
        beat: counts up from 1 with each write of this boot.
        at: epoch seconds of the beat, on Redis' clock.
        running: the executions in progress, `{task_id: n}`; n is None for a run without the console's header.
    """

    worker: str
    boot: str
    beat: int
    at: float
    pid: int
    release: str
    pool: str
    concurrency: int
    queues: tuple[str, ...]
    running: dict[str, int | None]
    #: Of those that a pool process has taken up: `[epoch seconds of the start, retries]`.
    started: dict[str, list[float]] = field(default_factory=dict)
    #: The mark of the storage in which this worker keeps files (`jobs/storage.py`); "" while it does not know.
    files: str = ""
    #: How many seconds this worker's clock is ahead of Redis'; None where its release does not tell.
    clock: float | None = None
    #: Which machine it is on (`machine_mark`); "" where its release does not tell.
    machine: str = ""
    #: Queue to the number of its executions that are at work, and of its messages taken since this boot; None where
    #: the worker's release does not tell.
    at_work: dict[str, int] | None = None
    taken: dict[str, int] | None = None
    #: Of those started that run longest: `[task name, pid of its process]`.
    tasks: dict[str, list[Any]] = field(default_factory=dict)
    host: str = ""
    #: Seconds since this start of the worker.
    up: float | None = None
    #: How many messages it takes ahead of acknowledging; 0 without a bound.
    prefetch: int | None = None
    #: Executions begun since this start, and per minute over the last minute.
    processed: int | None = None
    pace: float | None = None
    #: Seconds since it last took, began or ended anything.
    moved: float | None = None
    #: Seconds since its main loop, which answers remote commands, last turned; None where it has none.
    quiet: float | None = None
    #: Resident bytes of its main process, and of each pool process by pid; None where its system does not tell.
    memory: int | None = None
    children: dict[str, int] | None = None
    load: float | None = None
    cpus: int | None = None
    #: Its last hour, as `jobs.fleet.vitals.read_trend` reads it.
    trend: str = ""
    #: It has been told to stop and ends what it runs.
    stopping: bool = False
    #: It has stopped, orderly; only in last words.
    stopped: bool = False

    @property
    def at_once(self) -> int:
        """How many of its slots are in use."""
        return min(len(self.started), self.concurrency)

    @property
    def reserved(self) -> int:
        """What it has received and not begun."""
        return max(len(self.running) - len(self.started), 0)


_FIELDS = frozenset(one.name for one in fields(Beacon))


class BeaconStep(bootsteps.StartStopStep):
    """The worker component that keeps the beacon burning while the worker lives."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._taken = Taken(parent.app)
        self._vitals = Vitals()
        self._stopping = False
        self._turned: float | None = None

    def start(self, parent: Any) -> None:
        self._taken.listen()
        signals.worker_shutdown.connect(self._end, weak=False, dispatch_uid="opsconsole.beacon")
        if getattr(parent, "hub", None) is not None:
            self._turn()
            parent.timer.call_repeatedly(1.0, self._turn)
        self._thread = threading.Thread(target=self._beat, args=(parent,), name="beacon", daemon=True)
        self._thread.start()

    def stop(self, parent: Any) -> None:
        """A warm stop: the pool, which is stopped after this step, still ends what it runs."""
        self._stopping = True
        if not worker_state.active_requests:
            self._end()

    def terminate(self, parent: Any) -> None:
        self._end()

    def _end(self, **_: Any) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join(timeout=BEAT_EVERY)

    def _turn(self) -> None:
        """Called by the main loop."""
        self._turned = time.monotonic()

    def _beat(self, parent: Any) -> None:
        client = connect(settings.REDIS_URL, timeout=BEAT_EVERY)
        name, boot, beat, failing = parent.hostname, uuid.uuid4().hex, 0, False
        told = ""
        while True:
            beat += 1
            try:
                asked = time.time()
                seconds, micros = client.time()
                clock = (asked + time.time()) / 2
                at = seconds + micros / 1e6
                told = json.dumps(self._describe(parent, boot, beat, at, clock), separators=(",", ":"))
                pipe = client.pipeline(transaction=False)
                pipe.set(beacon_key(name), told, ex=BEACON_EXPIRES)
                pipe.set(last_key(name), told, ex=LAST_KEPT)
                pipe.zadd(BEACONS_KEY, {name: at})
                pipe.zremrangebyscore(BEACONS_KEY, "-inf", at - 86_400)
                pipe.execute()
                failing = False
            except (RedisError, RuntimeError) as error:  # a set of Celery's may change while it is read
                if not failing:
                    logger.warning("Beacon: this beat is left out (%s); trying on.", error)
                failing = True
            if self._ended.wait(BEAT_EVERY):
                break
        try:
            # An orderly stop leaves no beacon behind, so nobody waits for its expiry.
            pipe = client.pipeline(transaction=False)
            pipe.delete(beacon_key(name))
            if told:
                last = {**json.loads(told), "running": {}, "started": {}, "tasks": {}, "stopped": True}
                pipe.set(last_key(name), json.dumps(last), ex=STOPPED_KEPT)
            pipe.execute()
        except RedisError:
            logger.info("Beacon: not removed, it expires in %s s.", BEACON_EXPIRES)

    def _describe(self, parent: Any, boot: str, beat: int, at: float, clock: float) -> dict[str, Any]:
        active = [request for request in list(worker_state.active_requests) if request.time_start]
        slots = _slots(parent)
        return {
            "worker": parent.hostname,
            "boot": boot,
            "beat": beat,
            "at": at,
            "pid": os.getpid(),
            "host": gethostname(),
            "release": settings.RELEASE,
            "pool": type(parent.pool).__module__.rsplit(".", 1)[-1],
            "concurrency": slots,
            "prefetch": _prefetch(parent),
            "queues": _queues(parent),
            "files": storage_mark.text(),
            "clock": round(clock - at, 3),
            "machine": machine_mark(),
            "running": running_executions(),
            "started": {
                request.id: [request.time_start, int(request.request_dict.get("retries") or 0)] for request in active
            },
            "tasks": {
                request.id: [str(request.name)[:255], request.worker_pid]
                for request in sorted(active, key=lambda one: one.time_start)[:MOST_NAMED]
            },
            "at_work": self._taken.by_queue(active),
            "taken": self._taken.counts(),
            "quiet": None if self._turned is None else round(time.monotonic() - self._turned, 1),
            "stopping": self._stopping or worker_state.should_stop is not None,
            **self._vitals.measure(parent.pool, slots, [request.id for request in active]),
        }


def _slots(parent: Any) -> int:
    """How much it can run at a time now: a pool may have been grown or shrunk."""
    return int(getattr(parent.pool, "num_processes", None) or parent.concurrency)


def _queues(parent: Any) -> list[str]:
    """What it listens to now, which remote commands may have changed; what it was told to while it is connecting."""
    listens = getattr(getattr(parent, "consumer", None), "task_consumer", None)
    if listens is None:
        return sorted(parent.app.amqp.queues.consume_from)
    return sorted(queue.name for queue in list(listens.queues))


def _prefetch(parent: Any) -> int | None:
    value = getattr(getattr(getattr(parent, "consumer", None), "qos", None), "value", None)
    return None if value is None else int(value)


def running_executions() -> dict[str, int | None]:
    """What this worker executes or has reserved, `{task_id: n}`; called in the worker's main process.

    Reserved requests are included: a pool child may claim its run a moment before the main process hears of it.
    """
    requests = set(worker_state.active_requests) | set(worker_state.reserved_requests)
    return {request.id: _execution_number(request.request_dict) for request in requests}


def _execution_number(headers: dict[str, Any]) -> int | None:
    attempt = headers.get(ATTEMPT_HEADER)
    return None if attempt is None else int(attempt) + int(headers.get("retries") or 0)


@cache
def machine_mark() -> str:
    """The same text for every process, in whatever container, that one kernel runs; else the host's name."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return gethostname()


def beacon_key(worker: str) -> str:
    return f"{PREFIX}beacon:{worker}"


def last_key(worker: str) -> str:
    return f"{PREFIX}last:{worker}"


def read_beacons(client: Any) -> tuple[list[Beacon], float]:
    """Every burning beacon, and the present moment on Redis' clock (epoch seconds); two round trips.

    Raises:
        RedisError: Redis did not answer in time.
    """
    names: list[str] = client.zrange(BEACONS_KEY, 0, -1)
    pipe = client.pipeline(transaction=False)
    pipe.time()
    if names:
        pipe.mget([beacon_key(name) for name in names])
    (seconds, micros), *answers = pipe.execute()
    texts: list[str | None] = answers[0] if answers else []
    return [parsed(text) for text in texts if text is not None], seconds + micros / 1e6


def parsed(text: str) -> Beacon:
    """A beacon from what its worker wrote."""
    values = json.loads(text)
    for unknown in values.keys() - _FIELDS:  # a worker of a later release may tell more than this one knows
        del values[unknown]
    values["queues"] = tuple(values["queues"])
    return Beacon(**values)
