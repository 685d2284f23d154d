"""Jobs that tell whether the console itself works: for those who run it, not for those who work with it."""

from __future__ import annotations

import logging
import os
import signal
import time
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, SecretStr

from jobs import File, attach, check_cancelled, job, progress
from jobs.catalog.registry import RUN_ANY_TASK
from jobs.ledger.people import User

from .tables import counted

logger = logging.getLogger(__name__)
GROUP = "Diagnostics"


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


class DeliberateFailure(Exception):
    """Raised because somebody asked for it."""


@job(title="Echo the parameters", group=GROUP, permission=RUN_ANY_TASK, idempotent=True)
def echo(
    text: str = "",
    long_text: Annotated[str, Field(max_length=5000, description="Several lines.")] = "",
    whole_number: Annotated[int, Field(ge=-1000, le=1000)] = 0,
    number: float | None = None,
    decimal: Decimal | None = None,
    switch: bool = False,
    day: date | None = None,
    moment: datetime | None = None,
    duration: timedelta | None = None,
    uuid: UUID | None = None,
    option: Literal["one", "two", "three"] = "one",
    size: Size | None = None,
    sizes: list[Size] | None = None,
    numbers: list[int] | None = None,
    days: list[date] | None = None,
    person: User | None = None,
    people: list[User] | None = None,
    file: File | None = None,
    secret: SecretStr | None = None,
    anything: Annotated[Any, Field(description="Any JSON.")] = None,
) -> dict[str, str]:
    """Gives back what it receives, with the type that the job's body sees. A secret stays one.

    Returns:
        Type and value of each parameter that was given.
    """
    given = {name: value for name, value in locals().items() if value not in (None, "")}
    return {name: f"{type(value).__name__}: {value}"[:500] for name, value in given.items()}


@job(title="Wait", group=GROUP, permission=RUN_ANY_TASK, idempotent=True, soft_time_limit=3700, time_limit=3720)
def wait(seconds: Annotated[int, Field(ge=0, le=3600)] = 10) -> str:
    """Does nothing for some seconds, and shows its progress."""
    for _ in progress(range(seconds), noun="seconds"):
        check_cancelled()
        time.sleep(1)
    return f"Waited {counted(seconds, 'second')}."


@job(title="Fail on purpose", group=GROUP, permission=RUN_ANY_TASK, retry="safe")
def fail(message: Annotated[str, Field(max_length=500)] = "Somebody asked for this failure.") -> None:
    """Fails with the message that you give.

    Raises:
        DeliberateFailure: always.
    """
    raise DeliberateFailure(message)


@job(
    title="Crash on purpose",
    group=GROUP,
    permission=RUN_ANY_TASK,
    danger="caution",
    retry="safe",
    runbook="It is meant to end as lost. Where the worker runs its jobs in threads, the whole worker dies.",
)
def crash() -> None:
    """Kills the process that runs it, as the kernel does when memory runs out. The run is told as lost."""
    os.kill(os.getpid(), signal.SIGKILL)


@job(title="Write log lines", group=GROUP, permission=RUN_ANY_TASK, idempotent=True)
def log_lines(
    lines: Annotated[int, Field(ge=0, le=100_000)] = 100,
    level: Literal["debug", "info", "warning", "error"] = "info",
) -> str:
    """Writes so many lines to the log; the run's page keeps the last 1,000."""
    number = logging.getLevelNamesMapping()[level.upper()]
    for line in progress(range(1, lines + 1), noun="lines"):
        check_cancelled()
        logger.log(number, "Line %s of %s.", line, lines)
    return f"Wrote {counted(lines, 'line')}."


@job(title="Attach a file", group=GROUP, permission=RUN_ANY_TASK, idempotent=True)
def attach_a_file(kilobytes: Annotated[int, Field(ge=1, le=10_000, title="Size, kB")] = 1) -> str:
    """Attaches a text file of some size: whether workers and the pages see the same storage."""
    attach("diagnostics.txt", ("0123456789" * 100) * kilobytes, content_type="text/plain")
    return f"Attached {kilobytes:,} kB."


@job(title="Use memory", group=GROUP, permission=RUN_ANY_TASK, danger="caution", idempotent=True)
def use_memory(
    megabytes: Annotated[int, Field(ge=1, le=1024, title="Memory, MB")] = 100,
    seconds: Annotated[int, Field(ge=0, le=300, description="How long it is held.")] = 5,
) -> str:
    """Takes memory and holds it for a while. A process that has used more than it may is replaced afterwards."""
    held: list[bytearray] = []
    for _ in progress(range(megabytes), noun="MB"):
        check_cancelled()
        held.append(bytearray(os.urandom(1024) * 1024))
    for _ in range(seconds):
        check_cancelled()
        time.sleep(1)
    return f"Held {len(held):,} MB for {counted(seconds, 'second')}."
