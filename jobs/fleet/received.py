"""The messages that workers have received and not acknowledged, and those of them that no living worker has.

They lie in one hash for all queues: reserved, held for a later time, and with late acknowledgement what runs. Redis
does not tell who received one. A worker that is killed, or loses its connection, leaves its own behind: nobody has them
until the visibility timeout is over, when any living worker puts them back into their queues.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any

from celery import current_app

from .beacon import Beacon
from .broker import transport_option, undecoded
from .entries import ANOTHER_TYPE, note_unreadable
from .headers import ATTEMPT_HEADER
from .taken import Routes, queue_of, routes_of

#: So many are looked at, those that workers have had longest.
MOST_LOOKED_AT = 2000
#: One received so lately is not yet missed in a beacon, in seconds.
MISSED_AFTER = 30
#: A moment beyond this one, in epoch seconds, none of our clocks shows.
LATEST_MOMENT = 2.5e11

# For each: exchange, routing key, id and ETA, as JSON writes them, when it was received, and whether the console
# published it, between tabs.
_RECEIVED = """
local total = redis.pcall('HLEN', KEYS[1])
if type(total) ~= 'number' then return {0, '', KEYS[1]} end
-- The end is looked at first: the pattern is tried at every quote of what it is given.
local found, NAMES = {}, '"([^"]*)",%s*"([^"]*)"%]%s*$'
local tags = redis.pcall('ZRANGE', KEYS[2], 0, tonumber(ARGV[1]) - 1, 'WITHSCORES')
if tags['err'] then return {total, '', KEYS[2]} end
for place = 1, #tags, 2 do
  local value = redis.call('HGET', KEYS[1], tags[place])
  if value then
    local exchange, routing = string.match(string.sub(value, -100), NAMES)
    if not routing then exchange, routing = string.match(string.sub(value, -1100), NAMES) end
    local id, eta, ours = '', '', ''
    local _, at = string.find(value, '"headers":', 1, true)
    if at then
      local _, from = string.find(value, '"id":', at, true)
      id = from and string.match(value, '^%s*"([^"]*)"', from + 1) or ''
      _, from = string.find(value, '"eta":', at, true)
      eta = from and string.match(value, '^%s*"([^"]*)"', from + 1) or ''
      ours = string.find(value, ARGV[2], at, true) and 'ours' or ''
    end
    local line = {exchange or '', routing or '', id, eta, tags[place + 1], ours}
    -- What a text of JSON cannot hold would look like two of them.
    for part = 1, 4 do line[part] = string.gsub(string.sub(line[part], 1, 1000), '%c', '') end
    found[#found + 1] = table.concat(line, '\\t')
  end
end
return {total, table.concat(found, '\\n'), ''}
"""


@dataclass(frozen=True, slots=True)
class Unnamed:
    """One of which no living worker says that it has it; a worker does not name what it holds for a later time.

    Attributes:
        since: when it was received, epoch seconds by that worker's clock.
        back: when it may be given to another worker.
        missed: for so long that a worker which has it would be known to have something.
        certain: nobody has it; False where a living worker may hold it.
    """

    since: float
    back: float
    missed: bool
    certain: bool


@dataclass(frozen=True, slots=True)
class Received:
    """What workers have received and not acknowledged.

    Attributes:
        total: how many; `looked_at` of them were told apart.
        reserved, held: how many of each queue are with a worker, without those at work; at least so many.
        nobody: how many of each queue no living worker has; at least so many.
        left: how many of those code published; what the console itself published, the dispatcher publishes again.
        back: before this moment none of those of the queue comes back.
        stranded: how many of all that code published no living worker has; at least so many. What the console itself
            published, the dispatcher publishes again.
        stranded_back: before this moment none of those comes back; None where there is none.
        unnamed: by task id.
    """

    total: int = 0
    looked_at: int = 0
    reserved: Mapping[str, int] = field(default_factory=dict)
    held: Mapping[str, int] = field(default_factory=dict)
    nobody: Mapping[str, int] = field(default_factory=dict)
    left: Mapping[str, int] = field(default_factory=dict)
    back: Mapping[str, float] = field(default_factory=dict)
    stranded: int = 0
    stranded_back: float | None = None
    unnamed: Mapping[str, Unnamed] = field(default_factory=dict)


def visibility() -> float:
    """Seconds after which an unacknowledged message is given to another worker."""
    return float(transport_option("visibility_timeout", 3600))


def ask_received(pipe: Any, hash_key: str, index_key: str) -> None:
    """Put the question into a pipeline that asks for other things too."""
    undecoded(pipe, "EVAL", _RECEIVED, 2, hash_key, index_key, MOST_LOOKED_AT, f'"{ATTEMPT_HEADER}":')


def told_received(answer: Sequence[Any], beacons: Sequence[Beacon], now: float) -> Received:
    """What the answer to `ask_received` says.

    The number with nobody never counts one that a living worker has: from those that are missed, as many are taken away
    as workers say that they hold without naming them. Where a worker's release does not tell that, nobody is missed.
    """
    total, text, odd = answer
    if odd:
        note_unreadable(bytes(odd).decode(errors="replace"), ANOTHER_TYPE)
    if not text:
        return Received(int(total))
    lines = bytes(text).decode(errors="replace").split("\n")
    started = {task_id for beacon in beacons for task_id in beacon.started}
    named = {task_id for beacon in beacons for task_id in beacon.running}
    holding = sum(beacon.holds or 0 for beacon in beacons)
    tells = all(beacon.holds is not None for beacon in beacons)
    missed_from, nobody_from = now - MISSED_AFTER - _behind(beacons), _began(beacons)
    counts: dict[bool, Counter[str]] = {False: Counter(), True: Counter()}
    missed: Counter[tuple[str, bool, bool]] = Counter()
    back: dict[str, float] = {}
    stranded: dict[bool, list[float]] = {False: [], True: []}
    of_code: Counter[str] = Counter()
    unnamed: dict[str, Unnamed] = {}
    for line in lines:
        exchange, routing, task_id, eta, score, ours = map(_text, line.split("\t"))
        if task_id in started:
            continue
        queue, since = queue_of(exchange, routing, _routes()), float(score)
        if not 0 <= since < LATEST_MOMENT:
            continue  # no worker received it
        later = bool(eta and (_epoch(eta) or 0) > now)
        counts[later][queue] += 1
        if task_id in named:
            continue
        is_missed, certain = since < missed_from, tells and since < min(missed_from, nobody_from)
        unnamed[task_id] = Unnamed(since, since + visibility(), is_missed, certain)
        if is_missed and tells:
            missed[queue, certain, later] += 1
            back[queue] = min(unnamed[task_id].back, back.get(queue, math.inf))
            if not ours:
                stranded[certain].append(unnamed[task_id].back)
                of_code[queue] += 1
    nobody = {}
    for queue in {queue for queue, _, _ in missed}:
        # One that is held for later rather has a worker than one whose time has come: workers name what may begin.
        more = max(missed[queue, False, False] + missed[queue, False, True] - holding, 0)
        due = missed[queue, True, False] + min(more, missed[queue, False, False])
        later_ones = missed[queue, True, True] + max(more - missed[queue, False, False], 0)
        counts[False][queue] -= due
        counts[True][queue] -= later_ones
        if due + later_ones:
            nobody[queue] = due + later_ones
    count = len(stranded[True]) + max(len(stranded[False]) - holding, 0)
    return Received(
        total=int(total),
        looked_at=len(lines),
        reserved=counts[False],
        held=counts[True],
        nobody=nobody,
        left={queue: min(number, of_code[queue]) for queue, number in nobody.items()},
        back={queue: back[queue] for queue in nobody},
        stranded=count,
        stranded_back=min(stranded[True] + stranded[False]) if count else None,
        unnamed=unnamed,
    )


def _began(beacons: Sequence[Beacon]) -> float:
    """What was received before this moment was received by none of the workers that hold something unnamed."""
    starts = [
        beacon.at + (beacon.clock or 0.0) - beacon.up if beacon.up is not None else -math.inf
        for beacon in beacons
        if beacon.holds
    ]
    return min(starts, default=math.inf)


def _behind(beacons: Sequence[Beacon]) -> float:
    """How far the clock of a worker is behind Redis', in seconds: the moments of receipt are by their clocks."""
    return max((-(beacon.clock or 0.0) for beacon in beacons), default=0.0)


@cache
def _routes() -> Routes:
    return routes_of(current_app)


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
