"""What this process last read of Redis: while Redis is away, pages show it in grey, with its age."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar

from .words import clock, duration

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Known(Generic[T]):
    """Something that was read, and when (epoch seconds)."""

    value: T
    at: float


class Remembered(Generic[T]):
    """The last values by their names, those that were not kept for longest forgotten first."""

    def __init__(self, most: int = 1) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._known: OrderedDict[str, Known[T]] = OrderedDict()

    def keep(self, value: T, at: float | None = None, name: str = "") -> T:
        """Remember it in place of what was known before; `at` is now where it is left out."""
        with self._lock:
            self._known[name] = Known(value, time.time() if at is None else at)
            self._known.move_to_end(name)
            if len(self._known) > self._most:
                self._known.popitem(last=False)
        return value

    def last(self, name: str = "") -> Known[T] | None:
        """What was kept last; None when nothing was, or when it was forgotten."""
        return self._known.get(name)

    def forget(self) -> None:
        with self._lock:
            self._known.clear()


def last_read(at: float) -> str:
    """`Last read at 14:32:04, 3 min ago`; `at` in epoch seconds."""
    return f"Last read at {clock(datetime.fromtimestamp(at, UTC))}, {age(at)} ago"


def age(at: float) -> str:
    """How long ago that was."""
    return duration(max(time.time() - at, 0.0))
