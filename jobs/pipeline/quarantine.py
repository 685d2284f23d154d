"""Messages that a worker cannot even read are set aside, and the worker goes on.

Celery 5.7 ends with exit code 1 on most of them, and puts some of them back first, so that every restart ends as well
(`tests/e2e/test_poison.py` has the list). What kombu takes from Redis passes here first; whatever breaks on the way
from there to the pool costs one message, which is kept in `opsconsole:quarantine` for a person to look at.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import redis
from celery import bootsteps
from django.conf import settings
from kombu.exceptions import OperationalError
from kombu.utils import json

from jobs.fleet.broker import connect, transport_option
from jobs.fleet.quarantined import QUARANTINE_KEPT, QUARANTINE_KEY

logger = logging.getLogger(__name__)

#: So many characters of a message are kept.
MAX_MESSAGE = 64_000
#: Headers that become facts: one of another type would hold up the facts of everybody else.
_TEXTS = ("id", "root_id", "parent_id", "group", "periodic_task_name", "origin")
_LONGEST = 255
_NUMBERS = {"retries": 2**31}
#: An outage is no fault of the message: it is delivered again.
_OUTAGES = (redis.RedisError, OperationalError, OSError, MemoryError)


class QuarantineStep(bootsteps.StartStopStep):
    """Stands between kombu and the consumer of a worker, anew with each connection."""

    requires = ("celery.worker.consumer.connection:Connection",)

    def start(self, parent: Any) -> None:
        transport = parent.connection.transport
        if transport.driver_type != "redis":
            return
        guard = Quarantine(parent.hostname)
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
                _check(message)
                deliver(message, queue)
            except _OUTAGES:
                raise
            except Exception as error:  # noqa: BLE001 (Celery's consumer would end the worker)
                self._set_aside(queue, json.dumps(message), error)
                if (tag := _tag(message)) is not None:
                    channel.qos.ack(tag)

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
        with connect(settings.REDIS_URL, timeout=5, retries=1) as client:
            pipe = client.pipeline(transaction=True)
            pipe.lpush(QUARANTINE_KEY, json.dumps(kept))
            pipe.ltrim(QUARANTINE_KEY, 0, QUARANTINE_KEPT - 1)
            pipe.execute()


def _check(message: Any) -> None:
    """Raise ValueError for what Celery takes and we, or a pool process, would break on later."""
    if not isinstance(message, dict) or not isinstance(message.get("properties"), dict):
        raise ValueError("no message of Celery's")
    if _tag(message) is None:
        raise ValueError("a message without a delivery tag")
    headers = message.get("headers")
    if not isinstance(headers, dict) or "task" not in headers:
        return  # of protocol 1, or unknown: Celery drops it with a word in its log
    if headers.get("id") is None:
        raise ValueError("it has no id")
    for name in _TEXTS:
        value = headers.get(name)
        if value is not None and not (isinstance(value, str) and len(value) <= _LONGEST):
            raise ValueError(f"its header {name} is no text of at most {_LONGEST} characters")
    for name, below in _NUMBERS.items():
        value = headers.get(name)
        if value is not None and not (isinstance(value, int | float) and 0 <= value < below):
            raise ValueError(f"its header {name} is no number that can be")
    if any(not isinstance(limit, int | float | None) for limit in headers.get("timelimit") or ()):
        raise ValueError("its time limits are no numbers")


def _tag(message: Any) -> str | None:
    properties = message.get("properties") if isinstance(message, dict) else None
    tag = properties.get("delivery_tag") if isinstance(properties, dict) else None
    return tag if isinstance(tag, str) else None


def _queue_of(key: str) -> str:
    """The queue that a Redis list belongs to: without the application's prefix and the priority step."""
    name = key.removeprefix(str(transport_option("global_keyprefix", "")))
    return name.rsplit(str(transport_option("sep", "\x06\x16")), 1)[0]


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
