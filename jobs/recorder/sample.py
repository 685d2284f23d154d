"""The sampler: what the queues hold every five seconds, how fast they fill and empty, and names that nobody expects."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass

import redis

from jobs.fleet.beacon import BEAT_EVERY, Beacon, read_beacons
from jobs.fleet.broker import key_of, transport_option, undecoded
from jobs.fleet.entries import answers_of, read
from jobs.fleet.queues import Reading, configured, read_queues
from jobs.fleet.samples import FINE, Latest, Point, write_samples

#: Rates are measured over so many seconds, and unknown while fewer than the least have been seen.
WINDOW = 60
LEAST_WINDOW = 15
#: A queue grows when within so many seconds it has become longer by so many messages and by this part.
GROWTH_WINDOW = 300
GROWTH = 20
GROWTH_PART = 0.25
#: Keys that one step looks at for bindings, and how many names of queues besides the configured ones it keeps.
SCANNED = 2000
MOST_FOUND = 1000
#: Celery's own queues, to which nobody publishes jobs.
_EVENTS, _REPLIES = "celeryev", "celery.pidbox"


@dataclass(frozen=True, slots=True)
class Flow:
    """What went through the queues between two samples; queues of `unknown` were not measured."""

    seconds: float
    arrived: Mapping[str, int]
    left: Mapping[str, int]
    unknown: frozenset[str]


class Sampler:
    """One instance a leading recorder; forgets what it has measured when the leadership changes."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self.forget()

    def forget(self) -> None:
        """Begin anew: after an outage nobody knows what went through the queues meanwhile."""
        self._slot = 0
        self._before: tuple[Reading, dict[str, Beacon]] | None = None
        self._flows: deque[Flow] = deque()
        self._depths: deque[tuple[float, dict[str, int]]] = deque()
        self._cursor = 0
        self._bindings: set[bytes] = set()
        self._found: set[str] = set()

    def step(self) -> int:
        """Measure once in five seconds; always 0, because nothing waits to be done.

        Raises:
            RedisError: nothing was kept.
        """
        slot = int(time.time() // FINE.step)
        if slot == self._slot:
            return 0
        beacons = read_beacons(self._client).beacons
        self._look_for_queues()
        reading = read_queues(self._client, beacons, self._found)
        flow = self._flow(reading, {beacon.boot: beacon for beacon in beacons})
        self._remember(reading, flow)
        rates = self._rates(reading)
        latest = Latest(
            at=reading.at,
            window=sum(one.seconds for one in self._flows),
            rates=rates,
            growing=tuple(name for name in reading.queues if self._grows(name, reading, rates)),
            found=tuple(sorted(self._found)),
        )
        write_samples(self._client, _points(reading, flow), latest)
        self._slot = slot
        return 0

    def _look_for_queues(self) -> None:
        """One portion of the keys, in search of kombu's bindings; what those known name now."""
        pipe = self._client.pipeline(transaction=False)
        match = key_of("_kombu.binding.*")
        undecoded(pipe, "SCAN", self._cursor, "MATCH", match, "COUNT", SCANNED, "TYPE", "set")
        known = sorted(self._bindings)
        for key in known:
            undecoded(pipe, "SRANDMEMBER", key, MOST_FOUND)
        (cursor, keys), *answers = answers_of(pipe)
        members = [read(_name(key), answer, list, []) for key, answer in zip(known, answers, strict=True)]
        self._cursor = int(cursor)
        if len(self._bindings) < MOST_FOUND:
            self._bindings.update(keys)
        # A set whose last member went is no key any more.
        self._bindings.difference_update(key for key, found in zip(known, members, strict=True) if not found)
        between = str(transport_option("sep", "\x06\x16")).encode()
        names = {_name(member.split(between)[-1]) for found in members for member in found} - {"", *configured()}
        strange = sorted(name for name in names if not name.startswith(_EVENTS) and not name.endswith(_REPLIES))
        self._found = set(strange[:MOST_FOUND])

    def _flow(self, reading: Reading, beacons: dict[str, Beacon]) -> Flow | None:
        """What happened since the sample before; None for the first one.

        Workers tell how many messages they have taken in all. What came in is that, and by how much the queue has
        become longer.
        """
        before, self._before = self._before, (reading, beacons)
        if before is None:
            return None
        then, those = before
        left: dict[str, int] = defaultdict(int)
        unknown: set[str] = set()
        for boot, beacon in beacons.items():
            earlier = those.get(boot)
            began_since = beacon.at - beacon.beat * BEAT_EVERY >= then.at - 2 * BEAT_EVERY
            if beacon.taken is None or (earlier is None and not began_since):
                unknown.update(beacon.queues)
                continue
            for name, count in beacon.taken.items():
                left[name] += max(count - ((earlier and earlier.taken) or {}).get(name, 0), 0)
        arrived = {
            name: depth.ready - (then.queues[name].ready if name in then.queues else 0) + left.get(name, 0)
            for name, depth in reading.queues.items()
        }
        return Flow(max(reading.at - then.at, 0.001), arrived, left, frozenset(unknown))

    def _remember(self, reading: Reading, flow: Flow | None) -> None:
        if flow is not None:
            self._flows.append(flow)
        while sum(one.seconds for one in self._flows) > WINDOW + FINE.step:
            self._flows.popleft()
        if not self._depths or reading.at - self._depths[-1][0] >= 30:
            self._depths.append((reading.at, {name: depth.ready for name, depth in reading.queues.items()}))
        while self._depths and reading.at - self._depths[0][0] > GROWTH_WINDOW + 30:
            self._depths.popleft()

    def _rates(self, reading: Reading) -> dict[str, tuple[float, float] | None]:
        seconds = sum(one.seconds for one in self._flows)
        if seconds < LEAST_WINDOW:
            return dict.fromkeys(reading.queues)
        rates: dict[str, tuple[float, float] | None] = {}
        for name in reading.queues:
            arrived = sum(one.arrived.get(name, 0) for one in self._flows)
            left = sum(one.left.get(name, 0) for one in self._flows)
            # More went than anybody told of: somebody else consumes it, or it was purged.
            if any(name in one.unknown for one in self._flows) or arrived < 0:
                rates[name] = None
            elif arrived or left:
                rates[name] = (round(arrived * 60 / seconds, 1), round(left * 60 / seconds, 1))
        return rates

    def _grows(self, name: str, reading: Reading, rates: Mapping[str, tuple[float, float] | None]) -> bool:
        oldest = self._depths[0] if self._depths else None
        if oldest is None or reading.at - oldest[0] < GROWTH_WINDOW - 30:
            return False
        then, now, rate = oldest[1].get(name, 0), reading.queues[name].ready, rates.get(name, (0, 0))
        return now - then >= max(GROWTH, then * GROWTH_PART) and (rate is None or rate[0] > rate[1])


def _points(reading: Reading, flow: Flow | None) -> dict[str, Point]:
    points = {}
    for name, depth in reading.queues.items():
        known = flow is not None and name not in flow.unknown
        points[name] = Point(
            ready=depth.ready,
            oldest=max(int(reading.at - depth.oldest), 0) if depth.oldest else 0,
            seconds=round(flow.seconds) if flow and known else 0,
            arrived=flow.arrived.get(name, 0) if flow and known else 0,
            left=flow.left.get(name, 0) if flow and known else 0,
        )
    return points


def _name(text: bytes) -> str:
    """A queue's name; "" for what is no text."""
    try:
        return text.decode()
    except UnicodeDecodeError:
        return ""
