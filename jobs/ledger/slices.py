"""Pages of a table in the order of its rows, newest first, both ways: no growing OFFSET, no count, no long search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from django.db import connection
from django.db.models import BooleanField, F, Func, Model, Q, QuerySet, Value

#: How many rows one page looks at when no index knows all that it asks for.
WINDOW = 10_000
#: No row has this number or a larger one. Without a bound SQLite, by its statistics of the moment, may read a whole
#: narrow index and sort it rather than walk along the rows.
_BEYOND = 2**63 - 1

M = TypeVar("M", bound=Model)


@dataclass(frozen=True, slots=True)
class Slice(Generic[M]):
    """One page, newest first.

    Attributes:
        newer: the row to go on from towards newer ones; None when nothing newer matches.
        older: the same towards older ones.
        looked_at: how many rows were looked at when the page ended there, not full; None when it ended by itself.
    """

    rows: tuple[M, ...]
    newer: int | None
    older: int | None
    looked_at: int | None = None


@dataclass(frozen=True, slots=True)
class Pool(Generic[M]):
    """Rows that one index gives in the order of their numbers.

    Attributes:
        order: the column that the index begins with, equal for all of them (`only`); "" for the whole table's rows.
    """

    rows: QuerySet[M]
    order: str = ""

    def newest_first(self) -> tuple[str, ...]:
        return (self.order, "-pk") if self.order else ("-pk",)

    def oldest_first(self) -> tuple[str, ...]:
        return (f"-{self.order}", "pk") if self.order else ("pk",)


def read_slice(pool: Pool[M], rest: Q, *, before: int | None = None, after: int | None = None, limit: int) -> Slice[M]:
    """At most `limit` rows older than the row `before`, or newer than `after`, else the newest. One or two queries.

    Args:
        rest: what no index knows; it is compared with the next WINDOW rows of the pool, and the page says so when
            they end before it is full.
    """
    if after is not None:
        return _towards_newer(pool, rest, after, limit)
    found = pool.rows.order_by(*pool.newest_first())
    found = found.filter(pk__lt=_BEYOND if before is None else before)
    end = _end_of_window(found) if rest else None
    if end is not None:
        found = found.filter(pk__gte=end)
    rows = tuple(found.filter(rest)[: limit + 1])
    newer = None if before is None else rows[0].pk if rows else before - 1
    if len(rows) > limit:
        return Slice(rows[:limit], newer, rows[limit - 1].pk)
    return Slice(rows, newer, end, WINDOW if end is not None else None)


def _towards_newer(pool: Pool[M], rest: Q, after: int, limit: int) -> Slice[M]:
    found = pool.rows.order_by(*pool.oldest_first()).filter(pk__gt=after)
    end = _end_of_window(found) if rest else None
    if end is not None:
        found = found.filter(pk__lte=end)
    rows = tuple(found.filter(rest)[: limit + 1])
    older = rows[0].pk if rows else after + 1
    if len(rows) > limit:
        return Slice(rows[:limit][::-1], rows[limit - 1].pk, older)
    return Slice(rows[::-1], end, older, WINDOW if end is not None else None)


def _end_of_window(found: QuerySet[M]) -> int | None:
    """The last row that may be looked at; None when there are fewer than WINDOW."""
    end: int | None = found.values_list("pk", flat=True)[WINDOW - 1 : WINDOW].first()
    return end


def only(column: str, wanted: object) -> Q:
    """Rows whose `column` is `wanted`, for a Pool of that order.

    With `a = b` PostgreSQL drops an order by `a` as pointless and may walk through the whole table by number, in the
    belief that the rows looked for are spread evenly. `a = ANY(ARRAY[b])` says the same, and only the index that
    begins with `a` gives that order.
    """
    return Q(Only(F(column), Value(wanted))) if connection.vendor == "postgresql" else Q(**{column: wanted})


class Only(Func):
    template = "(%(expressions)s]))"
    arg_joiner = " = ANY(ARRAY["
    arity = 2
    output_field = BooleanField()


def begins_with(column: str, prefix: str) -> Q:
    """Rows whose `column` begins with `prefix`, in a form that the column's index serves."""
    if connection.vendor == "sqlite":
        # LIKE does not use the index there, a range does: its order is that of the characters' numbers.
        following = min(ord(prefix[-1]) + 1, 0x10FFFF)
        # Halves of surrogate pairs are no characters.
        after = chr(0xE000 if following == 0xD800 else following)
        return Q(**{f"{column}__gte": prefix, f"{column}__lt": prefix[:-1] + after})
    return Q(**{f"{column}__startswith": prefix})
