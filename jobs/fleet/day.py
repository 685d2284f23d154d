"""The last day of a worker in minutes: a ring of fixed length in Redis, which the worker itself writes at each beat.

It bears the worker's name, so it goes on where the worker is started again. A minute has its place, which the next day
writes over; every place bears the lap that wrote it, so a time without a beat is unknown and never an old number. 8 KB
for a worker, 8 MB for a thousand; it goes with the worker's last words.
"""

from __future__ import annotations

from struct import Struct
from typing import Any

from .broker import PREFIX, Redis, key_of, undecoded
from .entries import ask_entry
from .vitals import TREND_STEP, TrendPoint, packed_memory, read_memory

#: So many minutes are kept.
DAY_POINTS = 1440
_PLACE = Struct("<HHB")


class Day:
    """What a worker keeps of the minute that goes on; one for each start of it."""

    def __init__(self, worker: str, kept: int) -> None:
        """The ring is kept for `kept` seconds beyond the last beat."""
        self._key, self._kept = day_key(worker), kept
        self._minute = -1
        self._most: int | None = None
        self._beats: list[float] = []

    def note(self, pipe: Any, at: float, memory: int | None, busy: float) -> None:
        """Add one beat to its minute, and put the writing of it into a pipeline.

        Args:
            at: epoch seconds on Redis' clock.
            memory: bytes; None where nobody tells.
            busy: the share of its slots in use.
        """
        minute = int(at // TREND_STEP)
        if minute != self._minute:
            self._minute, self._most, self._beats = minute, None, []
        self._beats.append(min(busy, 1.0))
        if memory is not None:
            self._most = max(memory, self._most or 0)
        share = round(100 * sum(self._beats) / len(self._beats))
        place = _PLACE.pack(_lap(minute), packed_memory(self._most), share)
        # As long as it becomes at once: Redis reserves twice the length of a string that it has to make longer.
        pipe.setrange(self._key, DAY_POINTS * _PLACE.size, b"\0")
        pipe.setrange(self._key, minute % DAY_POINTS * _PLACE.size, place)
        pipe.expire(self._key, self._kept)


def day_key(worker: str) -> str:
    return key_of(f"{PREFIX}day:{worker}")


def read_day(client: Redis, worker: str, now: float) -> tuple[TrendPoint | None, ...]:
    """Its last day, oldest minute first, None where it was not heard; the last one is that of `now`. One round trip.

    Raises:
        RedisError: Redis did not answer in time.
    """
    key = day_key(worker)
    ring = ask_entry(key, lambda: undecoded(client, "GETRANGE", key, 0, DAY_POINTS * _PLACE.size - 1), bytes, b"")
    places = list(_PLACE.iter_unpack(ring.ljust(DAY_POINTS * _PLACE.size, b"\0")))
    last = int(now // TREND_STEP)
    points: list[TrendPoint | None] = []
    for minute in range(last - DAY_POINTS + 1, last + 1):
        lap, memory, busy = places[minute % DAY_POINTS]
        points.append(TrendPoint(read_memory(memory), min(busy, 100) / 100) if lap == _lap(minute) else None)
    return tuple(points)


def _lap(minute: int) -> int:
    """Which day writes this place: never 0, which an unwritten place bears."""
    return minute // DAY_POINTS % 65_535 + 1
