"""One line of a list of runs, in words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from jobs.ledger.lists import RunLine
from jobs.models import Run
from jobs.states import State

from .chips import Chip, run_chip
from .words import clock, duration


@dataclass(frozen=True, slots=True)
class Row:
    """What a list says of a run.

    Attributes:
        line: beneath the title: the key arguments, or what went wrong.
        trouble: the line tells of trouble and takes the state's tone.
        wait: from asked for to started.
        took: the run's own time; "not started" where it never began.
    """

    run: Run
    title: str
    chip: Chip
    line: str
    trouble: bool
    wait: str
    took: str


def rows(lines: tuple[RunLine, ...]) -> tuple[Row, ...]:
    """The lines in words, all at the same moment."""
    now = timezone.now()
    return tuple(_row(line, now) for line in lines)


def _row(line: RunLine, now: datetime) -> Row:
    trouble = trouble_line(line.run)
    return Row(
        run=line.run,
        title=line.title,
        chip=run_chip(line.run.state),
        line=trouble or line.arguments,
        trouble=bool(trouble),
        wait=wait_words(line.run, now),
        took=took_words(line.run, now),
    )


def trouble_line(run: Run) -> str:
    """What went wrong, in one line; "" when nothing did."""
    error = ": ".join(part for part in (run.error_type, run.error_message) if part)
    if run.state == State.FAILED:
        return error or "failed without a message"
    if run.state == State.LOST:
        return "its worker vanished, it may have partly run"
    if run.state == State.RETRYING:
        return f"attempt {run.attempt} ended, another follows" + (f": {error}" if error else "")
    return ""


def wait_words(run: Run, now: datetime) -> str:
    """How long it waited for a worker, or waits now."""
    asked = max(run.accepted_at, run.not_before or run.accepted_at)
    if run.state == State.WAITING and run.not_before:
        return f"until {clock(run.not_before, now)}"
    if run.started_at:
        return duration(max((run.started_at - asked).total_seconds(), 0.0))
    if run.state in {State.ACCEPTED, State.QUEUED}:
        return f"waits {duration(max((now - asked).total_seconds(), 0.0))}"
    return "not started" if run.attempt == 0 and run.is_finished else "unknown"


def took_words(run: Run, now: datetime) -> str:
    """How long it ran, or has been running."""
    if run.state == State.RUNNING:
        began = run.started_at or run.claimed_at
        return duration(max((now - began).total_seconds(), 0.0)) if began else "unknown"
    if run.runtime is not None:
        return duration(run.runtime)
    if run.started_at is None:
        return "not started"
    if run.finished_at is None:
        return "not ended"
    return duration(max((run.finished_at - run.started_at).total_seconds(), 0.0))
