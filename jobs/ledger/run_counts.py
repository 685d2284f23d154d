"""The figures beside a list of runs, in one statement: how many are in each state, and how far a search has looked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from django.db import connection
from django.db.models import Count, TextField
from django.db.models.functions import Cast

from jobs.models import Run
from jobs.states import State

from .run_query import Place, Pool, RunQuery, for_counting, found_by_index, pool_of, search_is_indexed
from .run_slices import RunSlice, Sql, among

_STATE, _SEEN, _END, _RUNNING = "state", "seen", "end", "running"
#: Rows of other statements that a page wants read along: each is a kind, a text and a number.
Row = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class RunCounts:
    """How many runs of a query are in each state, and how many of all runs are running; counting stops at `cap`.

    Attributes:
        partial: only the newest runs were looked at, and there are more: each number is "at least".
        end: where the page stopped looking although its history goes on; None where it saw the whole of it.
        besides: the rows that were read along.
    """

    by_state: dict[State, int]
    running: int
    cap: int
    partial: bool
    end: Place | None = None
    besides: tuple[Row, ...] = ()


def run_counts(
    query: RunQuery,
    *,
    cap: int,
    shown: RunSlice | None = None,
    place: Place | None = None,
    backwards: bool = False,
    besides: Sequence[Sql] = (),
) -> RunCounts:
    """Count what the list of `query` would show for each state, whatever state it asks for. One bounded statement.

    Args:
        shown: the page that was read of it, from `place` on: it may have been cut short.
        besides: statements of rows (kind, text, number) to be read along.
    """
    narrowed = query.without_state()
    # The newest runs did not fill the page, so that the index of words was asked.
    by_words = bool(query.words) and not query.id_prefix and not query.batch
    by_index = by_words and shown is not None and shown.cut_short and search_is_indexed()
    parts = [_capped(RunQuery(state=State.RUNNING), cap, _RUNNING, "")]
    pool, counted = None, False
    if narrowed.is_narrowed:
        pool = found_by_index(narrowed) if by_index else for_counting(pool_of(narrowed))
        # A page that begins at the top and holds all that was found has counted already.
        counted = shown is not None and shown.cut_short and query.state is None and place is None and not backwards
        parts += [] if counted else [_by_state(pool)]
        # Where every run of the pool matches, as many were seen as are counted.
        parts += [_seen(pool)] if by_index or (pool.rest and not counted) else []
    else:
        for state in State:
            one = RunQuery(state=state, since=query.since, until=query.until)
            parts.append(_capped(one, cap, _STATE, state.value))
    if shown is not None and shown.cut_short:
        parts += _end(shown.pool, place, backwards)
    rows = _read([*parts, *besides])
    counts = Counter({name: number for kind, name, number in rows if kind == _STATE})
    if counted and shown is not None:
        counts = Counter(line.run.state for line in shown.lines)
    figures = {kind: (name, number) for kind, name, number in rows if kind in {_SEEN, _RUNNING, _END}}
    seen = figures[_SEEN][1] if _SEEN in figures else 0 if counted else counts.total()
    partial = pool is not None and seen >= pool.size
    end = None
    if shown is not None and _END in figures and (partial or not by_index):
        end = Place(moment_of_text(figures[_END][0]), figures[_END][1])
    return RunCounts(
        by_state={state: counts[state.value] for state in State},
        running=figures[_RUNNING][1],
        cap=cap,
        partial=partial or (counted and end is not None),
        end=end,
        besides=tuple(row for row in rows if row[0] not in {_STATE, *figures}),
    )


def _read(parts: Sequence[Sql]) -> list[Row]:
    sql = " UNION ALL ".join(f"SELECT * FROM ({sql}) part" for sql, _ in parts)  # noqa: S608 - from the ORM
    with connection.cursor() as cursor:
        cursor.execute(sql, [value for _, values in parts for value in values])
        return [(str(kind), str(name), int(number)) for kind, name, number in cursor.fetchall()]


# Most pages ask for the same ones; to write them anew would take longer than to run them.
@lru_cache(maxsize=64)
def _capped(query: RunQuery, cap: int, kind: str, name: str) -> Sql:
    """One row: how many runs there are; one more than the cap means "more than that"."""
    runs = pool_of(query).from_place(None).values("id")[: cap + 1]
    sql, values = runs.query.sql_with_params()
    return f"SELECT %s AS kind, %s AS name, COUNT(*) AS number FROM ({sql}) counted", (kind, name, *values)  # noqa: S608


def _by_state(pool: Pool) -> Sql:
    """A row for each state that occurs."""
    grouped = Run.objects.filter(pool.rest).order_by().values("state").annotate(number=Count("id"))
    sql, values = among(grouped, pool, None, "state")
    return f"SELECT %s AS kind, grouped.* FROM ({sql}) grouped", (_STATE, *values)  # noqa: S608 - from the ORM


def _seen(pool: Pool) -> Sql:
    """One row: how many runs were looked at for the states."""
    sql, values = pool.bounded(("id", "accepted_at"), None, backwards=False).query.sql_with_params()
    return f"SELECT %s AS kind, '' AS name, COUNT(*) FROM ({sql}) seen", (_SEEN, *values)  # noqa: S608


def _end(pool: Pool, place: Place | None, backwards: bool) -> list[Sql]:
    """Where the page has stopped looking: the last of the pool's runs, where there are as many as it may look at."""
    if not pool.by_time:
        return []
    # The distance is fixed, so this OFFSET costs the same however long the history is; it walks through an index alone.
    runs = pool.from_place(place, backwards=backwards)
    last = runs.values_list(Cast("accepted_at", TextField()), "id")[pool.size - 1 : pool.size]
    sql, values = last.query.sql_with_params()
    return [(f"SELECT %s AS kind, farthest.* FROM ({sql}) farthest", (_END, *values))]  # noqa: S608 - from the ORM


def moment_of_text(text: Any) -> datetime:
    """A moment as either database writes it in text."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def running_count(*, cap: int) -> int:
    """How many runs are running, counted up to one more than `cap`."""
    return pool_of(RunQuery(state=State.RUNNING)).from_place(None).values("id")[: cap + 1].count()
