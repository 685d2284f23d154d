"""Writing the beacon: the component of a worker that tells of it every two seconds.

It is a thread of its own inside the worker's main process: the solo pool blocks the event loop while a task runs,
and a blocked worker must not look like a dead one.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from socket import gethostname
from typing import Any

from celery import bootsteps, signals
from celery.worker import state as worker_state

from jobs.compat import has_django, settings
from jobs.storage import storage_mark

from .beacon import (
    BEACON_EXPIRES,
    BEAT_EVERY,
    LAST_KEPT,
    STOPPED_KEPT,
    beacon_key,
    begin_process,
    entry_of,
    last_key,
    machine_mark,
    parsed,
)
from .broker import BEACONS_KEY, RedisError, address, connect, key_of
from .day import Day, day_key
from .headers import count, execution_number, recorded_id
from .taken import Taken
from .vitals import Vitals

logger = logging.getLogger(__name__)

#: Of so many executions, those that run longest, the beacon tells what they are.
MOST_NAMED = 50

# A worker that is started again takes the place of those of its name that beat no more: what they said last is dropped.
_FOLLOW = """
local mine, name = ARGV[1], ARGV[2]
for _, entry in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local its = string.match(entry, '^%x+:(.*)$')
  if entry ~= mine and (entry == name or (its == name and #entry == #name + 33)) then
    if redis.call('EXISTS', ARGV[3] .. entry) == 0 then
      redis.call('DEL', ARGV[4] .. entry)
      redis.call('ZREM', KEYS[1], entry)
    end
  end
end
"""


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
        # Before the pool forks: its processes claim in the name of this one.
        self._boot = begin_process()

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
        client = connect(address(), timeout=BEAT_EVERY)
        name, boot, beat, failing = parent.hostname, self._boot, 0, False
        told, day, entry = "", Day(name, LAST_KEPT), entry_of(name, boot)
        while True:
            beat += 1
            try:
                asked = time.time()
                seconds, micros = client.time()
                clock = (asked + time.time()) / 2
                at = seconds + micros / 1e6
                told = json.dumps(self._describe(parent, boot, beat, at, clock), separators=(",", ":"))
                pipe = client.pipeline(transaction=False)
                if beat == 1:
                    pipe.eval(_FOLLOW, 1, key_of(BEACONS_KEY), entry, name, beacon_key(""), last_key(""))
                pipe.set(beacon_key(name, boot), told, ex=BEACON_EXPIRES)
                pipe.set(last_key(name, boot), told, ex=LAST_KEPT)
                pipe.zadd(key_of(BEACONS_KEY), {entry: at})
                pipe.zremrangebyscore(key_of(BEACONS_KEY), "-inf", at - LAST_KEPT)
                whole = parsed(told)
                day.note(pipe, at, whole.body, whole.at_once / max(whole.concurrency, 1))
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
            pipe.delete(beacon_key(name, boot))
            if told:
                last = {**json.loads(told), "running": {}, "started": {}, "tasks": {}, "holds": 0, "stopped": True}
                pipe.set(last_key(name, boot), json.dumps(last), ex=STOPPED_KEPT)
                pipe.expire(day_key(name), STOPPED_KEPT)
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
            # A program without Django opens no database of the console, wherever it is.
            "machine": machine_mark() if has_django() else "",
            "running": running_executions(),
            "holds": _holds(parent),
            "started": {
                recorded_id(request.id): [request.time_start, count(request.request_dict.get("retries")) or 0]
                for request in active
            },
            "tasks": {
                recorded_id(request.id): [str(request.name)[:255], request.worker_pid]
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


def _holds(parent: Any) -> int:
    """How many messages of this connection it has neither acknowledged nor named among its executions."""
    channel = getattr(getattr(getattr(parent, "consumer", None), "task_consumer", None), "channel", None)
    qos = getattr(channel, "qos", None)
    if qos is None:
        return 0
    delivered, acknowledged = qos._delivered, qos._dirty
    named = {request.message.delivery_tag for request in _executions()}
    # In one step where many may be held: the main loop writes into both meanwhile.
    return sum(tag not in named and tag not in acknowledged for tag in tuple(delivered))


def _executions() -> set[Any]:
    return set(worker_state.active_requests) | set(worker_state.reserved_requests)


def running_executions() -> dict[str, int | None]:
    """What this worker executes or has reserved, `{task_id: n}`; called in the worker's main process.

    Reserved requests are included: a pool child may claim its run a moment before the main process hears of it.
    """
    return {recorded_id(request.id): execution_number(request.request_dict) for request in _executions()}
