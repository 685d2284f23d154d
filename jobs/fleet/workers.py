"""The workers as pages see them: from the beacons, in bounded time, with their age; unknown is not zero."""

from __future__ import annotations

import time
from dataclasses import dataclass

from .beacon import Beacon, read_beacons
from .breaker import Away, ask, away, silent_for
from .broker import PROBE_KEY, Redis, RedisRefused, key_of, undecoded
from .entries import answers_of, read
from .hazards import HAZARDS_KEY, Hazard, told
from .quarantined import QUARANTINE_KEY, Quarantined, quarantined


@dataclass(frozen=True, slots=True)
class Fleet:
    """What the beacons say. `known` is False when Redis did not answer; then `beacons` is empty and means nothing."""

    known: bool
    beacons: tuple[Beacon, ...] = ()
    #: The present moment on Redis' clock, epoch seconds.
    read_at: float = 0.0
    #: Seconds since Redis last answered this process; None when it never has.
    silent_for: float | None = None
    #: Since when and how Redis fails this process; None where it answered, or was never asked.
    away: Away | None = None
    #: Why Redis takes no writes, in its own words; "" while it takes them.
    refuses: str = ""
    #: What the recorder found unsafe about Redis, the clocks and the machines.
    hazards: tuple[Hazard, ...] = ()
    #: Messages that workers could not read.
    quarantined: Quarantined | None = None

    def having(self, worker: str, process: str) -> tuple[Beacon, ...]:
        """The processes of which a run that names these can be: one at most, where the claim tells the process."""
        return tuple(one for one in self.beacons if (one.boot == process if process else one.worker == worker))

    @property
    def slots(self) -> int:
        return sum(beacon.concurrency for beacon in self.beacons)

    @property
    def busy(self) -> int:
        return sum(beacon.at_once for beacon in self.beacons)

    @property
    def oldest_beat(self) -> float:
        """Age of the stalest beat, in seconds."""
        return max((self.read_at - beacon.at for beacon in self.beacons), default=0.0)


def read_fleet() -> Fleet:
    """Every worker with a burning beacon; at most 1.2 s, and at once while Redis is known to be away."""
    return ask(_read) or Fleet(known=False, silent_for=silent_for(), away=away())


def _read(client: Redis) -> Fleet:
    refuses = refusal(client)
    heard = read_beacons(client)
    pipe = client.pipeline(transaction=False)
    pipe.get(key_of(HAZARDS_KEY))
    pipe.llen(key_of(QUARANTINE_KEY))
    undecoded(pipe, "LINDEX", key_of(QUARANTINE_KEY), 0)
    hazards, count, newest = answers_of(pipe)
    return Fleet(
        known=True,
        beacons=tuple(sorted(heard.beacons, key=lambda beacon: (beacon.worker, beacon.boot))),
        read_at=heard.at,
        silent_for=0.0,
        refuses=refuses,
        hazards=read(key_of(HAZARDS_KEY), hazards, told, ()),
        quarantined=read(key_of(QUARANTINE_KEY), newest, lambda entry: quarantined(count, entry), None),
    )


def refusal(client: Redis) -> str:
    """Why Redis takes no writes, in its own words; "" while it does. Found by a write: reads go on when it is full, a
    replica or cannot save.

    Raises:
        RedisError: it does not answer.
    """
    try:
        client.set(key_of(PROBE_KEY), str(time.time()), ex=60)
    except RedisRefused as error:
        return str(error)
    return ""
