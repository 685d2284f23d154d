"""The queues' past: samples in rings of fixed length in Redis, and what the recorder measured last.

A ring is one string for a queue and a resolution; a moment has its place in it, which the next lap writes over. Every
place bears the lap that wrote it, so that what a stopped recorder left out is unknown, and never an old number. A queue
that has never held a message has no rings. One that has takes 58 KB: 5.8 MB for a hundred queues.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from .broker import PREFIX, Redis, key_of, undecoded
from .entries import ANOTHER_TYPE, answers_of, ask_entry, note_unreadable, read

LATEST_KEY = PREFIX + "queues:latest"
#: What was measured last stays to be shown with its age, in seconds.
LATEST_KEPT = 86_400
#: A script writes so many queues at a time: Redis serves nobody else meanwhile, about half a millisecond.
SLICE = 50
_POINT = struct.Struct("<HIIii")
_Measure = Annotated[float, Field(ge=0, lt=1e12)]
_PLACE = struct.Struct("<HHIIii")
_MOST = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Resolution:
    """One ring: `step` seconds a place, `length` places; gone when nobody has written for `expires` seconds."""

    name: str
    step: int
    length: int
    expires: int


FINE = Resolution("5s", 5, 720, 2 * 3600)
MINUTES = Resolution("1min", 60, 1440, 25 * 3600)
HOURS = Resolution("1h", 3600, 720, 31 * 86_400)
RINGS = (FINE, MINUTES, HOURS)


@dataclass(frozen=True, slots=True)
class Point:
    """What was measured of a queue within one place of a ring.

    Attributes:
        ready: the most messages that were ready.
        oldest: the greatest age of a ready message, in seconds.
        seconds: for how long `arrived` and `left` were measured; 0 where they are unknown.
        arrived: messages that came into its lists: published, or given back by a worker.
        left: messages that workers took from it.
    """

    ready: int = 0
    oldest: int = 0
    seconds: int = 0
    arrived: int = 0
    left: int = 0

    @property
    def in_per_minute(self) -> float | None:
        # Counted at two moments that lie up to two seconds apart: a little less than nothing is nothing.
        return max(self.arrived, 0) * 60 / self.seconds if self.seconds else None

    @property
    def out_per_minute(self) -> float | None:
        return self.left * 60 / self.seconds if self.seconds else None


@dataclass(frozen=True, slots=True)
class Latest:
    """What the recorder measured last.

    Attributes:
        at: epoch seconds on Redis' clock.
        window: the seconds over which the rates are measured.
        rates: queue to messages in and out per minute; None where they are unknown. One that is left out has 0 and 0.
        growing: the queues that have grown for minutes, and go on growing.
        found: names of queues that the application's settings do not name.
    """

    at: Annotated[float, Field(ge=0, lt=250_000_000_000)]
    window: _Measure = 0.0
    rates: Mapping[str, tuple[_Measure, _Measure] | None] = field(default_factory=dict)
    growing: tuple[str, ...] = ()
    found: tuple[str, ...] = ()


_LATEST = TypeAdapter(Latest)


# A place of a coarser ring gathers the samples of its time: the greatest depth and age, and the sums of the rest. A new
# ring is made as long as it becomes, because Redis reserves twice the length of a string that it has to make longer.
_WRITE = """
local names, rings, at = cjson.decode(ARGV[1]), cjson.decode(ARGV[3]), tonumber(ARGV[4])
local odd = {}
for number, name in ipairs(names) do
  local seconds, ready, oldest, arrived, left = struct.unpack('<HIIii', ARGV[2], (number - 1) * 18 + 1)
  local idle = ready == 0 and arrived == 0 and left == 0
  if not idle or redis.call('EXISTS', ARGV[5] .. rings[#rings][1] .. ':' .. name) == 1 then
    for _, ring in ipairs(rings) do
      local key, slot = ARGV[5] .. ring[1] .. ':' .. name, math.floor(at / ring[2])
      local lap, from = math.floor(slot / ring[3]) % 65535 + 1, slot % ring[3] * 20
      local s, r, o, a, l = seconds, ready, oldest, arrived, left
      local old, begun = redis.pcall('GETRANGE', key, from, from + 19), false
      if type(old) ~= 'string' then
        odd[#odd + 1], old = key, nil
      elseif #old == 20 then
        local old_lap, old_s, old_r, old_o, old_a, old_l = struct.unpack('<HHIIii', old)
        begun = old_lap == lap
        if begun then
          s, r, o = math.min(s + old_s, 65535), math.max(r, old_r), math.max(o, old_o)
          a, l = math.max(math.min(a + old_a, 2147483647), -2147483647), math.min(l + old_l, 2147483647)
        end
      end
      if old then
        if #old == 0 then redis.call('SETRANGE', key, ring[3] * 20 - 1, '\\0') end
        redis.call('SETRANGE', key, from, struct.pack('<HHIIii', lap, s, r, o, a, l))
        if not begun then redis.call('EXPIRE', key, ring[4]) end
      end
    end
  end
end
return odd
"""
_RING_KEYS = PREFIX + "samples:"
_RINGS = json.dumps([[one.name, one.step, one.length, one.expires] for one in RINGS])


def write_samples(client: Redis, points: Mapping[str, Point], latest: Latest) -> None:
    """Keep what was measured, in one round trip.

    Raises:
        RedisError: Redis did not answer in time, or takes no writes.
    """
    pipe = client.pipeline(transaction=False)
    names = list(points)
    for start in range(0, len(names), SLICE):
        part = names[start : start + SLICE]
        packed = b"".join(_packed(points[name]) for name in part)
        undecoded(pipe, "EVAL", _WRITE, 0, json.dumps(part), packed, _RINGS, latest.at, key_of(_RING_KEYS))
    pipe.set(key_of(LATEST_KEY), json.dumps(asdict(latest)), ex=LATEST_KEPT)
    for odd in pipe.execute()[:-1]:
        for key in odd:
            note_unreadable(key.decode(errors="replace"), ANOTHER_TYPE)


def _packed(point: Point) -> bytes:
    arrived = max(min(point.arrived, _MOST), -_MOST)
    ready, oldest, left = (min(value, _MOST) for value in (point.ready, point.oldest, point.left))
    return _POINT.pack(min(point.seconds, 65_535), ready, oldest, arrived, left)


def read_latest(client: Redis) -> Latest | None:
    """What the recorder measured last; None where none has for a day."""
    return ask_entry(key_of(LATEST_KEY), lambda: undecoded(client, "GET", key_of(LATEST_KEY)), latest_of, None)


def latest_of(text: bytes) -> Latest:
    """What LATEST_KEY holds.

    Raises:
        ValueError: no recorder of this release wrote it.
    """
    return _LATEST.validate_json(text)


Series = list[Point | None]


def read_series(
    client: Redis, queues: Sequence[str], resolution: Resolution, places: int, now: float
) -> dict[str, Series]:
    """The last `places` places of each queue's ring, oldest first, None where nothing was measured; one round trip.

    The last place is that of `now`, which is not complete.

    Raises:
        RedisError: Redis did not answer in time.
    """
    pipe = client.pipeline(transaction=False)
    told = ask_series(pipe, queues, resolution, places, now)
    return told(iter(answers_of(pipe)))


def ask_series(
    pipe: Any, queues: Sequence[str], resolution: Resolution, places: int, now: float
) -> Callable[[Iterator[bytes]], dict[str, Series]]:
    """Put the questions of `read_series` into a pipeline that asks for other things too.

    Returns:
        What makes the series of the answers, of which it takes as many as there were questions.
    """
    laps, told = _ask_rings(pipe, queues, resolution, places, now)
    return lambda answers: {queue: _series(ring, laps) for queue, ring in told(answers)}


def read_ready(
    client: Redis, queues: Sequence[str], resolution: Resolution, places: int, now: float
) -> dict[str, list[int | None]]:
    """As `read_series`, but of each place only how many messages were ready: a list draws a hundred queues.

    Raises:
        RedisError: Redis did not answer in time.
    """
    pipe = client.pipeline(transaction=False)
    laps, told = _ask_rings(pipe, queues, resolution, places, now)
    answers = iter(answers_of(pipe))
    return {
        queue: [
            place[2] if place[0] == lap else None for place, lap in zip(_PLACE.iter_unpack(ring), laps, strict=True)
        ]
        for queue, ring in told(answers)
    }


def _ask_rings(
    pipe: Any, queues: Sequence[str], resolution: Resolution, places: int, now: float
) -> tuple[list[int], Callable[[Iterator[bytes]], Iterator[tuple[str, bytes]]]]:
    """Which lap each of the last places bears if it was written, and what makes the queues' places of the answers."""
    places = min(places, resolution.length)
    last = int(now // resolution.step)
    ranges = list(_ranges(last - places + 1, last, resolution.length))
    for queue in queues:
        for start, end in ranges:
            key = _ring_key(resolution, queue)
            undecoded(pipe, "GETRANGE", key, start * _PLACE.size, end * _PLACE.size - 1)

    def told(answers: Iterator[bytes]) -> Iterator[tuple[str, bytes]]:
        for queue in queues:
            key = _ring_key(resolution, queue)
            rings = [read(key, next(answers), bytes, b"") for _ in ranges]
            texts = [
                ring.ljust((end - start) * _PLACE.size, b"\0") for ring, (start, end) in zip(rings, ranges, strict=True)
            ]
            yield queue, b"".join(texts)

    return [_lap(slot, resolution) for slot in range(last - places + 1, last + 1)], told


def _ring_key(resolution: Resolution, queue: str) -> str:
    return key_of(f"{_RING_KEYS}{resolution.name}:{queue}")


def _ranges(first: int, last: int, length: int) -> Iterable[tuple[int, int]]:
    """The places of the moments from `first` to `last`, as one or two ranges without their ends."""
    start, end = first % length, last % length
    return [(start, end + 1)] if start <= end else [(start, length), (0, end + 1)]


def _series(ring: bytes, laps: list[int]) -> Series:
    return [
        Point(ready, oldest, seconds, arrived, left) if lap == its_lap else None
        for (lap, seconds, ready, oldest, arrived, left), its_lap in zip(_PLACE.iter_unpack(ring), laps, strict=True)
    ]


def _lap(slot: int, resolution: Resolution) -> int:
    """Which lap writes this place: never 0, which an unwritten place bears."""
    return slot // resolution.length % 65_535 + 1
