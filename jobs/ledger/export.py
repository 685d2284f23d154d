"""The verb *export runs*: a view of the ledger leaves the console as CSV, and the trail says to whom."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, tzinfo
from typing import Any

from django.utils import timezone

from jobs.catalog.registry import job_title
from jobs.models import Run
from jobs.text import in_zone

from .audit import Actor, Subject, record
from .readable import withheld_tasks
from .run_counts import run_counts
from .run_query import Place, RunQuery
from .run_slices import run_slice
from .summary import NOT_SHOWN
from .verbs import EXPORT_RUNS, require

logger = logging.getLogger(__name__)

MOST_ROWS = 100_000
_BATCH = 1_000
COLUMNS = (
    "id",
    "state",
    "job",
    "task",
    "source",
    "started by",
    "schedule",
    "asked for",
    "started",
    "finished",
    "wait s",
    "took s",
    "attempt",
    "queue",
    "worker",
    "error",
    "error message",
    "arguments",
    "retry of",
    "parent",
    "root",
)
#: What makes a spreadsheet take a text for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_BOM = "\ufeff"


class _Line:
    """A file that hands back what is written to it."""

    def write(self, text: str) -> str:
        return text


def export_runs(query: RunQuery, *, actor: Actor, filters: Mapping[str, str]) -> Iterator[str]:
    """The runs of `query` as lines of CSV, newest first, at most MOST_ROWS of them, read while they are sent.

    Args:
        filters: what was asked for in words, for the trail.

    Raises:
        NotPermitted: the actor may not see runs. At the call, before the first line.
    """
    words = ", ".join(filters.values())
    subject = Subject("runs", "", f"runs: {words}" if words else "all runs")
    require(EXPORT_RUNS, actor, subject)
    record(EXPORT_RUNS.name, actor, subject, details={"filters": dict(filters), "most_rows": MOST_ROWS})
    return _lines(replace(query, withheld=withheld_tasks(actor.may)), timezone.get_current_timezone())


def _lines(query: RunQuery, zone: tzinfo) -> Iterator[str]:
    writer = csv.writer(_Line())
    yield _BOM + writer.writerow(COLUMNS)
    place, left = None, MOST_ROWS
    while left > 0:
        runs, place = _batch(query, place, min(_BATCH, left))
        for run in runs:
            try:
                cells = _cells(run, zone)
            except Exception as error:
                logger.exception("Run %s could not be exported", run.task_id)
                cells = (_text(run.task_id), run.state, f"could not be written: {type(error).__name__}")
            yield writer.writerow(cells)
        left -= len(runs)
        if place is None:
            return


def _batch(query: RunQuery, place: Place | None, limit: int) -> tuple[list[Run], Place | None]:
    """Runs older than `place`, and where to go on; None at the end of the history."""
    found = run_slice(query, limit=limit, place=place)
    runs = [line.run for line in found.lines]
    if found.more:
        return runs, found.lines[-1].place
    return runs, run_counts(query, cap=0, shown=found, place=place).end if found.cut_short else None


def _cells(run: Run, zone: tzinfo) -> Sequence[Any]:
    asked = max(run.accepted_at, run.not_before or run.accepted_at)
    wait = max((run.started_at - asked).total_seconds(), 0.0) if run.started_at else ""
    took: float | str = "" if run.runtime is None else run.runtime
    summary = NOT_SHOWN if run.withheld else run.summary
    texts = (run.error_type, run.error_message, summary, run.retry_of.task_id if run.retry_of else "")
    return (
        _text(run.task_id),
        run.state,
        _text(job_title(run.task_name)),
        _text(run.task_name),
        run.source,
        _text(run.actor_label),
        _text(run.schedule_name),
        _moment(run.accepted_at, zone),
        _moment(run.started_at, zone),
        _moment(run.finished_at, zone),
        wait,
        took,
        run.attempt,
        _text(run.queue),
        _text(run.worker),
        *(_text(text) for text in texts),
        _text(run.parent_id),
        _text(run.root_id or ""),
    )


def _moment(at: datetime | None, zone: tzinfo) -> str:
    return in_zone(at, zone).isoformat() if at else ""


def _text(text: str) -> str:
    """A text that a spreadsheet does not run as a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text
