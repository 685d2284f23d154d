"""The executions of console runs that Redis still knows of: ready in a queue, taken by a worker, begun."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from .beacon import read_beacons
from .broker import Redis, key_of, transport_option, undecoded
from .conditions import read_gone
from .entries import UNREADABLE, ask_entry
from .headers import execution_number
from .queues import lists_of

#: Messages read at once; they come whole, with whatever arguments they carry.
_AT_ONCE = 100


def known_executions(client: Redis, queues: Iterable[str]) -> dict[str, int]:
    """By task id the highest execution number `n` that a message or a worker's beacon names.

    It reads every message of these queues: not for a page.

    Raises:
        RedisError: Redis did not answer in time.
    """
    found: dict[str, int] = {}
    for task_id, n in _executions(client, queues):
        found[task_id] = max(n, found.get(task_id, 0))
    return found


@dataclass(frozen=True, slots=True)
class Begun:
    """An execution that a pool process has taken up: its number, its worker by name and process, and since when, in
    epoch seconds."""

    n: int
    worker: str
    at: float
    process: str = ""


def begun_executions(client: Redis) -> dict[str, Begun]:
    """By task id the executions that living workers have begun, and that vanished ones had by their last words.

    Raises:
        RedisError: Redis did not answer in time.
    """
    found: dict[str, Begun] = {}
    for beacon in (*read_gone(client), *read_beacons(client).beacons):
        for task_id, (at, *_) in beacon.started.items():
            n = beacon.running.get(task_id)
            if n is not None and (task_id not in found or found[task_id].n <= n):
                found[task_id] = Begun(n, beacon.worker, at, beacon.boot)
    return found


def _executions(client: Redis, queues: Iterable[str]) -> Iterator[tuple[str, int]]:
    for queue in queues:
        for key in lists_of(queue):
            yield from _of_list(client, key)
    # What workers have taken and not acknowledged lies beside the queues, each message in a list of three.
    key = key_of(str(transport_option("unacked_key", "unacked")))
    cursor = 0
    while True:
        ask = partial(undecoded, client, "HSCAN", key, cursor, "COUNT", _AT_ONCE)
        cursor, pairs = ask_entry(key, ask, lambda answer: (answer[0], answer[1]), (0, {}))
        for value in pairs.values():
            yield from _of_message(value, nested=True)
        if not cursor:
            break
    for beacon in read_beacons(client).beacons:
        yield from ((task_id, n) for task_id, n in beacon.running.items() if n is not None)


def _of_list(client: Redis, key: str) -> Iterator[tuple[str, int]]:
    # From the end at which workers take: what comes meanwhile goes to the other one, and what is taken is seen below.
    last = -1
    while messages := ask_entry(key, partial(undecoded, client, "LRANGE", key, last - _AT_ONCE + 1, last), list, []):
        for message in messages:
            yield from _of_message(message)
        last -= _AT_ONCE


def _of_message(text: bytes, *, nested: bool = False) -> Iterator[tuple[str, int]]:
    try:
        message: Any = json.loads(text)
        headers = (message[0] if nested else message)["headers"]
        task_id, n = str(headers["id"]), execution_number(headers)
    except UNREADABLE:
        return
    if n is not None:  # else it is none of ours
        yield task_id, n
