"""What stands before a run that can do harm: a dry run of the same values, and a typed word. The server checks both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from admin_ext.parts.words import duration
from jobs.catalog.registry import Danger, Job
from jobs.errors import InvalidArguments
from jobs.ledger.dry_runs import FRESH, fresh_dry_run
from jobs.models import Run

from .will_happen import Touched

_FRESH = duration(FRESH.total_seconds())


@dataclass(frozen=True, slots=True)
class Guard:
    """Whether a dry run stands before the real one.

    Attributes:
        needed: the job asks for one first.
        found: a fresh one with these values, by anyone.
        complete: the values could be checked at all.
    """

    needed: bool
    found: Run | None
    complete: bool

    @property
    def closed(self) -> bool:
        return self.needed and self.found is None

    @property
    def why(self) -> str:
        """Why the real run cannot be started now; "" when it can."""
        if not self.closed:
            return ""
        if not self.complete:
            return f"A dry run of the same values comes first; it counts for {_FRESH}."
        return f"No dry run of these values succeeded in the last {_FRESH}. Press Dry run, then run that one for real."


def guard_of(job: Job, arguments: Mapping[str, Any] | None) -> Guard:
    """The guard of these values; None for values that do not fit yet."""
    needed = bool(job.dry_run) and job.danger is Danger.DANGER
    if not job.dry_run or arguments is None:
        return Guard(needed, None, arguments is not None)
    try:
        return Guard(needed, fresh_dry_run(job, arguments), True)
    except InvalidArguments:
        return Guard(needed, None, False)


def why_not_confirmed(job: Job, typed: str, found: Touched | None) -> str:
    """What is wrong with the typed confirmation of a dangerous job; "" when it is right, or none is asked for."""
    if job.danger is not Danger.DANGER or typed == job.title:
        return ""
    count = found.count if found else None
    number = typed.replace(",", "").replace(" ", "")
    if count is None:
        return f"Type {job.title} to confirm."
    if number.isascii() and number.isdigit() and len(number) < 20:
        if int(number) == count:
            return ""
        return f"It touches {found.words if found else count} now, not {typed}. Look again, then type {count:,}."
    return f"Type {count:,} or {job.title} to confirm."
