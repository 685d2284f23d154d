"""Small answers beside a row, in the row's own statement: a page that asks one question does not ask seven."""

from __future__ import annotations

from typing import Any, TypeVar

from django.db.models import IntegerField, JSONField, Model, QuerySet, Subquery
from django.db.models.functions import JSONObject

from .together import made

M = TypeVar("M", bound=Model)


class CountOf(Subquery):
    """How many rows a queryset has; sliced, it stops counting there."""

    template = "(SELECT COUNT(*) FROM (%(subquery)s) counted)"
    output_field = IntegerField()

    def __init__(self, rows: QuerySet[Any], **extra: Any) -> None:
        super().__init__(rows.order_by().values("pk") if not rows.query.is_sliced else rows.values("pk"), **extra)


class RowsOf(Subquery):
    """The rows of a queryset, in its order, as a list of dicts with the named fields; None where there are none.

    Name the key among them: `rows_of` makes objects of them.
    """

    template = "(SELECT JSON_GROUP_ARRAY(JSON(one_row)) FROM (%(subquery)s) listed)"
    output_field = JSONField()

    def __init__(self, rows: QuerySet[Any], *fields: str, **extra: Any) -> None:
        one = JSONObject(**{field: field for field in fields})
        super().__init__(rows.annotate(one_row=one).values("one_row"), **extra)

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        template = "(SELECT JSONB_AGG(one_row) FROM (%(subquery)s) listed)"
        return self.as_sql(compiler, connection, template=template, **extra)


def rows_of(model: type[M], found: list[dict[str, Any]] | None) -> tuple[M, ...]:
    """The objects that `RowsOf` told of."""
    return tuple(made(model, values) for values in found or ())
