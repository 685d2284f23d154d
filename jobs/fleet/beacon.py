"""The beacon: what each worker writes about itself into Redis every two seconds, and how others read it.

It is a thread of its own inside the worker's main process: the solo pool blocks the event loop while a task runs,
and a blocked worker must not look like a dead one.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import uuid
from dataclasses import dataclass, field, fields
from typing import Any

from celery import bootsteps
from celery.worker import state as worker_state
from django.conf import settings

from jobs.storage import storage_mark

from .broker import ATTEMPT_HEADER, BEACONS_KEY, PREFIX, RedisError, connect

logger = logging.getLogger(__name__)

#: Seconds between two beats, and how long one stays believable.
BEAT_EVERY = 2.0
BEACON_EXPIRES = 8


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


_FIELDS = frozenset(one.name for one in fields(Beacon))


class BeaconStep(bootsteps.StartStopStep):
    """The worker component that keeps the beacon burning while the worker lives."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, parent: Any) -> None:
        self._stop.clear()
        self._thread = threading.Thread(target=self._beat, args=(parent,), name="beacon", daemon=True)
        self._thread.start()

    def stop(self, parent: Any) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=BEAT_EVERY)

    terminate = stop

    def _beat(self, parent: Any) -> None:
        client = connect(settings.REDIS_URL, timeout=BEAT_EVERY)
        boot, beat, failing = uuid.uuid4().hex, 0, False
        while True:
            beat += 1
            try:
                seconds, micros = client.time()
                at = seconds + micros / 1e6
                pipe = client.pipeline(transaction=False)
                pipe.set(
                    beacon_key(parent.hostname), json.dumps(self._describe(parent, boot, beat, at)), ex=BEACON_EXPIRES
                )
                pipe.zadd(BEACONS_KEY, {parent.hostname: at})
                pipe.zremrangebyscore(BEACONS_KEY, "-inf", at - 86_400)
                pipe.execute()
                failing = False
            except RedisError as error:
                if not failing:
                    logger.warning("Beacon: Redis did not take the beat (%s); trying on.", error)
                failing = True
            if self._stop.wait(BEAT_EVERY):
                break
        try:
            # A warm stop leaves no beacon behind, so nobody waits for its expiry.
            client.delete(beacon_key(parent.hostname))
        except RedisError:
            logger.info("Beacon: not removed, it expires in %s s.", BEACON_EXPIRES)

    def _describe(self, parent: Any, boot: str, beat: int, at: float) -> dict[str, Any]:
        return {
            "worker": parent.hostname,
            "boot": boot,
            "beat": beat,
            "at": at,
            "pid": os.getpid(),
            "release": settings.RELEASE,
            "pool": type(parent.pool).__module__.rsplit(".", 1)[-1],
            "concurrency": parent.concurrency,
            "queues": sorted(parent.app.amqp.queues.consume_from),
            "files": storage_mark.text(),
            "running": running_executions(),
            "started": {
                request.id: [request.time_start, int(request.request_dict.get("retries") or 0)]
                for request in list(worker_state.active_requests)
                if request.time_start
            },
        }


def running_executions() -> dict[str, int | None]:
    """What this worker executes or has reserved, `{task_id: n}`; called in the worker's main process.

    Reserved requests are included: a pool child may claim its run a moment before the main process hears of it.
    """
    requests = set(worker_state.active_requests) | set(worker_state.reserved_requests)
    return {request.id: _execution_number(request.request_dict) for request in requests}


def _execution_number(headers: dict[str, Any]) -> int | None:
    attempt = headers.get(ATTEMPT_HEADER)
    return None if attempt is None else int(attempt) + int(headers.get("retries") or 0)


def beacon_key(worker: str) -> str:
    return f"{PREFIX}beacon:{worker}"


def read_beacons(client: Any) -> tuple[list[Beacon], float]:
    """Every burning beacon, and the present moment on Redis' clock (epoch seconds); two round trips.

    Raises:
        RedisError: Redis did not answer in time.
    """
    names: list[str] = client.zrange(BEACONS_KEY, 0, -1)
    pipe = client.pipeline(transaction=False)
    pipe.time()
    for name in names:
        pipe.get(beacon_key(name))
    (seconds, micros), *texts = pipe.execute()
    beacons = []
    for text in texts:
        if text is not None:
            values = json.loads(text)
            # A worker of a later release may tell more than this one knows.
            known = {name: value for name, value in values.items() if name in _FIELDS}
            beacons.append(Beacon(**{**known, "queues": tuple(values["queues"])}))
    return beacons, seconds + micros / 1e6
