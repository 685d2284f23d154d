"""The beacon: what each worker tells of itself in Redis every two seconds (`jobs.fleet.beat`), and how others read it.

What a worker said last is kept for some hours beyond its end.

A node name is chosen by people, and two workers may bear the same: what is told, claimed and judged is of a process, by
an id of its own that each start of a worker makes.
"""

from __future__ import annotations

import json
import os
import re
import uuid
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from socket import gethostname
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from .broker import BEACONS_KEY, PREFIX, key_of, undecoded
from .entries import ANOTHER_TYPE, LONGEST, answers_of, note_unreadable, read

#: Seconds between two beats, and how long one stays believable.
BEAT_EVERY = 2.0
BEACON_EXPIRES = 8
#: Seconds for which a vanished worker's last words are kept, and those of one that was stopped.
LAST_KEPT, STOPPED_KEPT = 6 * 3600, 3600

#: Where the pool's processes find the id of the worker process that they belong to.
_PROCESS = "OPSCONSOLE_WORKER_PROCESS"
#: So many workers are read.
MOST_WORKERS = 10_000

#: What a worker may tell; anything else is unreadable.
_Name = Annotated[str, Field(max_length=1000)]
_Moment = Annotated[float, Field(ge=0, lt=250_000_000_000)]
_Seconds = Annotated[float, Field(ge=-1e10, le=1e10)]
_Count = Annotated[int, Field(ge=0, lt=2**53)]
_Slots = Annotated[int, Field(ge=0, lt=1_000_000)]
_Number = Annotated[int, Field(ge=0, lt=2**31)]


@dataclass(frozen=True, slots=True)
class Beacon:
    """One worker as it last described itself.

    Attributes:
        worker: Celery's node name.
        boot: the id of this process: each start of a worker has another, and no two have the same.
        beat: counts up from 1 with each write of this boot.
        at: epoch seconds of the beat, on Redis' clock.
        running: the executions in progress, `{task_id: n}`; n is None for a run without the console's header.
    """

    worker: Annotated[_Name, Field(min_length=1)]
    boot: _Name
    beat: _Count
    at: _Moment
    pid: _Count
    release: _Name
    pool: _Name
    concurrency: _Slots
    queues: tuple[_Name, ...]
    running: dict[_Name, _Number | None]
    #: Of those that a pool process has taken up: `[epoch seconds of the start, retries]`.
    started: dict[_Name, tuple[_Moment, _Number]] = field(default_factory=dict)
    #: The mark of the storage in which this worker keeps files (`jobs/storage.py`); "" while it does not know.
    files: _Name = ""
    #: How many seconds this worker's clock is ahead of Redis'; None where its release does not tell.
    clock: _Seconds | None = None
    #: Which machine it is on (`machine_mark`); "" where its release does not tell.
    machine: _Name = ""
    #: Queue to the number of its executions that are at work, and of its messages taken since this boot; None where
    #: the worker's release does not tell.
    at_work: dict[_Name, _Number] | None = None
    taken: dict[_Name, _Count] | None = None
    #: Of those started that run longest: `[task name, pid of its process]`.
    tasks: dict[_Name, tuple[_Name, _Count | None]] = field(default_factory=dict)
    host: _Name = ""
    #: Seconds since this start of the worker.
    up: _Seconds | None = None
    #: How many messages it takes ahead of acknowledging; 0 without a bound.
    prefetch: _Number | None = None
    #: Executions begun since this start, and per minute over the last minute.
    processed: _Count | None = None
    pace: _Seconds | None = None
    #: Seconds since it last took, began or ended anything.
    moved: _Seconds | None = None
    #: Seconds since its main loop, which answers remote commands, last turned; None where it has none.
    quiet: _Seconds | None = None
    #: Resident bytes of its main process, and of each pool process by pid; None where its system does not tell.
    memory: _Count | None = None
    children: dict[_Name, _Count] | None = None
    load: _Seconds | None = None
    cpus: _Number | None = None
    #: Its last hour, as `jobs.fleet.vitals.read_trend` reads it.
    trend: Annotated[str, Field(max_length=10_000)] = ""
    #: Messages that it has received, not acknowledged and not named in `running`: mostly those held for a later time.
    #: None where its release does not tell.
    holds: _Count | None = None
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


_BEACONS = TypeAdapter(Beacon)
#: How JSON spells NUL and half characters, as a name from a file system may hold them.
_UNKEPT = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")


@dataclass(frozen=True, slots=True)
class Heard:
    """What the workers' beacons say.

    Attributes:
        at: the present moment on Redis' clock, epoch seconds.
        unreadable: how the index names workers whose beacon burns and cannot be read: nobody knows what they do.
        whole: False where even the list of them cannot be read.
    """

    beacons: tuple[Beacon, ...]
    at: float
    unreadable: frozenset[str] = frozenset()
    whole: bool = True

    def knows(self, worker: str, process: str) -> bool:
        """Whether a process that is not heard is gone; its id is "" where only the worker's name is known."""
        if not process and any(entry.endswith(f":{worker}") for entry in self.unreadable):
            return False
        return self.whole and not {worker, entry_of(worker, process)} & self.unreadable


@cache
def machine_mark() -> str:
    """The same text for every process, in whatever container, that one kernel runs; else the host's name."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return gethostname()


def begin_process() -> str:
    """A new id for this process, which runs a worker; its pool's processes find it by `this_process`."""
    os.environ[_PROCESS] = boot = uuid.uuid4().hex
    return boot


def this_process() -> str:
    """The id of the worker process that this one is or belongs to; "" outside of workers."""
    boot = os.environ.get(_PROCESS, "")
    return boot if re.fullmatch("[0-9a-f]{32}", boot) else ""


def entry_of(worker: str, boot: str) -> str:
    """How the index names a process; workers of an older release name themselves there by their node names alone."""
    return f"{boot}:{worker}" if boot else worker


def beacon_key(worker: str, boot: str = "") -> str:
    return key_of(f"{PREFIX}beacon:{entry_of(worker, boot)}")


def last_key(worker: str, boot: str = "") -> str:
    return key_of(f"{PREFIX}last:{entry_of(worker, boot)}")


# The index, and each beacon whose key holds a text that is not too long; else in its place what it is.
_HEARD = """
local names = redis.call('ZREVRANGE', KEYS[1], 0, tonumber(ARGV[2]) - 1)
local texts, budget = {}, 4 * tonumber(ARGV[3])
for number, name in ipairs(names) do
  local key = ARGV[1] .. name
  local size = redis.pcall('STRLEN', key)
  if type(size) ~= 'number' then texts[number] = 1
  elseif size > tonumber(ARGV[3]) or size > budget then texts[number] = 2
  else texts[number], budget = size > 0 and redis.call('GET', key) or 0, budget - size end
end
return {names, texts}
"""
_ODD = {1: ANOTHER_TYPE, 2: "it is too long"}


def read_beacons(client: Any) -> Heard:
    """Every burning beacon; one round trip.

    Raises:
        RedisError: Redis did not answer in time.
    """
    pipe = client.pipeline(transaction=False)
    pipe.time()
    undecoded(pipe, "EVAL", _HEARD, 1, key_of(BEACONS_KEY), beacon_key(""), MOST_WORKERS, LONGEST)
    (seconds, micros), answer = answers_of(pipe)
    at = seconds + micros / 1e6
    told = read(key_of(BEACONS_KEY), answer, lambda found: tuple(zip(*found, strict=True)), None)
    if told is None:
        return Heard((), at, whole=False)
    beacons, unreadable = [], set()
    for member, text in told:
        if text == 0:
            continue
        name = bytes(member).decode(errors="replace")
        if isinstance(text, int):
            note_unreadable(beacon_key(name), _ODD[text])
            beacon = None
        else:
            beacon = read(beacon_key(name), text, parsed, None)
        if beacon is None:
            unreadable.add(name)
        else:
            beacons.append(beacon)
    return Heard(tuple(beacons), at, frozenset(unreadable))


def parsed(text: bytes | str) -> Beacon:
    """A beacon from what its worker wrote; what this release does not know is left out.

    Raises:
        ValueError: no worker of a release that this one understands wrote it.
    """
    whole = text.decode() if isinstance(text, bytes) else text
    if _UNKEPT.search(whole):
        kept = json.dumps(json.loads(whole), ensure_ascii=False).replace("\\u0000", "")
        whole = kept.encode(errors="replace").decode()
    return _BEACONS.validate_json(whole)
