"""What happens when: the plan of a seed. The short form leaves out what needs long outages or a server."""

from __future__ import annotations

import random
from dataclasses import dataclass

#: Faults and how often each is done, in the long form.
OFTEN = {
    "worker group kill -9": 2,
    "pool child kill -9": 1,
    "worker SIGTERM then SIGKILL": 1,
    "worker SIGTERM": 1,
    "Redis kill -9, with its data": 2,
    "Redis kill -9, without its data": 2,
    "Redis frozen": 1,
    "FLUSHALL": 2,
    "Redis full": 1,
    "recorder kill -9": 1,
    "recorder frozen while another takes over": 1,
    "queue copied three times": 1,
    "web killed: web.before-commit": 1,
    "web killed: web.after-commit": 1,
    "web killed: web.after-response": 1,
    "recorder killed: ingest.before-commit": 1,
    "recorder killed: ingest.after-commit": 1,
    "recorder killed: ingest.after-response": 1,
    "recorder killed: dispatch.before-commit": 1,
    "recorder killed: dispatch.after-commit": 1,
    "recorder killed: dispatch.after-response": 1,
}
#: What the database itself does.
DATABASE = {
    "postgresql": {"database away 3 s": 1, "database away 30 s": 1},
    "sqlite": {"database away 12 s": 2},
}
SHORT = (
    "FLUSHALL",
    "Redis full",
    "Redis kill -9, without its data",
    "queue copied three times",
    "web killed: web.after-commit",
    "worker group kill -9",
    "recorder killed: dispatch.before-commit",
    "pool child kill -9",
    "old messages replayed",
    "recorder killed: ingest.after-commit",
)


@dataclass(frozen=True, slots=True)
class Step:
    """Wait so many seconds after the fault before, then do this one; "backup" is none."""

    pause: float
    name: str


@dataclass(frozen=True, slots=True)
class Scale:
    """How big the chaos is."""

    runs: int
    #: Runs asked for in a second.
    rate: float
    plan: list[Step]
    #: Compare as soon as every run has ended, instead of after a fixed time.
    hurry: bool


def long_plan(seed: int, kind: str) -> list[Step]:
    """The faults in an order of the seed; halfway the disk of Redis is full, towards the end one clock is off, and at
    the end a backup comes back."""
    chance = random.Random(seed)
    names = [name for name, times in {**OFTEN, **DATABASE[kind]}.items() for _ in range(times)]
    chance.shuffle(names)
    # A clock that is off stays, and old messages must have been seen before.
    copied = names.index("queue copied three times")
    names.insert(chance.randint(copied + 1, len(names)), "old messages replayed")
    names.insert(len(names) * 2 // 3, "a worker's clock two hours off")
    steps = [Step(chance.choice([2, 4, 6, 8]), name) for name in names]
    # After one kill nothing disturbs for a minute: what is lost must be told by then.
    quiet = names.index("worker group kill -9") + 1
    steps[quiet:quiet] = [Step(65, "pool child kill -9")]
    if kind == "postgresql":
        steps.insert(len(steps) // 3, Step(5, "database away 60 s with 500 runs queued"))
    steps.insert(len(steps) // 2, Step(5, "Redis cannot save"))
    middle = len(steps) * 3 // 4
    steps[middle:middle] = [Step(5, "backup")]
    return [*steps, Step(10, "database restored"), Step(10, "worker group kill -9")]


def short_plan(seed: int) -> list[Step]:
    """Ten faults within half a minute; Redis first, because the reaper waits until it has been steady."""
    return [Step(2, name) for name in SHORT]
