"""Messages with the console's header that a worker dropped because the ledger knows no such run: counted by day.

They come from a console whose database was brought back from a backup or emptied, and from a second one on one Redis.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import Field, TypeAdapter

from .breaker import ask
from .broker import PREFIX, Redis, key_of
from .entries import answers_of, read

_KEYS = PREFIX + "dropped:"
#: So many days are told, today among them.
DAYS = 7
_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Dropped:
    """How many in the last days, and of the last one: when (epoch seconds), which run, by which worker."""

    count: Annotated[int, Field(ge=0, lt=2**53)]
    at: Annotated[float, Field(ge=0, lt=250_000_000_000)]
    task_id: Annotated[str, Field(max_length=255)]
    worker: Annotated[str, Field(max_length=255)]


_DROPPED = TypeAdapter(Dropped)


def note_dropped(client: Redis, at: float, task_id: str, worker: str) -> None:
    """Count one.

    Raises:
        RedisError: Redis did not answer in time, or takes no writes.
    """
    key = key_of(f"{_KEYS}{int(at // _DAY)}")
    pipe = client.pipeline(transaction=True)
    pipe.hincrby(key, "count", 1)
    pipe.hset(key, "last", json.dumps({"at": at, "task_id": task_id[:255], "worker": worker[:255]}))
    pipe.expire(key, (DAYS + 1) * _DAY)
    pipe.execute()


def read_dropped(now: float) -> Dropped | None:
    """What was dropped in the last days; None where nothing was, and when Redis does not answer. One round trip."""

    def look(client: Redis) -> Dropped | None:
        pipe = client.pipeline(transaction=False)
        keys = [key_of(f"{_KEYS}{int(now // _DAY) - day}") for day in range(DAYS)]
        for key in keys:
            pipe.hmget(key, "count", "last")
        days = [read(key, answer, _of_day, None) for key, answer in zip(keys, answers_of(pipe), strict=True)]
        known = [day for day in days if day is not None]
        return replace(known[0], count=sum(day.count for day in known)) if known else None

    return ask(look)


def _of_day(values: list[str | None]) -> Dropped | None:
    """What the hash of one day says."""
    count, last = values
    if not count or not last:
        return None
    return _DROPPED.validate_python({**json.loads(last), "count": count})
