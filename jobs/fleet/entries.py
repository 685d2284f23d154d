"""What Redis holds is untrusted: another release, another program or a person may have written it.

Each kind of entry has one function that reads it, and `read` runs it: an entry that cannot be read is left out, noted
for a while, and told among what is wrong. It ends no process and no page.
"""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from jobs.text import safe_text

from .broker import RedisError, RedisRefused

#: An entry is told for so many seconds after it was last met.
TOLD_FOR = 60.0
#: No more different ones are noted.
MOST_NOTED = 1000
#: What is longer than this is not read, in bytes.
LONGEST = 8_000_000
_LONGEST_KEY, _LONGEST_WHY = 255, 200
#: What functions that read raise at what they cannot read.
UNREADABLE = (
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    RecursionError,
    struct.error,
)
ANOTHER_TYPE = "it is of another type"

T = TypeVar("T")
D = TypeVar("D")


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An entry that this process could not read: its key, cut, and why not."""

    key: str
    why: str


class _Noted:
    """The unreadable entries that this process has met lately, with the moment on its monotonic clock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._met: dict[str, tuple[float, str]] = {}

    def add(self, key: str, why: str) -> None:
        with self._lock:
            if key in self._met or len(self._met) < MOST_NOTED:
                self._met[key] = time.monotonic(), why

    def lately(self) -> list[Unreadable]:
        since = time.monotonic() - TOLD_FOR
        with self._lock:
            self._met = {key: met for key, met in self._met.items() if met[0] > since}
            return [Unreadable(key, why) for key, (_, why) in sorted(self._met.items())]

    def clear(self) -> None:
        with self._lock:
            self._met.clear()


_noted = _Noted()


def note_unreadable(key: str, why: str) -> None:
    """Remember for TOLD_FOR seconds that the entry `key` cannot be read."""
    _noted.add(safe_text(key)[:_LONGEST_KEY], safe_text(why)[:_LONGEST_WHY])


def unreadable_lately() -> list[Unreadable]:
    """What this process could not read within the last TOLD_FOR seconds, by key."""
    return _noted.lately()


def forget_unreadable() -> None:
    """Nothing was met so far; for a new Redis."""
    _noted.clear()


def read(key: str, answer: Any, parse: Callable[[Any], T], otherwise: D) -> T | D:
    """What an entry says; `otherwise` where it is not there, and where it cannot be read, which is noted.

    Args:
        key: under which it lies.
        answer: Redis' own; None where there is none.
        parse: may raise any of UNREADABLE.

    Raises:
        RedisError: the answer is an error that tells nothing of the entry.
    """
    if answer is None:
        return otherwise
    if isinstance(answer, RedisError):
        if not is_of_another_type(answer):
            raise answer
        note_unreadable(key, ANOTHER_TYPE)
        return otherwise
    try:
        return parse(answer)
    except UNREADABLE as error:
        note_unreadable(key, _why(error))
        return otherwise


def ask_entry(key: str, ask: Callable[[], Any], parse: Callable[[Any], T], otherwise: D) -> T | D:
    """As `read`, of one question of its own.

    Raises:
        RedisError: Redis did not answer in time, or answered with an error that tells nothing of the entry.
    """
    try:
        answer = ask()
    except RedisRefused as error:
        answer = error
    return read(key, answer, parse, otherwise)


def answers_of(pipe: Any) -> list[Any]:
    """The answers to a pipeline's questions; in place of one of an entry of another type Redis' refusal, for `read`.

    Raises:
        RedisError: Redis did not answer in time, or refused anything for another reason.
    """
    answers: list[Any] = pipe.execute(raise_on_error=False)
    for answer in answers:
        if isinstance(answer, RedisError) and not is_of_another_type(answer):
            raise answer
    return answers


def is_of_another_type(error: object) -> bool:
    """Whether Redis refused because a key holds something else than was asked for; also from within a script."""
    return isinstance(error, RedisRefused) and "WRONGTYPE" in str(error)


def names_of(found: Iterable[Unreadable], most: int) -> str:
    """The first `most` of them with their reasons, and how many more there are."""
    told = list(found)
    shown = "; ".join(f"{one.key} ({one.why})" for one in told[:most])
    return f"{shown} and {len(told) - most:,} more" if len(told) > most else shown


def _why(error: Exception) -> str:
    """In few words and without what the entry holds, which may be secret."""
    if isinstance(error, ValidationError):
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"][:1])
        return f"{place}: {first['msg']}" if place else str(first["msg"])
    return "not readable as JSON" if isinstance(error, ValueError) else f"not of its form ({type(error).__name__})"
