"""What the queues hold, from the lists of kombu's Redis transport: one round trip, whatever the number of queues.

Ready messages lie in one list for each priority step. What workers have received and not acknowledged lies in one hash
for all queues: reserved, held for a later time, and with late acknowledgement what runs. What runs comes from the
beacons: by default a message is acknowledged when its execution begins.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from celery import current_app

from .beacon import Beacon
from .broker import Redis, key_of, transport_option, undecoded
from .entries import ANOTHER_TYPE, UNREADABLE, answers_of, note_unreadable, read
from .headers import PUBLISHED_HEADER, own_headers
from .received import LATEST_MOMENT, Received, ask_received, told_received

#: A script looks at so many queues at a time: Redis serves nobody else meanwhile, well under a millisecond.
SLICE = 100

# For each list that is not empty: its number, its length, and when its oldest message was published. The stamp is
# searched as text, which costs no parsing: inside of a JSON text a quote is escaped, so only a real key is found, and
# a message that has two of them is parsed. The keys are put together here, since sending 4,000 of them takes longer
# than reading the lists; a script may do so everywhere but in a Redis Cluster, which kombu cannot use either.
_READY = """
local header = ARGV[3]
local function stamp(message)
  local from, to = string.find(message, '"' .. header .. '":', 1, true)
  if not from then return '' end
  if string.find(message, '"' .. header .. '":', to, true) then
    if #message > 65536 then return '' end
    local fine, parsed = pcall(cjson.decode, message)
    fine, parsed = pcall(function() return parsed.headers[header] end)
    return fine and type(parsed) == 'number' and string.format('%.6f', parsed) or ''
  end
  return string.match(message, '^%s*([%d.]+)', to + 1) or ''
end
local found, number = {}, 0
local queues, ends = cjson.decode(ARGV[1]), cjson.decode(ARGV[2])
for _, queue in ipairs(queues) do
  for _, ending in ipairs(ends) do
    local key = queue .. ending
    local length = redis.pcall('LLEN', key)
    if type(length) == 'number' and length > 0 then
      found[#found + 1] = number .. ':' .. length .. ':' .. stamp(redis.call('LINDEX', key, -1) or '')
    elseif type(length) ~= 'number' then
      found[#found + 1] = number .. ':-1:'
    end
    number = number + 1
  end
end
return table.concat(found, ' ')
"""


@dataclass(frozen=True, slots=True)
class Depth:
    """What one queue holds.

    Attributes:
        by_step: ready messages of each priority step, highest priority first.
        oldest: when the oldest ready message was published, epoch seconds; None where none waits or none is stamped.
        stamped: False where a list's oldest message does not tell when it was published.
        reserved: with a worker, not started.
        held: with a worker, not before a time that lies ahead.
        nobody: received by a worker that is gone, and with no living one; at least so many.
        left: those of them that nobody publishes again: Redis gives them to another worker later.
        running: at work; None where a worker that consumes it does not tell.
        workers: those that consume it.
        slots: how much they can run at a time, this and their other queues together.
        configured: the application's settings name it.
    """

    queue: str
    by_step: tuple[int, ...]
    oldest: float | None = None
    stamped: bool = True
    reserved: int = 0
    held: int = 0
    nobody: int = 0
    left: int = 0
    running: int | None = 0
    workers: tuple[str, ...] = ()
    slots: int = 0
    configured: bool = True

    @property
    def ready(self) -> int:
        return sum(self.by_step)

    @property
    def is_empty(self) -> bool:
        return not (self.ready or self.reserved or self.held or self.nobody or self.running)


@dataclass(frozen=True, slots=True)
class Reading:
    """All queues at one moment.

    Attributes:
        at: epoch seconds on Redis' clock.
        with_workers: how many messages workers have received and not acknowledged.
        looked_at: how many of those were told apart; the numbers of reserved and held are "at least" where fewer.
        received: those themselves, and what no living worker has of them.
    """

    at: float
    queues: dict[str, Depth]
    with_workers: int = 0
    looked_at: int = 0
    received: Received = field(default_factory=Received)

    @property
    def whole(self) -> bool:
        """Whether every message with a worker was looked at."""
        return self.looked_at >= self.with_workers


def steps() -> list[int]:
    """The priority steps of the transport, highest priority first."""
    return list(transport_option("priority_steps", [0, 3, 6, 9]))


def lists_of(queue: str) -> list[str]:
    """The Redis lists of a queue, in the order in which workers empty them."""
    return [key_of(queue) + ending for ending in _endings()]


def _unacked() -> str:
    """The hash of what workers have received and not acknowledged."""
    return key_of(str(transport_option("unacked_key", "unacked")))


@cache
def _endings() -> tuple[str, ...]:
    between = str(transport_option("sep", "\x06\x16"))
    return tuple(f"{between}{step}" if step else "" for step in steps())


def oldest_messages(lists: Iterable[str], client: Redis) -> Mapping[str, float | None]:
    """When the oldest message of each list was published, in one round trip.

    Returns:
        List key to epoch seconds; 0.0 where the message bears no stamp, and where the key is no list; None where the
        list is empty.

    Raises:
        RedisError: Redis did not answer in time.
    """
    keys = list(lists)
    pipe = client.pipeline(transaction=False)
    for key in keys:
        undecoded(pipe, "LINDEX", key, -1)
    answers = answers_of(pipe)
    return {
        key: None if message is None else read(key, message, _published_at, 0.0)
        for key, message in zip(keys, answers, strict=True)
    }


def _published_at(message: bytes) -> float:
    """0.0 where it does not tell; it need not be one of Celery's."""
    try:
        return own_headers(json.loads(message)["headers"]).published or 0.0
    except UNREADABLE:
        return 0.0


def keys_of_another_type(lists: Iterable[str], client: Redis) -> frozenset[str]:
    """Those of these keys that hold something else than a list: no message can be put there.

    Raises:
        RedisError: Redis did not answer in time.
    """
    keys = list(lists)
    pipe = client.pipeline(transaction=False)
    for key in keys:
        pipe.type(key)
    odd = frozenset(key for key, kind in zip(keys, pipe.execute(), strict=True) if kind not in {"list", "none"})
    for key in odd:
        note_unreadable(key, ANOTHER_TYPE)
    return odd


@cache
def configured() -> tuple[str, ...]:
    """The queues that the application's settings name."""
    return tuple(sorted(current_app.amqp.queues))


def read_queues(client: Redis, beacons: Iterable[Beacon] = (), found: Iterable[str] = ()) -> Reading:
    """What the queues hold, in one round trip.

    Args:
        beacons: tell who consumes what, and what runs.
        found: names besides the configured ones and those that the beacons tell; empty ones are left out.

    Raises:
        RedisError: Redis did not answer in time.
    """
    pipe = client.pipeline(transaction=False)
    told = ask_queues(pipe, beacons, found)
    return told(answers_of(pipe))


def ask_queues(pipe: Any, beacons: Iterable[Beacon], found: Iterable[str] = ()) -> Callable[[list[Any]], Reading]:
    """Put the questions of `read_queues` into a pipeline; what is returned makes a reading of the answers to them."""
    beacons = list(beacons)
    names = sorted({*configured(), *found, *(name for beacon in beacons for name in beacon.queues)})
    endings, prefix = _endings(), key_of("")
    pipe.time()
    hash_key = _unacked()
    index_key = key_of(str(transport_option("unacked_index_key", "unacked_index")))
    ask_received(pipe, hash_key, index_key)
    for start in range(0, len(names), SLICE):
        part = [prefix + name for name in names[start : start + SLICE]]
        undecoded(pipe, "EVAL", _READY, 0, json.dumps(part), json.dumps(endings), PUBLISHED_HEADER)
    return lambda answers: _reading(answers, names, beacons)


def _reading(answers: list[Any], names: list[str], beacons: list[Beacon]) -> Reading:
    known, endings = set(configured()), _endings()
    (seconds, micros), taken, *ready = answers
    at = seconds + micros / 1e6
    lists = _lists(ready, len(endings), names)
    received = read(_unacked(), taken, lambda answer: told_received(answer, beacons, at), Received())
    running, silent = _running(beacons)
    who = _consumers(beacons)
    nothing = (0,) * len(endings)
    queues = {}
    for number, name in enumerate(names):
        mine, takers = lists.get(number), who.get(name, ())
        if not (
            mine or takers or name in known or name in running or name in received.reserved or name in received.held
        ):
            continue
        stamps = [stamp for _, stamp in mine.values()] if mine else ()
        queues[name] = Depth(
            queue=name,
            by_step=tuple([mine[step][0] if step in mine else 0 for step in range(len(endings))]) if mine else nothing,
            oldest=min((stamp for stamp in stamps if stamp), default=None) if mine else None,
            stamped=all(stamps),
            reserved=received.reserved.get(name, 0),
            held=received.held.get(name, 0),
            nobody=received.nobody.get(name, 0),
            left=received.left.get(name, 0),
            running=None if name in silent else running.get(name, 0),
            workers=tuple(sorted([beacon.worker for beacon in takers])) if takers else (),
            slots=sum([beacon.concurrency for beacon in takers]) if takers else 0,
            configured=name in known,
        )
    return Reading(at, queues, received.total, received.looked_at, received)


def _lists(answers: Iterable[bytes], steps_of_each: int, names: list[str]) -> dict[int, dict[int, tuple[int, float]]]:
    """Number of the queue and of the priority step to the list's length and its oldest stamp, 0.0 for none.

    Empty lists are left out.
    """
    lists: dict[int, dict[int, tuple[int, float]]] = {}
    for slice_number, answer in enumerate(answers):
        for entry in bytes(answer).decode().split():
            number, length, stamp = entry.split(":")
            queue, step = divmod(int(number), steps_of_each)
            if length == "-1":
                note_unreadable(lists_of(names[slice_number * SLICE + queue])[step], ANOTHER_TYPE)
                continue
            lists.setdefault(slice_number * SLICE + queue, {})[step] = (int(length), _number(stamp))
    return lists


def _number(text: str) -> float:
    """Epoch seconds; 0.0 for no moment that can be."""
    try:
        moment = float(text or 0)
    except ValueError:
        return 0.0
    return moment if 0 <= moment < LATEST_MOMENT else 0.0


def _running(beacons: Iterable[Beacon]) -> tuple[dict[str, int], set[str]]:
    """How much runs of each queue, and the queues of workers whose release does not tell."""
    running: dict[str, int] = defaultdict(int)
    silent: set[str] = set()
    for beacon in beacons:
        if beacon.at_work is None:
            silent.update(beacon.queues)
        for name, count in (beacon.at_work or {}).items():
            running[name] += count
    return running, silent


def _consumers(beacons: Iterable[Beacon]) -> dict[str, list[Beacon]]:
    who: dict[str, list[Any]] = defaultdict(list)
    for beacon in beacons:
        for name in beacon.queues:
            who[name].append(beacon)
    return who
