"""One question to Redis from a page: bounded, and not asked again for a while after Redis failed to answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from .broker import Redis, RedisError, RedisUnknown, page_client
from .entries import is_of_another_type

#: After Redis failed to answer, this process does not ask again for so many seconds: a page must not wait twice.
BREAKER_SECONDS = 2.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Away:
    """That Redis fails this process: for how many seconds, counted from the first failure, and whether it refuses the
    password."""

    seconds: float
    unknown: bool


class _Breaker:
    """When this process last heard from Redis, since when it fails and how, and until when it does not ask."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.closed_until = 0.0
        self.answered_at: float | None = None
        self.failed_since: float | None = None
        self.unknown = False

    def failed(self, error: RedisError) -> None:
        with self.lock:
            now = time.monotonic()
            self.closed_until = now + BREAKER_SECONDS
            self.failed_since = now if self.failed_since is None else self.failed_since
            self.unknown = isinstance(error, RedisUnknown)

    def answered(self) -> None:
        with self.lock:
            self.answered_at = time.monotonic()
            self.failed_since = None


_breaker = _Breaker()


def ask(read: Callable[[Redis], T]) -> T | None:
    """What `read` makes of Redis' answer; None when Redis fails, and at once while it is known to be away.

    None also where a key holds something else than `read` asks for: Redis is well then, and is asked again.

    Args:
        read: asks the client it is given; each of its round trips waits at most 0.3 s.
    """
    if time.monotonic() < _breaker.closed_until:
        return None
    try:
        value = read(page_client())
    except RedisError as error:
        if is_of_another_type(error):
            _breaker.answered()
        else:
            _breaker.failed(error)
        return None
    _breaker.answered()
    return value


def silent_for() -> float | None:
    """Seconds since Redis last answered this process; None when it never has."""
    return None if _breaker.answered_at is None else time.monotonic() - _breaker.answered_at


def away() -> Away | None:
    """Since when and how Redis fails this process; None when the last answer was one."""
    with _breaker.lock:
        since, unknown = _breaker.failed_since, _breaker.unknown
    return None if since is None else Away(time.monotonic() - since, unknown)
