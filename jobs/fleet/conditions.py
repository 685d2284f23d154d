"""What condition a worker is in, from its beacon alone and from what waits in its queues. Unknown is never well."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from .beacon import BEAT_EVERY, Beacon, beacon_key, last_key, parsed
from .broker import BEACONS_KEY, Redis, key_of, undecoded
from .entries import ANOTHER_TYPE, LONGEST, answers_of, note_unreadable, read
from .queues import Reading, read_queues

#: A beat older than this is one that is missing, in seconds: one may come late.
SILENT_AFTER = 1.75 * BEAT_EVERY
#: A main loop that has not turned for so many seconds answers no remote command.
DEAF_AFTER = 5.0
#: So long a worker with a free slot may leave what waits, and a main loop stand still without a run, in seconds.
STUCK_AFTER = 30.0
#: So many workers that are gone are looked for, and of so many names.
MOST_GONE, MOST_NAMES = 200, 5000


class Condition(StrEnum):
    """Worst first."""

    GONE = "gone"  # its beacon burnt out without a farewell
    WEDGED = "wedged"  # it beats, and does not do what it could
    SILENT = "silent"  # a beat is missing; it may come
    STOPPING = "stopping"  # told to stop, it ends what it runs
    DEAF = "deaf"  # at work in its main process: no remote command is answered
    BUSY = "busy"  # every slot is in use
    READY = "ready"
    QUIET = "quiet"  # it listens to no queue
    STOPPED = "stopped"  # it said farewell


@dataclass(frozen=True, slots=True)
class Judged:
    """A worker with its condition.

    Attributes:
        age: seconds since its last beat.
        why: what makes it wedged, as a sentence's end; "" else.
        waits_in: the queue that it leaves waiting; "" else.
        others: other processes that are known under its name, living or gone.
        shared: it and another living process bear one name.
    """

    beacon: Beacon
    condition: Condition
    age: float
    why: str = ""
    waits_in: str = ""
    others: tuple[Beacon, ...] = ()
    shared: bool = False

    @property
    def alive(self) -> bool:
        return self.condition not in (Condition.GONE, Condition.STOPPED)


# The last words of those whose beacon burns no more, newest first; the names of all that beat within a day are known.
_GONE = """
local found, odd, budget = {}, {}, 4 * tonumber(ARGV[5])
for _, name in ipairs(redis.call('ZREVRANGEBYSCORE', KEYS[1], '+inf', '-inf', 'LIMIT', 0, ARGV[1])) do
  if redis.call('EXISTS', ARGV[3] .. name) == 0 then
    local size = redis.pcall('STRLEN', ARGV[4] .. name)
    if type(size) ~= 'number' or size > tonumber(ARGV[5]) or size > budget then odd[#odd + 1] = name
    elseif size > 0 then
      budget = budget - size
      found[#found + 1] = name
      found[#found + 1] = redis.call('GET', ARGV[4] .. name)
    end
    if #found >= 2 * tonumber(ARGV[2]) then break end
  end
end
return {found, odd}
"""


def read_gone(client: Redis) -> tuple[Beacon, ...]:
    """The last words of workers that are gone or have stopped, newest first; one round trip.

    Raises:
        RedisError: Redis did not answer in time.
    """
    pipe = client.pipeline(transaction=False)
    ask_gone(pipe)
    return told_gone(answers_of(pipe)[0])


def ask_gone(pipe: Any) -> None:
    """Put the question of `read_gone` into a pipeline that asks for other things too."""
    undecoded(pipe, "EVAL", _GONE, 1, key_of(BEACONS_KEY), MOST_NAMES, MOST_GONE, beacon_key(""), last_key(""), LONGEST)


def told_gone(answer: Any) -> tuple[Beacon, ...]:
    """What the answer to `ask_gone` says."""
    found, odd = read(key_of(BEACONS_KEY), answer, lambda told: (told[0], told[1]), ([], []))
    for name in odd:
        note_unreadable(_last_key(name), f"{ANOTHER_TYPE}, or too long")
    last = [read(_last_key(name), text, parsed, None) for name, text in zip(found[::2], found[1::2], strict=True)]
    return tuple(beacon for beacon in last if beacon is not None)


def _last_key(name: bytes) -> str:
    return last_key(name.decode(errors="replace"))


def not_followed(gone: Iterable[Beacon], beacons: Iterable[Beacon]) -> tuple[Beacon, ...]:
    """Of those that are gone the ones whose place nobody has taken: no living worker of their name began after them."""
    living: dict[str, list[Beacon]] = {}
    for beacon in beacons:
        living.setdefault(beacon.worker, []).append(beacon)
    return tuple(
        one
        for one in gone
        if not any(
            other.boot == one.boot or _began(other) > one.at - BEAT_EVERY for other in living.get(one.worker, ())
        )
    )


def _took_over(beacon: Beacon, gone: Beacon) -> bool:
    return _began(beacon) > gone.at - BEAT_EVERY


def with_others(judged: Sequence[Judged]) -> tuple[Judged, ...]:
    """The same, each knowing which others bear its name."""
    shared = shared_names(one.beacon for one in judged if one.alive)
    by_name: dict[str, list[Beacon]] = {}
    for one in judged:
        by_name.setdefault(one.beacon.worker, []).append(one.beacon)
    return tuple(
        replace(
            one,
            others=tuple(other for other in those if other.boot != one.beacon.boot),
            shared=one.alive and one.beacon.worker in shared,
        )
        if len(those := by_name[one.beacon.worker]) > 1
        else one
        for one in judged
    )


def shared_names(beacons: Iterable[Beacon]) -> Mapping[str, tuple[Beacon, ...]]:
    """The node names that several processes bear at once, with those.

    One that was killed and started again is none of them: its beacon burns on for some seconds, and does not beat.
    """
    by_name: dict[str, list[Beacon]] = {}
    for beacon in beacons:
        by_name.setdefault(beacon.worker, []).append(beacon)
    return {name: tuple(those) for name, those in by_name.items() if len(those) > 1 and _side_by_side(those)}


def _side_by_side(those: Sequence[Beacon]) -> bool:
    """Whether any two of them have beaten for a while beside each other."""
    return any(
        min(one.at, other.at) - max(_began(one), _began(other)) > 2 * BEAT_EVERY
        for place, one in enumerate(those)
        for other in those[place + 1 :]
    )


def _began(beacon: Beacon) -> float:
    """When it was started, epoch seconds on Redis' clock."""
    return beacon.at - (beacon.beat * BEAT_EVERY if beacon.up is None else beacon.up)


def read_waiting(client: Redis, beacons: Iterable[Beacon]) -> Reading | None:
    """What waits, where that is needed to judge one of these workers: one round trip, or none.

    Raises:
        RedisError: Redis did not answer in time.
    """
    return read_queues(client, beacons) if any(map(_may_be_wedged, beacons)) else None


def judge(beacon: Beacon, now: float, reading: Reading | None) -> Judged:
    """The condition of a worker whose beacon burns.

    Args:
        now: on Redis' clock, epoch seconds.
        reading: what waits in the queues; None leaves that out.
    """
    age = max(now - beacon.at, 0.0)
    if age > SILENT_AFTER:
        return Judged(beacon, Condition.SILENT, age)
    if beacon.stopping:
        return Judged(beacon, Condition.STOPPING, age)
    if beacon.quiet is not None and beacon.quiet > STUCK_AFTER and not beacon.started:
        return Judged(beacon, Condition.WEDGED, age, f"its main loop has stood still for {beacon.quiet:,.0f} s")
    if reading is not None and (queue := _left_waiting(beacon, reading)):
        waits = reading.at - (reading.queues[queue].oldest or reading.at)
        why = f"a slot is free, and a message has waited in {queue} for {waits:,.0f} s"
        return Judged(beacon, Condition.WEDGED, age, why, queue)
    if beacon.quiet is not None and beacon.quiet > DEAF_AFTER:
        return Judged(beacon, Condition.DEAF, age)
    if beacon.at_once >= beacon.concurrency:
        return Judged(beacon, Condition.BUSY, age)
    return Judged(beacon, Condition.READY if beacon.queues else Condition.QUIET, age)


def judge_gone(beacon: Beacon, now: float) -> Judged:
    """The condition of a worker of which only last words are left."""
    return Judged(beacon, Condition.STOPPED if beacon.stopped else Condition.GONE, max(now - beacon.at, 0.0))


def releases(judged: Iterable[Judged]) -> Mapping[str, int]:
    """How many living workers are of each release that is told, most first."""
    counts: dict[str, int] = {}
    for one in judged:
        if one.alive and one.beacon.release not in ("", "unknown"):
            counts[one.beacon.release] = counts.get(one.beacon.release, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _may_be_wedged(beacon: Beacon) -> bool:
    """Whether it has a free slot and has not moved for long; a worker that does not tell is not judged."""
    still = beacon.moved is not None and min(beacon.moved, beacon.up or 0.0) > STUCK_AFTER
    return still and bool(beacon.queues) and beacon.at_once < beacon.concurrency and not beacon.stopping


def _left_waiting(beacon: Beacon, reading: Reading) -> str:
    """A queue of this worker in which something has waited too long while it could have taken it; "" for none."""
    if not _may_be_wedged(beacon):
        return ""
    for name in beacon.queues:
        depth = reading.queues.get(name)
        if depth and depth.ready and depth.oldest is not None and reading.at - depth.oldest > STUCK_AFTER:
            return name
    return ""
