"""The jobs of the chaos. Each writes what it does into the outside book, which nothing of the console reads."""

from __future__ import annotations

import json
import logging
import os
import time
from typing import Any

from celery import current_task

from jobs import job
from jobs.pipeline.facts import execution_number

logger = logging.getLogger(__name__)


class NotYetError(Exception):
    """What the retrying job fails with until it succeeds."""


def note(event: str) -> None:
    """Append one line in a single write; the clock is the machine's, whatever the process believes."""
    request: Any = current_task.request
    line = {
        "ev": event,
        "run": request.id,
        "n": execution_number(request),
        "t": time.clock_gettime(time.CLOCK_REALTIME),
        "pid": os.getpid(),
        "worker": request.hostname,
    }
    with open(os.environ["CHAOS_BOOK"], "ab", buffering=0) as book:
        book.write(json.dumps(line).encode() + b"\n")


def work(seconds: float) -> None:
    note("start")
    time.sleep(seconds)
    note("end")


@job(title="Chaos: short", group="Chaos")
def short(seconds: float = 0.02) -> float:
    """Takes a moment."""
    work(seconds)
    return seconds


@job(title="Chaos: short, idempotent", group="Chaos", idempotent=True)
def short_again(seconds: float = 0.02) -> float:
    """Takes a moment; may be started again."""
    work(seconds)
    return seconds


@job(title="Chaos: long", group="Chaos")
def long(seconds: float = 5) -> float:
    """Takes its time."""
    work(seconds)
    return seconds


@job(title="Chaos: long, idempotent", group="Chaos", idempotent=True)
def long_again(seconds: float = 5) -> float:
    """Takes its time; may be started again."""
    work(seconds)
    return seconds


@job(
    title="Chaos: retrying",
    group="Chaos",
    bind=True,
    autoretry_for=(NotYetError,),
    default_retry_delay=2,
    max_retries=5,
)
def retrying(self: Any, times: int = 1) -> int:
    """Asks for an automatic retry so many times, then succeeds."""
    note("start")
    if self.request.retries < times:
        note("retry")
        raise NotYetError(f"{self.request.retries} of {times}")
    note("end")
    return times


@job(title="Chaos: failing", group="Chaos")
def failing(code: int = 1) -> None:
    """Fails."""
    note("start")
    note("fail")
    raise ValueError(f"code {code}")


@job(title="Chaos: exit", group="Chaos")
def exits(code: int = 1) -> None:
    """Ends its own process."""
    note("start")
    os._exit(code)


@job(title="Chaos: exit, idempotent", group="Chaos", idempotent=True)
def exits_again(code: int = 1) -> None:
    """Ends its own process each time that it is started."""
    note("start")
    os._exit(code)


@job(title="Chaos: out of memory", group="Chaos")
def out_of_memory(megabytes: int = 1) -> None:
    """Is refused the memory that it asks for."""
    note("start")
    note("fail")
    raise MemoryError(f"{megabytes} MB")


@job(title="Chaos: big result", group="Chaos")
def big(characters: int = 600_000) -> str:
    """Returns more than history keeps."""
    work(0)
    return "x" * characters


@job(title="Chaos: talking", group="Chaos")
def talking(lines: int = 100) -> int:
    """Logs and succeeds."""
    note("start")
    for number in range(lines):
        logger.info("line %s", number)
    note("end")
    return lines


#: Jobs whose own code ends the process that runs them.
DEADLY = {exits.name, exits_again.name, out_of_memory.name}
IDEMPOTENT = {short_again.name, long_again.name, exits_again.name}
#: Task, arguments, and how many of a thousand runs are of it. Long ones last 5 to 20 s.
MIX: list[tuple[Any, dict[str, list[float]], int]] = [
    (short, {"seconds": [0, 0.02, 0.1]}, 430),
    (short_again, {"seconds": [0, 0.02, 0.1]}, 250),
    (long, {"seconds": [5, 8, 20]}, 10),
    (long_again, {"seconds": [5, 8, 20]}, 10),
    (retrying, {"times": [1, 2, 3]}, 120),
    (failing, {"code": [1, 2]}, 60),
    (exits, {"code": [1]}, 6),
    (exits_again, {"code": [1]}, 4),
    (out_of_memory, {"megabytes": [1]}, 3),
    (big, {"characters": [600_000]}, 7),
    (talking, {"lines": [20, 200]}, 100),
]
