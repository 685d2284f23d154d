"""Many rows of a table in one statement, for SQLite and PostgreSQL; the columns are those of the model.

The ORM builds an expression for each value of each row, which takes a hundred times as long as the database. Here a
statement has the same text however many rows it writes: SQLite runs it prepared for each, PostgreSQL gets the rows as
one JSON text, which is the quickest to make, without what all rows have in common.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property, reduce
from itertools import repeat
from operator import itemgetter, methodcaller
from typing import Any, Generic, TypeVar

from django.db import connection
from django.db.models import BooleanField, DateTimeField, Field, JSONField, Model
from django.db.models.base import ModelState

Row = Sequence[Any]
M = TypeVar("M", bound=Model)


class Table(Generic[M]):
    """Reads and writes rows of a model; the caller holds the transaction. A process has one kind of database.

    Args:
        model: what the table is of.
        names: the attributes (`task_id`, `run_id`) that rows give, in this order; all but a key that counts by itself
            where none are named. A column that is not named gets its null or the database's own default.
    """

    def __init__(self, model: type[M], names: Sequence[str] = ()) -> None:
        fields = {field.attname: field for field in model._meta.concrete_fields}
        counted = model._meta.auto_field
        self.names = tuple(names) or tuple(name for name, field in fields.items() if field is not counted)
        self._model = model
        self._key = model._meta.pk.attname
        self._fields = {name: fields[name] for name in (*self.names, self._key)}
        self._values: Callable[[Mapping[str, Any]], tuple[Any, ...]] = itemgetter(*self.names)

    def values(self, one: M) -> tuple[Any, ...]:
        """The row of an object that has all its attributes."""
        return self._values(one.__dict__)

    def locked(self, name: str, values: Collection[Any]) -> list[tuple[M, tuple[Any, ...]]]:
        """The objects that have one of these values, each with its row; nobody else can change them meanwhile.

        In the order of their keys, so that two who lock the same wait for each other instead of one failing.
        """
        given: Any
        if connection.vendor == "postgresql":
            which, given = f"= ANY(%s) ORDER BY {self._columns[self._key]} FOR UPDATE", [*values]
        else:  # who is in a transaction that writes has all rows for himself
            which, given = "IN (SELECT value FROM json_each(%s))", json.dumps([*values])
        columns = self._list([self._key, *self.names])
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {columns} FROM {self._name} WHERE {self._columns[name]} {which}", [given])  # noqa: S608
            return [self._read(row) for row in cursor.fetchall()]

    def insert(self, rows: Iterable[Row]) -> int:
        """Write those that meet no other row; how many these were."""
        return self._insert(rows, "ON CONFLICT DO NOTHING")

    def replace(self, rows: Iterable[Row], *, key: str, keep: Sequence[str] = ()) -> None:
        """Write them, over what has the same `key` already, but for the columns to `keep`; each key once."""
        columns = [self._columns[name] for name in self.names if name != key and name not in keep]
        changes = ", ".join(f"{column} = excluded.{column}" for column in columns)
        self._insert(rows, f"ON CONFLICT ({self._columns[key]}) DO UPDATE SET {changes}")

    def change(self, rows: Iterable[Row], names: Sequence[str]) -> None:
        """Give the rows new values of `names`; each row's first value is its key."""
        key = self._columns[self._key]
        columns = self._turned([self._key, *names], rows)
        if not columns:
            return
        if connection.vendor == "postgresql":
            [_, *values], given, parameters = self._given([self._key, *names], columns)
            changes = ", ".join(f"{self._columns[name]} = {value}" for name, value in zip(names, values, strict=True))
            where = f"WHERE {self._name}.{key} = given.{key}"
            self._run(f"UPDATE {self._name} SET {changes} FROM {given} {where}", parameters)  # noqa: S608
        else:
            changes = ", ".join(f"{self._columns[name]} = %s" for name in names)
            self._run_each(f"UPDATE {self._name} SET {changes} WHERE {key} = %s", [*columns[1:], columns[0]])  # noqa: S608

    def _insert(self, rows: Iterable[Row], otherwise: str) -> int:
        columns = self._turned(self.names, rows)
        if not columns:
            return 0
        into = f"INSERT INTO {self._name} ({self._list(self.names)})"
        if connection.vendor == "postgresql":
            values, given, parameters = self._given(self.names, columns)
            return self._run(f"{into} SELECT {', '.join(values)} FROM {given} {otherwise}", parameters)  # noqa: S608
        return self._run_each(f"{into} VALUES ({', '.join(repeat('%s', len(columns)))}) {otherwise}", columns)

    def _run(self, statement: str, parameters: Sequence[Any]) -> int:
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return int(cursor.rowcount)

    def _run_each(self, statement: str, columns: Sequence[Row]) -> int:
        with connection.cursor() as cursor:
            cursor.executemany(statement, list(zip(*columns, strict=True)))
            return int(cursor.rowcount)

    def _turned(self, names: Sequence[str], rows: Iterable[Row]) -> list[Row]:
        """The rows by column, with what the database does not take as it is put into its form; empty without rows."""
        columns: list[Row] = list(zip(*rows, strict=True))
        for place, name in enumerate(names if columns else ()):
            if way := self._ways.get(name):
                columns[place] = [None if value is None else way(value) for value in columns[place]]
        return columns

    def _given(self, names: Sequence[str], columns: Sequence[Row]) -> tuple[list[str], str, list[Any]]:
        """How a statement of PostgreSQL says each value, the table that it takes them from, and the parameters.

        What all rows have in common is said once, but for the first column: rows may be the same altogether.
        """
        values: list[str] = []
        common: list[Any] = []
        differ: list[int] = []
        for place, (name, column) in enumerate(zip(names, columns, strict=True)):
            first, kind = column[0], self._kinds[name]
            if place and (first is None or kind != "jsonb") and column.count(first) == len(column):
                values.append(f"%s::{kind}")
                common.append(first)
            else:
                values.append(f"given.{self._columns[name]}")
                differ.append(place)
        keys = [str(self._fields[names[place]].column) for place in differ]
        rows = [dict(zip(keys, row, strict=True)) for row in zip(*(columns[place] for place in differ), strict=True)]
        kinds = ", ".join(f"{self._columns[names[place]]} {self._kinds[names[place]]}" for place in differ)
        return values, f"json_to_recordset(%s) AS given ({kinds})", [*common, json.dumps(rows)]

    def _read(self, row: Row) -> tuple[M, tuple[Any, ...]]:
        values = list(row)
        for place, way in self._ways_back:
            if values[place] is not None:
                values[place] = way(values[place])
        one = bare(self._model, dict(zip((self._key, *self.names), values, strict=True)))
        one._state.adding, one._state.db = False, connection.alias
        return one, tuple(values[1:])

    def _list(self, names: Iterable[str]) -> str:
        return ", ".join(map(self._columns.__getitem__, names))

    @cached_property
    def _name(self) -> str:
        return connection.ops.quote_name(self._model._meta.db_table)

    @cached_property
    def _columns(self) -> dict[str, str]:
        return {name: connection.ops.quote_name(str(field.column)) for name, field in self._fields.items()}

    @cached_property
    def _kinds(self) -> dict[str, str]:
        return {name: _kind(field) for name, field in self._fields.items()}

    @cached_property
    def _ways(self) -> dict[str, Callable[[Any], Any]]:
        """How values of a column get into the form that a statement takes, where they do not have it already."""
        return {name: way for name, field in self._fields.items() if (way := _way(field))}

    @cached_property
    def _ways_back(self) -> list[tuple[int, Callable[[Any], Any]]]:
        """The same of what the database answers, by the place in its row."""
        fields = enumerate(self._fields[name] for name in (self._key, *self.names))
        return [(place, way) for place, field in fields if (way := _way_back(field))]


def bare(model: type[M], values: Mapping[str, Any]) -> M:
    """An object of the model with these attributes, for thousands a second.

    Its own constructor sends two signals and hands each value to a descriptor: more than half of what merging a fact
    takes.
    """
    one = model.__new__(model)
    one._state = ModelState()
    one.__dict__.update(values)
    return one


def _kind(field: Field[Any, Any]) -> str:
    """The column's type without a length: a longer text must be refused by the table, not cut here."""
    kind = str(field.rel_db_type(connection) if field.primary_key else field.db_type(connection))
    return "text" if kind.startswith("varchar") else kind


def _way(field: Field[Any, Any]) -> Callable[[Any], Any] | None:
    if isinstance(field, DateTimeField):
        if connection.vendor == "postgresql":
            return datetime.isoformat
        zone = connection.timezone
        return _utc if zone is UTC else lambda moment: str(moment.astimezone(zone).replace(tzinfo=None))
    if isinstance(field, JSONField):
        return None if connection.vendor == "postgresql" else json.dumps
    return str if field.choices else None  # members of an enum


def _utc(moment: datetime) -> str:
    return (moment if moment.tzinfo is UTC else moment.astimezone(UTC)).isoformat(" ")[: -len("+00:00")]


def _way_back(field: Field[Any, Any]) -> Callable[[Any], Any] | None:
    if isinstance(field, (BooleanField, DateTimeField)):
        # Both drivers answer with these types, as Django has told them to; SQLite's times lack their zone.
        bare_moments = isinstance(field, DateTimeField) and connection.vendor == "sqlite"
        return methodcaller("replace", tzinfo=connection.timezone) if bare_moments else None
    column = field.get_col(field.model._meta.db_table)
    ways = [*connection.ops.get_db_converters(column), *column.get_db_converters(connection)]
    return (lambda value: reduce(lambda turned, way: way(turned, column, connection), ways, value)) if ways else None
