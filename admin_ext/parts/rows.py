"""One line of a list of runs, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.urls import NoReverseMatch
from django.utils import timezone

from jobs.ledger.durations import Usual
from jobs.ledger.run_slices import RunLine
from jobs.ledger.summary import DRY_RUN, told_dry
from jobs.models import Run
from jobs.states import State

from .chips import Chip, run_chip
from .places import place
from .words import clock, duration

#: A run that is less than this behind what is usual is not called late, however alike its job's runs are.
LATE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Bar:
    """How long a run took or has been running, against what is usual: lengths in per cent of the drawing.

    Attributes:
        tone: live, warn or idle.
        tick: where half of the job's runs have ended.
        usually: `usually 4 min`.
        within: `95 % within 7 min`.
        late: longer than 95 % of them.
    """

    width: str
    tick: str
    tone: str
    usually: str
    within: str
    late: bool


@dataclass(frozen=True, slots=True)
class Row:
    """What a list says of a run.

    Attributes:
        line: beneath the title: the key arguments, or what went wrong.
        trouble: the line tells of trouble and takes the state's tone.
        wait: from asked for to started.
        took: the run's own time; "not started" where it never began.
        bar: the same against what is usual; None where that is not known.
        schedule_href: the page of the schedule that started it; "" where none did or it has no page.
    """

    run: Run
    title: str
    chip: Chip
    line: str
    trouble: bool
    wait: str
    took: str
    bar: Bar | None = None
    schedule_href: str = ""

    @property
    def worker(self) -> str:
        return self.run.worker or "none"


def rows(
    lines: tuple[RunLine, ...], usual: Mapping[str, Usual] | None = None, *, link_schedules: bool = False
) -> tuple[Row, ...]:
    """The lines in words, all at the same moment.

    Args:
        usual: how long the tasks usually take, by name.
        link_schedules: the viewer may open the schedules that started runs.
    """
    now = timezone.now()
    return tuple(_row(line, now, (usual or {}).get(line.run.task_name), link_schedules) for line in lines)


def _row(line: RunLine, now: datetime, usual: Usual | None, link_schedules: bool) -> Row:
    trouble = "" if line.run.withheld else trouble_line(line.run)
    if trouble and told_dry(line.run):  # in the arguments it is said already
        trouble = f"{DRY_RUN}: {trouble}"
    return Row(
        run=line.run,
        title=line.title,
        chip=run_chip(line.run.state),
        line=trouble or line.arguments,
        trouble=bool(trouble),
        wait=wait_words(line.run, now),
        took=took_words(line.run, now),
        bar=bar_of(line.run, usual, now) if usual else None,
        schedule_href=schedule_url(line.run) if link_schedules else "",
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
    seconds = _seconds(run, now)
    if seconds is not None:
        return duration(seconds)
    if run.state == State.RUNNING:
        return "unknown"
    return "not started" if run.started_at is None else "not ended"


def _seconds(run: Run, now: datetime) -> float | None:
    if run.state == State.RUNNING:
        began = run.started_at or run.claimed_at
        return max((now - began).total_seconds(), 0.0) if began else None
    if run.runtime is not None:
        return run.runtime
    if run.started_at is None or run.finished_at is None:
        return None
    return max((run.finished_at - run.started_at).total_seconds(), 0.0)


def bar_of(run: Run, usual: Usual, now: datetime) -> Bar | None:
    """The bar of a run that has begun; None for any other."""
    seconds = _seconds(run, now)
    if seconds is None:
        return None
    # The usual length always fits, with a little room for its tick.
    longest = max(seconds, usual.p50 * 1.05, 0.001)
    late = seconds > usual.p95 and seconds - usual.p50 >= LATE_SECONDS
    return Bar(
        width=f"{max(seconds / longest * 100, 1):.1f}%",
        tick=f"{usual.p50 / longest * 100:.1f}%",
        tone="warn" if late else "live" if run.state == State.RUNNING else "idle",
        usually=f"usually {duration(usual.p50)}",
        within=f"95 % within {duration(usual.p95)}",
        late=late,
    )


def schedule_url(run: Run) -> str:
    """The page of the schedule that started the run; "" where none did or schedules have no page."""
    if run.schedule_id is None:
        return ""
    try:
        return f"{place('admin:django_celery_beat_periodictask_changelist')}{run.schedule_id}/change/"
    except NoReverseMatch:
        return ""
