"""Messages that end a worker of Celery's are set aside, and the worker goes on.

Celery 5.7 ends with exit code 1 on most of them, and puts some of them back first, so that every restart ends as well
(`tests/e2e/test_poison.py` has the list). Nothing is judged here: what kombu takes from Redis goes the way that it goes
in any worker of Celery's, and what breaks on that way costs one message, which is kept in `opsconsole:quarantine` for a
person to look at. The way has two halves: what came is read and reserved; once a slot of the pool is free, at once or
much later, it is given to the pool.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import redis
from billiard.einfo import ExceptionInfo
from celery import bootsteps
from celery.worker.state import task_ready
from kombu.exceptions import OperationalError
from kombu.utils import json

from jobs.fleet.broker import address, connect, key_of, key_prefix, transport_option
from jobs.fleet.quarantined import QUARANTINE_KEPT, QUARANTINE_KEY
from jobs.fleet.taken import queue_of, routes_of

logger = logging.getLogger(__name__)

#: So many characters of a message are kept.
MAX_MESSAGE = 64_000
#: An outage is no fault of the message: it is delivered again. A value that redis-py cannot send is none.
_OUTAGES = (redis.RedisError, OperationalError, OSError, MemoryError)
_NO_OUTAGE = redis.DataError


class QuarantineStep(bootsteps.StartStopStep):
    """Stands between kombu and the consumer of a worker, anew with each connection."""

    requires = ("celery.worker.consumer.connection:Connection",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        guard, controller = Quarantine(parent.hostname), parent.controller
        starting = guard.starting(controller)
        if parent.on_task_request == controller._process_task:  # a pool that counts no slots is handed each at once
            parent.on_task_request = starting
        controller._process_task = starting
        self._guard = guard

    def start(self, parent: Any) -> None:
        transport = parent.connection.transport
        if transport.driver_type != "redis":
            return
        guard = self._guard
        channel = parent.connection.default_channel
        # The answer to BRPOP, before kombu reads it as JSON. None is what Redis says when there was nothing.
        channel.client.set_response_callback("BRPOP", guard.readable)
        transport._deliver = guard.delivering(transport._deliver, channel)


class Quarantine:
    """What one worker sets aside."""

    def __init__(self, worker: str) -> None:
        self._worker = worker

    def readable(self, answer: Any, **_: Any) -> tuple[Any, Any] | None:
        """The answer to a BRPOP as kombu expects it; None when there was none, or when it was no JSON."""
        if not answer:
            return None
        queue, text = answer
        try:
            json.loads(text.decode() if isinstance(text, bytes) else text)
        except Exception as error:  # noqa: BLE001 (tagged values raise what they like)
            self._set_aside(_queue_of(_text(queue)), text, error)
            return None
        return queue, text

    def delivering(self, deliver: Callable[[Any, str], None], channel: Any) -> Callable[[Any, str], None]:
        """`deliver`, but that a message on which it breaks is set aside and acknowledged."""

        def guarded(message: Any, queue: str) -> None:
            try:
                deliver(message, queue)
            except Exception as error:  # Celery's consumer would end the worker
                if _is_outage(error):
                    raise
                self._set_aside(queue, json.dumps(message), error)
                with suppress(_NO_OUTAGE, LookupError, TypeError):  # where it has a tag, and was taken by it
                    channel.qos.ack(message["properties"]["delivery_tag"])

        return guarded

    def starting(self, controller: Any) -> Callable[[Any], None]:
        """How `controller` gives an execution to its pool, but that one on which that breaks is set aside.

        It is called when a slot is free: with the message in hand, or from the end of another execution, or by the
        timer; from there an error would end the worker, or leave the message with it and its slot taken.
        """
        process = controller._process_task

        def guarded(request: Any) -> None:
            try:
                _check_limits(request, controller.pool)
                process(request)
            except Exception as error:
                if _is_outage(error):
                    raise
                if request.time_start is not None:
                    # A pool without processes of its own has begun it: as if one of a process had told its failure.
                    request.on_failure(ExceptionInfo())
                    return
                self._set_aside(_origin(controller.app, request), json.dumps(request.message._raw), error)
                task_ready(request)
                request.acknowledge()
                if controller.pool.uses_semaphore and (release := getattr(controller, "_quick_release", None)):
                    # In the next turn: many of these may wait for the slot, and each would call the next one.
                    controller.hub.call_soon(release)

        return guarded

    def _set_aside(self, queue: str, message: str | bytes, error: Exception) -> None:
        """Raises RedisError when Redis does not take it: the message is delivered again, or was lost with Redis."""
        text = _text(message)
        # What is cut, or was no text, cannot be put back as it was.
        whole = len(text) <= MAX_MESSAGE and (isinstance(message, str) or text.encode(errors="replace") == message)
        why = f"{type(error).__name__}: {error}"[:500]
        # Its text may hold secrets, and the error's may quote it; a log has no permissions.
        kind = type(error).__name__
        logger.error(
            "A message of %d characters in the queue %s cannot be read: set aside (%s).", len(text), queue, kind
        )
        told = {"at": time.time(), "queue": queue, "worker": self._worker, "why": why, "size": len(text)}
        kept = {**told, "whole": whole, "message": text[:MAX_MESSAGE]}
        with connect(address(), timeout=5, retries=1) as client:
            pipe = client.pipeline(transaction=True)
            pipe.lpush(key_of(QUARANTINE_KEY), json.dumps(kept))
            pipe.ltrim(key_of(QUARANTINE_KEY), 0, QUARANTINE_KEPT - 1)
            pipe.execute()


def _is_outage(error: Exception) -> bool:
    return isinstance(error, _OUTAGES) and not isinstance(error, _NO_OUTAGE)


def _check_limits(request: Any, pool: Any) -> None:
    """Raise what the pool of processes would raise once one of them has begun: its timer adds the first limit."""
    try:
        hard, soft = request.time_limits
        if pool.uses_semaphore:
            float(soft or request.task.soft_time_limit or hard or request.task.time_limit or 0)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError("its time limits are no numbers") from error


def _origin(app: Any, request: Any) -> str:
    """The queue that its message says it came from; "" where the application knows none of that name."""
    info = request.delivery_info
    queue = queue_of(str(info.get("exchange") or ""), str(info.get("routing_key") or ""), routes_of(app))
    return queue if queue in app.amqp.queues else ""


def _queue_of(key: str) -> str:
    """The queue that a Redis list belongs to: without the application's prefix and the priority step."""
    name = key.removeprefix(key_prefix())
    return name.rsplit(str(transport_option("sep", "\x06\x16")), 1)[0]


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
