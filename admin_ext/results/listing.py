"""The lists of stored results: what their addresses ask for, and everything that the pages show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from celery import states as celery_states
from django.contrib.admin.utils import quote
from django.db.models import Q, QuerySet
from django.urls import reverse
from django_celery_results.models import GroupResult, TaskResult

from admin_ext.parts.chips import UNKNOWN, Chip
from admin_ext.parts.keyset import PER_PAGE, NotAPosition, Position, link
from admin_ext.parts.words import plural
from admin_ext.runs.choices import job_options
from jobs.catalog.registry import job_title
from jobs.ledger.slices import WINDOW, Pool, Slice, begins_with, read_slice
from jobs.models import Run

SHORTEST_ID = 4
#: What the list never reads: a result may have megabytes.
HEAVY = ("result", "traceback", "meta", "task_args", "task_kwargs")
#: Celery's own states, as it writes them.
STATUS: dict[str, Chip] = {
    celery_states.PENDING: Chip("idle", "hourglass_empty", "Pending"),
    celery_states.RECEIVED: Chip("idle", "stacks", "Received"),
    celery_states.STARTED: Chip("live", "progress_activity", "Started"),
    celery_states.RETRY: Chip("warn", "autorenew", "Retry"),
    celery_states.SUCCESS: Chip("ok", "check_circle", "Success"),
    celery_states.FAILURE: Chip("bad", "error", "Failure"),
    celery_states.REVOKED: Chip("idle", "do_not_disturb_on", "Revoked"),
}


def status_chip(status: str) -> Chip:
    """The chip of a stored status; a state that a task invented keeps its own word."""
    return STATUS.get(status) or replace(UNKNOWN, word=status[:20] or UNKNOWN.word)


@dataclass(frozen=True, slots=True)
class ResultsAsked:
    """The parameters of the address, as given. `problem` says which of them makes no sense."""

    status: str = ""
    job: str = ""
    q: str = ""
    problem: str = ""

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> ResultsAsked:
        """Read and check them."""
        given = [parameters.get(name, "").replace("\0", "").strip()[:255] for name in ("status", "job", "q")]
        asked = cls(*given)
        if asked.status and asked.status not in STATUS:
            return replace(asked, problem=f"No stored status is called “{asked.status}”.")
        if 0 < len(asked.q) < SHORTEST_ID:
            short = f"Type at least {SHORTEST_ID} characters of the id; “{asked.q}” could be too many results."
            return replace(asked, problem=short)
        return asked

    def link(self, **changes: object) -> str:
        """The address of this view with some parameters changed, from its top."""
        return link(**{"status": self.status, "job": self.job, "q": self.q, **changes})

    def filters(self) -> list[tuple[str, str]]:
        """Each filter in words, with the address of the view without it."""
        named = [
            ("q", f"id {self.q}…" if self.q else ""),
            ("status", f"status {status_chip(self.status).word}" if self.status else ""),
            ("job", f"job {job_title(self.job)}" if self.job else ""),
        ]
        return [(words, self.link(**{name: ""})) for name, words in named if words]


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One line: `run` is the address of the run's page, "" where the ledger has no such run."""

    href: str
    chip: Chip
    title: str
    task_id: str
    worker: str
    done: datetime | None
    run: str


@dataclass(frozen=True, slots=True)
class ResultListPage:
    """Everything that the list shows.

    Attributes:
        further: why the page ended before it was full; "" when it did not.
    """

    asked: ResultsAsked
    statuses: tuple[tuple[str, str], ...]
    jobs: tuple[tuple[str, str], ...]
    rows: tuple[ResultRow, ...] = ()
    newer: str = ""
    older: str = ""
    further: str = ""


def result_list_page(parameters: Mapping[str, str]) -> ResultListPage:
    """Read the list that the address asks for: three queries at most, four when a page of newer ones is empty."""
    asked = ResultsAsked.of(parameters)
    try:
        position = Position.of(parameters)
    except NotAPosition:
        asked = replace(asked, problem="The address names a position in the list that does not exist.")
    statuses = tuple((name, chip.word) for name, chip in STATUS.items())
    if asked.problem:
        return ResultListPage(asked, statuses, job_options(asked.job))
    found = _read(asked, position)
    if not found.rows and position.after is not None and found.newer is None:
        found = _read(asked, Position())
    return ResultListPage(
        asked,
        statuses,
        job_options(asked.job),
        _rows(found.rows),
        newer=asked.link(after=found.newer) if found.newer is not None else "",
        older=asked.link(before=found.older) if found.older is not None else "",
        further=f"Looked at {plural(found.looked_at, 'result')}; look further." if found.looked_at else "",
    )


def _read(asked: ResultsAsked, position: Position) -> Slice[TaskResult]:
    results: QuerySet[TaskResult] = TaskResult.objects.defer(*HEAVY)
    # The package's indexes of status and of names know no order, so both are looked for in the newest rows.
    rest = Q()
    if asked.status:
        rest &= Q(status=asked.status)
    if asked.job:
        rest &= Q(task_name=asked.job)
    if asked.q:
        named = TaskResult.objects.filter(begins_with("task_id", asked.q)).order_by().values("pk")[:WINDOW]
        results = results.filter(pk__in=named)
    return read_slice(Pool(results), rest, before=position.before, after=position.after, limit=PER_PAGE)


def _rows(results: Iterable[Any]) -> tuple[ResultRow, ...]:
    results = tuple(results)
    known = run_links(result.task_id for result in results)
    return tuple(
        ResultRow(
            href=reverse("admin:django_celery_results_taskresult_change", args=[result.pk]),
            chip=status_chip(result.status),
            title=job_title(result.task_name) if result.task_name else "not named",
            task_id=result.task_id,
            worker=result.worker or "unknown",
            done=result.date_done,
            run=known.get(result.task_id, ""),
        )
        for result in results
    )


def run_links(task_ids: Iterable[str]) -> dict[str, str]:
    """The addresses of the runs that the ledger knows of these ids. One query, none without ids."""
    ids = list(task_ids)
    known = Run.objects.filter(task_id__in=ids).order_by().values_list("task_id", flat=True) if ids else ()
    return {task_id: reverse("admin:jobs_run_change", args=[quote(task_id)]) for task_id in known}


@dataclass(frozen=True, slots=True)
class GroupListPage:
    """Everything that the list of groups shows."""

    rows: tuple[GroupResult, ...] = ()
    newer: str = ""
    older: str = ""
    problem: str = ""


def group_list_page(parameters: Mapping[str, str]) -> GroupListPage:
    """Read the list of stored groups. One query, two when a page of newer ones is empty."""
    try:
        position = Position.of(parameters)
    except NotAPosition:
        return GroupListPage(problem="The address names a position in the list that does not exist.")
    pool = Pool(GroupResult.objects.defer("result"))
    found = read_slice(pool, Q(), before=position.before, after=position.after, limit=PER_PAGE)
    if not found.rows and position.after is not None:
        found = read_slice(pool, Q(), limit=PER_PAGE)
    return GroupListPage(
        found.rows,
        newer=link(after=found.newer) if found.newer is not None else "",
        older=link(before=found.older) if found.older is not None else "",
    )
