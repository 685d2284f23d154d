"""One page of a list of runs, read both ways from a place in it, in one statement or two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import BooleanField, Exists, Q, QuerySet
from django.db.models.expressions import RawSQL

from jobs.catalog.registry import job_title
from jobs.models import Run

from .readable import NOTHING, Withheld, readable
from .run_query import (
    NEWEST_FIRST,
    OLDEST_FIRST,
    Place,
    Pool,
    RunQuery,
    beyond,
    found_by_index,
    pool_of,
    search_is_indexed,
)
from .summary import key_arguments

Sql = tuple[str, tuple[Any, ...]]
_TABLE = f'FROM "{Run._meta.db_table}"'
#: What lists and tables say of runs; the other columns are half of the time that reading a page of them takes.
_LISTED = (
    *("task_id", "task_name", "summary", "arguments_exact", "state", "state_note", "resolution", "attempt"),
    *("source", "actor_id", "actor_label", "schedule_id", "schedule_name", "due_at", "retry_of__task_id"),
    *("parent_id", "root_id", "queue", "worker", "error_type", "error_message", "runtime"),
    *("accepted_at", "not_before", "claimed_at", "started_at", "finished_at"),
)


@dataclass(frozen=True, slots=True)
class RunLine:
    """A run of a list, with its job's title and its arguments in one short line."""

    run: Run
    title: str
    arguments: str

    @property
    def place(self) -> Place:
        return Place(self.run.accepted_at, self.run.pk)


@dataclass(frozen=True, slots=True)
class RunSlice:
    """One page of a list.

    Attributes:
        lines: newest first.
        more: there are others beyond it, in the direction that was read.
        pool: the runs among which they were looked for.
        cut_short: the pool may have ended before the page was full; `run_counts` tells whether it did.
    """

    lines: tuple[RunLine, ...]
    more: bool
    pool: Pool
    cut_short: bool


def run_slice(query: RunQuery, *, limit: int, place: Place | None = None, backwards: bool = False) -> RunSlice:
    """At most `limit` runs of `query`.

    Args:
        place: they are older than it; None: the newest.
        backwards: they are newer than `place`; without one, the oldest of all.
    """
    pool = pool_of(query)
    runs = _read(pool, place, backwards, limit)
    if query.words and pool.by_time and len(runs) <= limit and search_is_indexed():
        # A word that few of the newest runs have: the index knows the others.
        whole = found_by_index(query)
        if found := _read(whole, place, backwards, limit):
            runs, pool = found, whole
    more = len(runs) > limit
    runs = runs[:limit]
    lines = tuple(line_of(run, query.withheld) for run in (reversed(runs) if backwards else runs))
    return RunSlice(lines, more, pool, cut_short=not more and not pool.is_answer)


def line_of(run: Run, withheld: Withheld = NOTHING) -> RunLine:
    """`run` as lists show it."""
    run = readable(run, withheld)
    return RunLine(run, job_title(run.task_name), key_arguments(run))


def newer_count(query: RunQuery, place: Place, *, cap: int) -> int:
    """How many runs of `query` are newer than `place`, counted up to one more than `cap`."""
    pool = pool_of(query)
    if pool.is_answer:
        return pool.from_place(place, backwards=True).values("pk")[: cap + 1].count()
    found = Run.objects.filter(pk__in=RawSQL(*_ids(pool, place, True, cap + 1)))  # noqa: S611 - from the ORM
    return found.order_by().count()


def _read(pool: Pool, place: Place | None, backwards: bool, limit: int) -> list[Run]:
    if pool.is_answer:
        found = pool.from_place(place, backwards=backwards)[: limit + 1]
    else:
        # The outer statement has no limit, so that no planner walks through the whole history to reach one.
        ids = RawSQL(*_ids(pool, place, backwards, limit + 1))  # noqa: S611 - from the ORM
        found = Run.objects.filter(pk__in=ids).order_by(*(OLDEST_FIRST if backwards else NEWEST_FIRST))
    return list(listed(found))


def listed(runs: QuerySet[Run]) -> QuerySet[Run]:
    """The columns of `runs` that lists show, with the id of the run that each is a retry of."""
    return runs.select_related("retry_of").only(*_LISTED)


def _ids(pool: Pool, place: Place | None, backwards: bool, limit: int) -> Sql:
    """SQL of the ids of at most `limit` runs of the pool that match."""
    matching = Run.objects.filter(pool.rest).order_by(*pool.ordering(backwards=backwards)).values("pk")
    if pool.by_time:
        return among(matching[:limit], pool, place, backwards=backwards)
    if place is not None:
        matching = matching.filter(beyond(place, backwards=backwards))
    if pool.lead != "words":
        return among(matching[:limit], pool, place, backwards=backwards)
    # More than the pool holds: which of them are the newest is not known, and none is taken.
    whole = RawSQL("(SELECT COUNT(*) FROM found) < %s", [pool.size], output_field=BooleanField())
    sql, values = matching.filter(whole)[:limit].query.sql_with_params()
    inner, inner_values = pool.bounded(columns(pool.rest), place, backwards=backwards).query.sql_with_params()
    return (
        f"WITH found AS MATERIALIZED ({inner}) " + sql.replace(_TABLE, 'FROM found "jobs_run"', 1),
        (*inner_values, *values),
    )


def among(matching: QuerySet[Run, Any], pool: Pool, place: Place | None, *reads: str, backwards: bool = False) -> Sql:
    """The SQL of `matching`, which reads the bounded pool where it would read the table.

    `reads` are the columns that it needs besides those of the pool's rest. A subquery with a limit is a wall: no
    condition is moved into it, and it is read at most once.
    """
    sql, values = matching.query.sql_with_params()
    head, tail = sql.split(_TABLE, 1)
    before = head.count("%s")
    read = columns(pool.rest, *reads, *([pool.order] if pool.order else []))
    inner, inner_values = pool.bounded(read, place, backwards=backwards).query.sql_with_params()
    return f'{head}FROM ({inner}) "jobs_run"{tail}', (*values[:before], *inner_values, *values[before:])


def columns(rest: Q, *others: str) -> tuple[str, ...]:
    """The columns that comparing with `rest` needs: where it needs none, the index alone answers."""
    named = {"id", "accepted_at", *others}
    stack: list[Any] = [rest]
    while stack:
        one = stack.pop()
        if isinstance(one, Q):
            stack += one.children
        elif not isinstance(one, Exists):  # which looks up a row of its own
            named.add(one[0].split("__")[0])
    return tuple(sorted(named - {"pk"}))
