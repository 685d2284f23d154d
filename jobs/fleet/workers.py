"""The workers as pages see them: from the beacons, in bounded time, with their age; unknown is not zero."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from .beacon import Beacon, read_beacons
from .broker import RedisError, page_client

#: After Redis failed to answer, this process does not ask again for so many seconds: a page must not wait twice.
BREAKER_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Fleet:
    """What the beacons say. `known` is False when Redis did not answer; then `beacons` is empty and means nothing."""

    known: bool
    beacons: tuple[Beacon, ...] = ()
    #: The present moment on Redis' clock, epoch seconds.
    read_at: float = 0.0
    #: Seconds since Redis last answered this process; None when it never has.
    silent_for: float | None = None

    @property
    def slots(self) -> int:
        return sum(beacon.concurrency for beacon in self.beacons)

    @property
    def busy(self) -> int:
        return sum(min(len(beacon.running), beacon.concurrency) for beacon in self.beacons)

    @property
    def oldest_beat(self) -> float:
        """Age of the stalest beat, in seconds."""
        return max((self.read_at - beacon.at for beacon in self.beacons), default=0.0)


class _Breaker:
    """When this process last heard from Redis, and until when it does not ask."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.closed_until = 0.0
        self.answered_at: float | None = None

    def silent_for(self) -> float | None:
        return None if self.answered_at is None else time.monotonic() - self.answered_at


_breaker = _Breaker()


def read_fleet() -> Fleet:
    """Every worker with a burning beacon; at most 0.6 s, and at once while Redis is known to be away."""
    if time.monotonic() < _breaker.closed_until:
        return Fleet(known=False, silent_for=_breaker.silent_for())
    try:
        beacons, now = read_beacons(page_client())
    except RedisError:
        with _breaker.lock:
            _breaker.closed_until = time.monotonic() + BREAKER_SECONDS
        return Fleet(known=False, silent_for=_breaker.silent_for())
    _breaker.answered_at = time.monotonic()
    return Fleet(known=True, beacons=tuple(sorted(beacons, key=lambda b: b.worker)), read_at=now, silent_for=0.0)
