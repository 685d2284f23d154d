"""What the queues hold, from the lists of kombu's Redis transport: one round trip, whatever the number of queues.

Ready messages lie in one list for each priority step. What workers have received and not acknowledged lies in one hash
for all queues: reserved, held for a later time, and with late acknowledgement what runs. What runs comes from the
beacons: by default a message is acknowledged when its execution begins.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any

from celery import current_app

from .beacon import Beacon
from .broker import Redis, transport_option, undecoded
from .taken import Routes, queue_of, routes_of

#: A script looks at so many queues at a time: Redis serves nobody else meanwhile, about 1 ms.
SLICE = 250
#: Of the messages with workers so many are looked at, those that they have had longest first.
MOST_LOOKED_AT = 2000

# For each list that is not empty: its number, its length, and when its oldest message was published. The stamp is
# searched as text, which costs no parsing: inside of a JSON text a quote is escaped, so only a real key is found, and
# a message that has two of them is parsed. The keys are put together here, since sending 4,000 of them takes longer
# than reading the lists; a script may do so everywhere but in a Redis Cluster, which kombu cannot use either.
_READY = """
local function stamp(message)
  local from, to = string.find(message, '"published_at":', 1, true)
  if not from then return '' end
  if string.find(message, '"published_at":', to, true) then
    if #message > 65536 then return '' end
    local fine, parsed = pcall(cjson.decode, message)
    fine, parsed = pcall(function() return parsed.headers.published_at end)
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
    end
    number = number + 1
  end
end
return table.concat(found, ' ')
"""

# For each message with a worker: exchange, routing key, id and ETA, as JSON writes them, between tabs.
_WITH_WORKERS = """
local total = redis.pcall('HLEN', KEYS[1])
if type(total) ~= 'number' then return {0, ''} end
local found = {}
local tags = redis.call('ZRANGE', KEYS[2], 0, tonumber(ARGV[1]) - 1)
for _, tag in ipairs(tags) do
  local value = redis.call('HGET', KEYS[1], tag)
  if value then
    local exchange, routing = string.match(string.sub(value, -1100), '"([^"]*)",%s*"([^"]*)"%]%s*$')
    local id, eta = '', ''
    local _, at = string.find(value, '"headers":', 1, true)
    if at then
      local _, from = string.find(value, '"id":', at, true)
      id = from and string.match(value, '^%s*"([^"]*)"', from + 1) or ''
      _, from = string.find(value, '"eta":', at, true)
      eta = from and string.match(value, '^%s*"([^"]*)"', from + 1) or ''
    end
    found[#found + 1] = table.concat({exchange or '', routing or '', id, eta}, '\\t')
  end
end
return {total, table.concat(found, '\\n')}
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
    running: int | None = 0
    workers: tuple[str, ...] = ()
    slots: int = 0
    configured: bool = True

    @property
    def ready(self) -> int:
        return sum(self.by_step)

    @property
    def is_empty(self) -> bool:
        return not (self.ready or self.reserved or self.held or self.running)


@dataclass(frozen=True, slots=True)
class Reading:
    """All queues at one moment.

    Attributes:
        at: epoch seconds on Redis' clock.
        with_workers: how many messages workers have received and not acknowledged.
        looked_at: how many of those were told apart; the numbers of reserved and held are "at least" where fewer.
    """

    at: float
    queues: dict[str, Depth]
    with_workers: int = 0
    looked_at: int = 0

    @property
    def whole(self) -> bool:
        """Whether every message with a worker was looked at."""
        return self.looked_at >= self.with_workers


@dataclass(slots=True)
class _Held:
    reserved: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    held: dict[str, int] = field(default_factory=lambda: defaultdict(int))


def steps() -> list[int]:
    """The priority steps of the transport, highest priority first."""
    return list(transport_option("priority_steps", [0, 3, 6, 9]))


def key_of(name: str) -> str:
    """The Redis key of something of kombu's, with the application's prefix."""
    return str(transport_option("global_keyprefix", "")) + name


def lists_of(queue: str) -> list[str]:
    """The Redis lists of a queue, in the order in which workers empty them."""
    return [key_of(queue) + ending for ending in _endings()]


def _endings() -> list[str]:
    between = str(transport_option("sep", "\x06\x16"))
    return [f"{between}{step}" if step else "" for step in steps()]


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
    return told(pipe.execute())


def ask_queues(pipe: Any, beacons: Iterable[Beacon], found: Iterable[str] = ()) -> Callable[[list[Any]], Reading]:
    """Put the questions of `read_queues` into a pipeline; what is returned makes a reading of the answers to them."""
    beacons = list(beacons)
    names = sorted({*configured(), *found, *(name for beacon in beacons for name in beacon.queues)})
    endings, prefix = _endings(), key_of("")
    pipe.time()
    hash_key = key_of(str(transport_option("unacked_key", "unacked")))
    index_key = key_of(str(transport_option("unacked_index_key", "unacked_index")))
    undecoded(pipe, "EVAL", _WITH_WORKERS, 2, hash_key, index_key, MOST_LOOKED_AT)
    for start in range(0, len(names), SLICE):
        part = [prefix + name for name in names[start : start + SLICE]]
        undecoded(pipe, "EVAL", _READY, 0, json.dumps(part), json.dumps(endings))
    return lambda answers: _reading(answers, names, beacons)


def _reading(answers: list[Any], names: list[str], beacons: list[Beacon]) -> Reading:
    known, endings = set(configured()), _endings()
    (seconds, micros), (total, rows), *ready = answers
    at = seconds + micros / 1e6
    lists = _lists(ready, SLICE * len(endings))
    held = _held(bytes(rows).decode(errors="replace"), beacons, routes_of(current_app), at)
    running, silent = _running(beacons)
    who = _consumers(beacons)
    queues = {}
    for number, name in enumerate(names):
        mine = [lists.get(number * len(endings) + step) for step in range(len(endings))]
        stamps = [one[1] for one in mine if one is not None]
        depth = Depth(
            queue=name,
            by_step=tuple(one[0] if one else 0 for one in mine),
            oldest=min((stamp for stamp in stamps if stamp), default=None),
            stamped=all(stamps),
            reserved=held.reserved.get(name, 0),
            held=held.held.get(name, 0),
            running=None if name in silent else running.get(name, 0),
            workers=tuple(sorted(beacon.worker for beacon in who.get(name, ()))),
            slots=sum(beacon.concurrency for beacon in who.get(name, ())),
            configured=name in known,
        )
        if name in known or name in who or not depth.is_empty:
            queues[name] = depth
    return Reading(at, queues, int(total), rows.count(b"\n") + 1 if rows else 0)


def _lists(answers: Iterable[bytes], in_each: int) -> dict[int, tuple[int, float]]:
    """Number of the list to its length and the stamp of its oldest message, 0.0 for none; empty lists are left out."""
    lists = {}
    for slice_number, answer in enumerate(answers):
        for entry in bytes(answer).decode().split():
            number, length, stamp = entry.split(":")
            lists[slice_number * in_each + int(number)] = (int(length), _number(stamp))
    return lists


def _number(text: str) -> float:
    try:
        return float(text or 0)
    except ValueError:
        return 0.0


def _held(rows: str, beacons: Iterable[Beacon], routes: Routes, now: float) -> _Held:
    """Which queues the messages with workers came from, and which of them wait for a time; those at work left out."""
    started = {task_id for beacon in beacons for task_id in beacon.started}
    told = _Held()
    for row in rows.split("\n") if rows else ():
        exchange, routing, task_id, eta = (_text(part) for part in row.split("\t"))
        if task_id in started:
            continue
        later = eta and (_epoch(eta) or 0) > now
        (told.held if later else told.reserved)[queue_of(exchange, routing, routes)] += 1
    return told


def _text(escaped: str) -> str:
    if "\\" not in escaped:
        return escaped
    try:
        return str(json.loads(f'"{escaped}"'))
    except ValueError:
        return escaped


def _epoch(moment: str) -> float | None:
    """Celery writes a message's times in ISO 8601; one without a zone is in UTC."""
    try:
        read = datetime.fromisoformat(moment)
    except ValueError:
        return None
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()


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
