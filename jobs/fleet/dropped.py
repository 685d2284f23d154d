"""Messages with the console's header that a worker dropped because the ledger knows no such run: counted by day.

They come from a console whose database was brought back from a backup or emptied, and from a second one on one Redis.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from .breaker import ask
from .broker import PREFIX, Redis

_KEYS = PREFIX + "dropped:"
#: So many days are told, today among them.
DAYS = 7
_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Dropped:
    """How many in the last days, and of the last one: when (epoch seconds), which run, by which worker."""

    count: int
    at: float
    task_id: str
    worker: str


def note_dropped(client: Redis, at: float, task_id: str, worker: str) -> None:
    """Count one.

    Raises:
        RedisError: Redis did not answer in time, or takes no writes.
    """
    key = f"{_KEYS}{int(at // _DAY)}"
    pipe = client.pipeline(transaction=True)
    pipe.hincrby(key, "count", 1)
    pipe.hset(key, "last", json.dumps({"at": at, "task_id": task_id[:255], "worker": worker[:255]}))
    pipe.expire(key, (DAYS + 1) * _DAY)
    pipe.execute()


def read_dropped(now: float) -> Dropped | None:
    """What was dropped in the last days; None where nothing was, and when Redis does not answer. One round trip."""

    def read(client: Redis) -> Dropped | None:
        pipe = client.pipeline(transaction=False)
        for day in range(DAYS):
            pipe.hmget(f"{_KEYS}{int(now // _DAY) - day}", "count", "last")
        days = [(int(count), last) for count, last in pipe.execute() if count and last]
        if not days:
            return None
        newest: dict[str, Any] = json.loads(days[0][1])
        return Dropped(sum(count for count, _ in days), **newest)

    return ask(read)
