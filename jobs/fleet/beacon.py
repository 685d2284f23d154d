"""The beacon: what each worker tells of itself in Redis every two seconds (`jobs.fleet.beat`), and how others read it.

What a worker said last is kept for some hours beyond its end.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from socket import gethostname
from typing import Any

from pydantic_core import from_json

from .broker import BEACONS_KEY, PREFIX

#: Seconds between two beats, and how long one stays believable.
BEAT_EVERY = 2.0
BEACON_EXPIRES = 8
#: Seconds for which a vanished worker's last words are kept, and those of one that was stopped.
LAST_KEPT, STOPPED_KEPT = 6 * 3600, 3600


@dataclass(frozen=True, slots=True)
class Beacon:
    """One worker as it last described itself.

    Attributes:
        worker: Celery's node name.
        boot: identifies this start of the worker; a restarted one has another.
        beat: counts up from 1 with each write of this boot.
        at: epoch seconds of the beat, on Redis' clock.
        running: the executions in progress, `{task_id: n}`; n is None for a run without the console's header.
    """

    worker: str
    boot: str
    beat: int
    at: float
    pid: int
    release: str
    pool: str
    concurrency: int
    queues: tuple[str, ...]
    running: dict[str, int | None]
    #: Of those that a pool process has taken up: `[epoch seconds of the start, retries]`.
    started: dict[str, list[float]] = field(default_factory=dict)
    #: The mark of the storage in which this worker keeps files (`jobs/storage.py`); "" while it does not know.
    files: str = ""
    #: How many seconds this worker's clock is ahead of Redis'; None where its release does not tell.
    clock: float | None = None
    #: Which machine it is on (`machine_mark`); "" where its release does not tell.
    machine: str = ""
    #: Queue to the number of its executions that are at work, and of its messages taken since this boot; None where
    #: the worker's release does not tell.
    at_work: dict[str, int] | None = None
    taken: dict[str, int] | None = None
    #: Of those started that run longest: `[task name, pid of its process]`.
    tasks: dict[str, list[Any]] = field(default_factory=dict)
    host: str = ""
    #: Seconds since this start of the worker.
    up: float | None = None
    #: How many messages it takes ahead of acknowledging; 0 without a bound.
    prefetch: int | None = None
    #: Executions begun since this start, and per minute over the last minute.
    processed: int | None = None
    pace: float | None = None
    #: Seconds since it last took, began or ended anything.
    moved: float | None = None
    #: Seconds since its main loop, which answers remote commands, last turned; None where it has none.
    quiet: float | None = None
    #: Resident bytes of its main process, and of each pool process by pid; None where its system does not tell.
    memory: int | None = None
    children: dict[str, int] | None = None
    load: float | None = None
    cpus: int | None = None
    #: Its last hour, as `jobs.fleet.vitals.read_trend` reads it.
    trend: str = ""
    #: Messages that it has received, not acknowledged and not named in `running`: mostly those held for a later time.
    #: None where its release does not tell.
    holds: int | None = None
    #: It has been told to stop and ends what it runs.
    stopping: bool = False
    #: It has stopped, orderly; only in last words.
    stopped: bool = False

    @property
    def at_once(self) -> int:
        """How many of its slots are in use."""
        return min(len(self.started), self.concurrency)

    @property
    def body(self) -> int | None:
        """Resident bytes of its main process and its pool processes together; None where that is not told."""
        if self.memory is None or self.children is None:
            return None
        return self.memory + sum(self.children.values())

    @property
    def reserved(self) -> int:
        """What it has received and not begun."""
        return max(len(self.running) - len(self.started), 0)


_FIELDS = frozenset(one.name for one in fields(Beacon))


@cache
def machine_mark() -> str:
    """The same text for every process, in whatever container, that one kernel runs; else the host's name."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return gethostname()


def beacon_key(worker: str) -> str:
    return f"{PREFIX}beacon:{worker}"


def last_key(worker: str) -> str:
    return f"{PREFIX}last:{worker}"


def read_beacons(client: Any) -> tuple[list[Beacon], float]:
    """Every burning beacon, and the present moment on Redis' clock (epoch seconds); two round trips.

    Raises:
        RedisError: Redis did not answer in time.
    """
    names: list[str] = client.zrange(BEACONS_KEY, 0, -1)
    pipe = client.pipeline(transaction=False)
    pipe.time()
    if names:
        pipe.mget([beacon_key(name) for name in names])
    (seconds, micros), *answers = pipe.execute()
    texts: list[str | None] = answers[0] if answers else []
    return [parsed(text) for text in texts if text is not None], seconds + micros / 1e6


def parsed(text: str) -> Beacon:
    """A beacon from what its worker wrote."""
    try:
        # A page reads a thousand of them: this takes half the time of the standard library's.
        values = from_json(text)
    except ValueError:  # it knows no half characters, which a name from a file system may hold
        values = json.loads(text)
    for unknown in values.keys() - _FIELDS:  # a worker of a later release may tell more than this one knows
        del values[unknown]
    values["queues"] = tuple(values["queues"])
    return Beacon(**values)
