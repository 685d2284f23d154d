"""Reports that ship with the console."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Literal

from celery import current_task
from django.template.loader import render_to_string
from django.utils import timezone
from pydantic import Field

from jobs import attach, check_cancelled, job
from jobs.catalog.registry import job_title
from jobs.errors import InvalidArguments
from jobs.models import Run
from jobs.states import FINISHED, State

Grouping = Literal["job", "queue", "worker", "schedule"]
#: A period that is longer is refused: the report reads every run of it.
MAX_DAYS = 366
#: Of which a report tells when nobody asks for another period.
USUAL_DAYS = 7
FirstDay = Annotated[
    date | None, Field(title="From", description="First day, in UTC. Without dates: the last days, see there.")
]
LastDay = Annotated[
    date | None, Field(title="To", description=f"Last day, included. At most {MAX_DAYS} days after the first.")
]
LastDays = Annotated[
    int | None,
    Field(
        title="Last days",
        description="So many full days before the day of the run, where no dates are given: the period of a schedule.",
        ge=1,
        le=MAX_DAYS,
    ),
]
_COLUMN: dict[Grouping, str] = {"job": "task_name", "queue": "queue", "worker": "worker", "schedule": "schedule_name"}
_UNNAMED: dict[Grouping, str] = {
    "job": "unnamed task",
    "queue": "queue not known",
    "worker": "not started",
    "schedule": "no schedule",
}


@dataclass(slots=True)
class Row:
    """One line of the report; durations and waits in seconds, None where no run has one."""

    name: str
    runs: int = 0
    succeeded: int = 0
    failed: int = 0
    lost: int = 0
    durations: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    def cells(self) -> list[object]:
        return [
            self.name,
            self.runs,
            self.succeeded,
            self.failed,
            self.lost,
            *(percentile(values, share) for values in (self.durations, self.waits) for share in (0.5, 0.95)),
        ]


HEADINGS = (
    "runs",
    "succeeded",
    "failed",
    "lost",
    "p50 duration, s",
    "p95 duration, s",
    "p50 wait, s",
    "p95 wait, s",
)


def possible_period(start: date | None, end: date | None, last_days: int | None, **_: Any) -> None:
    """Raises InvalidArguments for one date alone, for a period that ends before it starts, or is longer than may be."""
    if start is None and end is None:
        return
    if start is None or end is None:
        sentence = "Enter the other date too, or none: then the last days count."
        raise InvalidArguments({name: sentence for name, day in (("start", start), ("end", end)) if day is None})
    if end < start:
        raise InvalidArguments({"end": f"The period ends before it starts, on {start}. Swap the two dates."})
    if (end - start).days > MAX_DAYS:
        raise InvalidArguments(
            {"end": f"The period has {(end - start).days + 1} days; at most {MAX_DAYS + 1} are read."}
        )


def period(start: date | None, end: date | None, last_days: int | None) -> tuple[date, date]:
    """First and last day: the two dates, else the full days before the one on which the run was due or asked for."""
    if start and end:
        return start, end
    day = _asked_on()
    return day - timedelta(days=last_days or USUAL_DAYS), day - timedelta(days=1)


def moments(start: date, end: date) -> tuple[datetime, datetime]:
    """When these UTC days, both included, begin and end; the end does not belong to them."""
    return datetime.combine(start, time.min, UTC), datetime.combine(end, time.min, UTC) + timedelta(days=1)


def _asked_on() -> date:
    """The UTC day that a run which may have waited for hours is about."""
    task_id = current_task.request.id if current_task else None
    known = Run.objects.filter(task_id=task_id).values_list("due_at", "accepted_at").first() if task_id else None
    due_at, accepted_at = known or (None, None)
    return (due_at or accepted_at or timezone.now()).astimezone(UTC).date()


@job(
    title="Task activity report",
    group="Reports",
    queue="reports",
    idempotent=True,
    check=possible_period,
    soft_time_limit=1500,
    time_limit=1800,
)
def task_activity_report(
    start: FirstDay = None,
    end: LastDay = None,
    last_days: LastDays = USUAL_DAYS,
    group_by: Annotated[Grouping, Field(title="Group by", description="One line of the report for each.")] = "job",
) -> str:
    """Runs, failures, durations and waits for a period, as CSV and as an HTML page.

    Counts the runs that were asked for in the period, whatever became of them since. Files: `task-activity.csv` and
    `task-activity.html`.

    Returns:
        One sentence with the totals.
    """
    start, end = period(start, end, last_days)
    rows = activity(start, end, group_by)
    runs, failed = sum(row.runs for row in rows), sum(row.failed + row.lost for row in rows)
    attach("task-activity.csv", _csv(rows, group_by), content_type="text/csv", rows=len(rows))
    page = render_to_string(
        "jobs/task_activity.html",
        {
            "start": start,
            "end": end,
            "group_by": group_by,
            "headings": HEADINGS,
            "rows": [row.cells() for row in rows],
            "runs": runs,
            "failed": failed,
            "made_at": timezone.now(),
        },
    )
    attach("task-activity.html", page, content_type="text/html", rows=len(rows))
    return f"{_plural(runs, 'run')} in {_plural(len(rows), 'line')} from {start} to {end}; {failed:,} failed or lost."


def activity(start: date, end: date, group_by: Grouping) -> list[Row]:
    """The report's lines, most runs first; days are UTC days, both included. Memory grows with the period's runs."""
    column = _COLUMN[group_by]
    since, until = moments(start, end)
    facts = Run.objects.filter(accepted_at__gte=since, accepted_at__lt=until).order_by()
    rows: dict[str, Row] = {}
    columns = (column, "state", "runtime", "accepted_at", "not_before", "started_at")
    for key, state, runtime, accepted, not_before, started in facts.values_list(*columns).iterator(chunk_size=5000):
        check_cancelled()
        row = rows.setdefault(key, Row(_name(key, group_by)))
        row.runs += 1
        row.succeeded += state == State.SUCCEEDED
        row.failed += state == State.FAILED
        row.lost += state == State.LOST
        if runtime is not None and state in FINISHED:
            row.durations.append(runtime)
        if started is not None:
            row.waits.append(max((started - max(accepted, not_before or accepted)).total_seconds(), 0.0))
    return sorted(rows.values(), key=lambda row: (-row.runs, row.name))


def percentile(values: list[float], share: float) -> float | None:
    """The nearest-rank percentile of `values`, rounded to milliseconds; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    return round(ordered[max(math.ceil(len(ordered) * share) - 1, 0)], 3)


def safe_cell(value: Any) -> Any:
    """A CSV cell that no spreadsheet takes for a formula: text that begins like one gets an apostrophe."""
    if isinstance(value, str) and value.lstrip().startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r")):  # noqa: RUF001
        return "'" + value
    return value


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _name(key: str, group_by: Grouping) -> str:
    if not key:
        return _UNNAMED[group_by]
    return job_title(key) if group_by == "job" else key


def _csv(rows: Iterable[Row], group_by: Grouping) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow([group_by, *HEADINGS])
    for row in rows:
        writer.writerow([safe_cell("" if cell is None else cell) for cell in row.cells()])
    return buffer.getvalue()
