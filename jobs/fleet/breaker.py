"""One question to Redis from a page: bounded, and not asked again for a while after Redis failed to answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from .broker import Redis, RedisError, page_client

#: After Redis failed to answer, this process does not ask again for so many seconds: a page must not wait twice.
BREAKER_SECONDS = 2.0

T = TypeVar("T")


class _Breaker:
    """When this process last heard from Redis, and until when it does not ask."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.closed_until = 0.0
        self.answered_at: float | None = None

    def failed(self) -> None:
        with self.lock:
            self.closed_until = time.monotonic() + BREAKER_SECONDS

    def answered(self) -> None:
        with self.lock:
            self.answered_at = time.monotonic()


_breaker = _Breaker()


def ask(read: Callable[[Redis], T]) -> T | None:
    """What `read` makes of Redis' answer; None when Redis fails, and at once while it is known to be away.

    Args:
        read: asks the client it is given; each of its round trips waits at most 0.3 s.
    """
    if time.monotonic() < _breaker.closed_until:
        return None
    try:
        value = read(page_client())
    except RedisError:
        _breaker.failed()
        return None
    _breaker.answered()
    return value


def silent_for() -> float | None:
    """Seconds since Redis last answered this process; None when it never has."""
    return None if _breaker.answered_at is None else time.monotonic() - _breaker.answered_at
