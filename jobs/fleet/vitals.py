"""What a worker's main process tells of its own body: memory, load, pace, its last hour. Nothing here asks Redis."""

from __future__ import annotations

import os
import time
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import Any

from celery.worker import state as worker_state

#: The last hour is told in so many points of so many seconds.
TREND_POINTS, TREND_STEP = 60, 60
#: The pace is measured over so many seconds.
PACE_WINDOW = 60
_POINT = Struct("<HB")
_UNKNOWN = 0xFFFF
_MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class TrendPoint:
    """One minute of a worker: bytes of memory at most, None where nobody tells, and the share of its slots in use."""

    memory: int | None
    busy: float


class Vitals:
    """One for each start of a worker; `measure` is called at each beat and takes well under a millisecond."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._totals: deque[tuple[float, int]] = deque()
        self._seen: tuple[int, frozenset[str]] = (0, frozenset())
        self._moved = self._began
        self._points: deque[tuple[int, int]] = deque(maxlen=TREND_POINTS)
        self._minute = -1
        self._beats: list[float] = []

    def measure(self, pool: Any, slots: int, started: list[str]) -> dict[str, Any]:
        """The beacon's fields about memory, load, pace and movement.

        Args:
            slots: how much it can run at a time.
            started: the ids of what it runs.
        """
        now = time.monotonic()
        total = worker_state.all_total_count[0]
        own, children = _memory(os.getpid()), _children(pool)
        self._note_movement(now, total, started)
        self._note_trend(now, own, children, len(started) / max(slots, 1))
        return {
            "up": round(now - self._began, 1),
            "processed": total,
            "pace": self._pace(now, total),
            "moved": round(now - self._moved, 1),
            "memory": own,
            "children": children,
            "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
            "cpus": os.cpu_count(),
            "trend": b64encode(b"".join(_POINT.pack(*point) for point in self._points)).decode(),
        }

    def _note_movement(self, now: float, total: int, started: list[str]) -> None:
        held = frozenset([*started, *(request.id for request in list(worker_state.reserved_requests))])
        if (total, held) != self._seen:
            self._seen, self._moved = (total, held), now

    def _pace(self, now: float, total: int) -> float:
        """Executions begun per minute, over the last minute or since the start."""
        self._totals.append((now, total))
        while len(self._totals) > 2 and now - self._totals[1][0] >= PACE_WINDOW:
            self._totals.popleft()
        since, before = self._totals[0]
        return round((total - before) * 60 / (now - since), 1) if now - since >= 1 else 0.0

    def _note_trend(self, now: float, own: int | None, children: dict[str, int] | None, busy: float) -> None:
        minute = int((now - self._began) // TREND_STEP)
        before = self._points[-1][0] if self._points and minute == self._minute else _UNKNOWN
        if minute == self._minute:
            self._points.pop()
        else:
            self._minute, self._beats = minute, []
        self._beats.append(min(busy, 1.0))
        memory = packed_memory(None if own is None else own + sum((children or {}).values()))
        if _UNKNOWN not in (memory, before):
            memory = max(memory, before)
        self._points.append((memory, round(100 * sum(self._beats) / len(self._beats))))


def read_trend(text: str) -> tuple[TrendPoint, ...]:
    """The minutes of a beacon's trend, oldest first; none where it cannot be read."""
    return tuple(TrendPoint(read_memory(memory), busy / 100) for memory, busy in _POINT.iter_unpack(_packed(text)))


def read_busy(text: str) -> bytes:
    """Of each minute of a beacon's trend only the slots in use, in per cent: lists draw a thousand of them."""
    return _packed(text)[_POINT.size - 1 :: _POINT.size]


def _packed(text: str) -> bytes:
    try:
        packed = b64decode(text, validate=True)
    except (NotBase64, ValueError):
        return b""
    return packed[: len(packed) // _POINT.size * _POINT.size]


def packed_memory(memory: int | None) -> int:
    """Bytes as the trends keep them: in megabytes, at most 65,534."""
    return _UNKNOWN if memory is None else min(memory // _MEGABYTE, _UNKNOWN - 1)


def read_memory(packed: int) -> int | None:
    """The bytes of `packed_memory`; None where nobody told."""
    return None if packed == _UNKNOWN else packed * _MEGABYTE


def _memory(pid: int) -> int | None:
    """Resident bytes of a process; None where the system does not tell, and when it has just ended."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_bytes().split()[1]
    except (OSError, IndexError):
        return None
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _children(pool: Any) -> dict[str, int] | None:
    """Resident bytes of each pool process by its pid; None where that is not known, empty for a pool without any."""
    processes = getattr(getattr(pool, "_pool", None), "_pool", None)
    if not isinstance(processes, list):
        return {} if _memory(os.getpid()) is not None else None
    told = {str(process.pid): _memory(process.pid) for process in list(processes) if process.pid}
    known = {pid: memory for pid, memory in told.items() if memory is not None}
    return known if known or not told else None
