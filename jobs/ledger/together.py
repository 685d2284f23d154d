"""Rows of several tables in one statement: a page that shows a little of everything asks once for it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from django.db import connection
from django.db.models import BooleanField, DateTimeField, Field, Model, QuerySet
from django.db.models.functions import JSONObject

from jobs.models.json_object import JSONObjectField
from jobs.text import read_json

M = TypeVar("M", bound=Model)
#: PostgreSQL wants to know of what type nothing is; SQLite does not mind.
_NOTHING = "CAST(NULL AS jsonb)"


@dataclass(frozen=True, slots=True)
class Part:
    """One question: SQL of rows (name, place, number, JSON), and its values."""

    sql: str
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """One row of an answer: a number with its place, or a row of a table by its columns."""

    place: int
    number: int
    row: Mapping[str, Any]


def rows_of(name: str, found: QuerySet[Any, Any], most: int, **others: str) -> Part:
    """The first `most` rows, whole; `others` name annotations to read besides."""
    model = found.model
    columns = {field.attname: field.attname for field in model._meta.concrete_fields if field.attname not in others}
    asked = found.values(told=JSONObject(**columns, **others))[:most]
    sql, values = asked.query.sql_with_params()
    return Part(f"SELECT %s, 0, 0, told FROM ({sql}) part", (name, *values))  # noqa: S608 - from the ORM


def number_of(name: str, found: QuerySet[Any, Any], what: str = "COUNT(*)") -> Part:
    """How many rows there are; bound `found` to stop counting. `what` is an aggregate of its columns."""
    sql, values = found.query.sql_with_params()
    return Part(f"SELECT %s, 0, COALESCE({what}, 0), {_NOTHING} FROM ({sql}) part", (name, *values))  # noqa: S608


def numbers_since(name: str, found: QuerySet[Any, Any], column: str, begins: Iterable[datetime]) -> Part:
    """How many rows there are in each span of time: place 0 begins at the first moment, and ends at the second."""
    moments = list(begins)
    adapt = connection.ops.adapt_datetimefield_value
    cases, values = [], []
    for place in range(len(moments) - 1, 0, -1):
        cases.append(f"WHEN {column} >= %s THEN {place}")
        values.append(adapt(moments[place]))
    sql, own = found.query.sql_with_params()
    case = f"CASE {' '.join(cases)} ELSE 0 END"
    outer = f"SELECT %s, {case}, COUNT(*), {_NOTHING} FROM ({sql}) part GROUP BY 2"  # noqa: S608 - from the ORM
    return Part(outer, (name, *values, *own))


def ask(parts: Iterable[Part]) -> dict[str, list[Told]]:
    """The answers by the questions' names, in the order that each question names. One statement."""
    asked = list(parts)
    found: dict[str, list[Told]] = defaultdict(list)
    with connection.cursor() as cursor:
        statement = " UNION ALL ".join(f"SELECT * FROM ({part.sql}) p{i}" for i, part in enumerate(asked))  # noqa: S608
        cursor.execute(statement, [value for part in asked for value in part.values])
        for name, place, number, told in cursor.fetchall():
            row = read_json(told) if isinstance(told, str) else told or {}
            found[name].append(Told(int(place), int(number), row))
    return found


def made(model: type[M], row: Mapping[str, Any]) -> M:
    """The instance that a row of JSON describes, as if it had been read by itself: columns that the row does not name
    are deferred, so that they are asked for when somebody reads them and no `save()` writes over them."""
    fields = [field for field in model._meta.concrete_fields if field.attname in row]
    values = [_python(field, row[field.attname]) for field in fields]
    return model.from_db(connection.alias, [field.attname for field in fields], values)


def _python(field: Field[Any, Any], value: Any) -> Any:
    if value is None:
        return None
    if isinstance(field, DateTimeField):
        moment = datetime.fromisoformat(value)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if isinstance(field, BooleanField):
        return bool(value)
    if isinstance(field, JSONObjectField):
        return field.read(value)
    return field.to_python(value)
