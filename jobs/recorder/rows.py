"""Many rows of a table in one statement, for SQLite and PostgreSQL; the columns are those of the model.

The ORM builds an expression for each value of each row, which takes a hundred times as long as the database. Here a
statement has the same text however many rows it writes: SQLite runs it prepared for each, PostgreSQL gets the rows as
one JSON text, which is the quickest to make and takes one parameter.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any

from django.db import connection
from django.db.models import DateTimeField, Field, JSONField, Model

Row = Sequence[Any]


class Table:
    """Writes rows of a model; the caller holds the transaction.

    Args:
        model: what the table is of.
        names: the attributes (`task_id`, `run_id`) that rows give, in this order; all but a key that counts by itself
            where none are named. A column that is not named gets its null or the database's own default.

    Attributes:
        values: reads a row out of an object with these attributes.
    """

    def __init__(self, model: type[Model], names: Sequence[str] = ()) -> None:
        fields = {field.attname: field for field in model._meta.concrete_fields}
        counted = model._meta.auto_field
        self.names = tuple(names) or tuple(name for name, field in fields.items() if field is not counted)
        self.values: Callable[[Any], tuple[Any, ...]] = attrgetter(*self.names)
        self._table = model._meta.db_table
        self._key = model._meta.pk
        self._fields = {name: fields[name] for name in (*self.names, self._key.attname)}

    def insert(self, rows: Iterable[Row]) -> int:
        """Write those that meet no other row; how many these were."""
        return self._insert(rows, "ON CONFLICT DO NOTHING")

    def replace(self, rows: Iterable[Row], *, key: str, keep: Sequence[str] = ()) -> None:
        """Write them, over what has the same `key` already, but for the columns to `keep`; each key once."""
        columns = [self._column(name) for name in self.names if name != key and name not in keep]
        changes = ", ".join(f"{column} = excluded.{column}" for column in columns)
        self._insert(rows, f"ON CONFLICT ({self._column(key)}) DO UPDATE SET {changes}")

    def change(self, rows: Iterable[Row], names: Sequence[str]) -> None:
        """Give the rows new values of `names`; each row's last value is its key."""
        given = [*names, self._key.attname]
        columns, key = [self._column(name) for name in names], self._column(self._key.attname)
        if connection.vendor == "postgresql":
            changes = ", ".join(f"{column} = given.{column}" for column in columns)
            where = f"WHERE {self._quoted}.{key} = given.{key}"
            self._run(f"UPDATE {self._quoted} SET {changes} FROM {self._given(given)} {where}", given, rows)  # noqa: S608
        else:
            changes = ", ".join(f"{column} = %s" for column in columns)
            self._run(f"UPDATE {self._quoted} SET {changes} WHERE {key} = %s", given, rows)  # noqa: S608

    def _insert(self, rows: Iterable[Row], otherwise: str) -> int:
        columns = ", ".join(self._column(name) for name in self.names)
        if connection.vendor == "postgresql":
            values = f"SELECT {columns} FROM {self._given(self.names)}"  # noqa: S608 - names of our own tables
        else:
            values = f"VALUES ({', '.join(['%s'] * len(self.names))})"
        return self._run(f"INSERT INTO {self._quoted} ({columns}) {values} {otherwise}", self.names, rows)

    def _run(self, statement: str, names: Sequence[str], rows: Iterable[Row]) -> int:
        turned = self._turned(names, rows)
        if not turned:
            return 0
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                columns = [self._fields[name].column for name in names]
                cursor.execute(statement, [json.dumps([dict(zip(columns, row, strict=True)) for row in turned])])
            else:
                cursor.executemany(statement, turned)
            return int(cursor.rowcount)

    def _turned(self, names: Sequence[str], rows: Iterable[Row]) -> list[Row]:
        """The rows with what the database does not take as it is put into its form."""
        ways = [(place, way) for place, name in enumerate(names) if (way := _way(self._fields[name]))]
        turned: list[Row] = []
        for row in rows:
            values = list(row)
            for place, way in ways:
                if values[place] is not None:
                    values[place] = way(values[place])
            turned.append(values)
        return turned

    def _given(self, names: Sequence[str]) -> str:
        """The rows of the one parameter as a table of PostgreSQL."""
        kinds = ", ".join(f"{self._column(name)} {_kind(self._fields[name])}" for name in names)
        return f"json_to_recordset(%s) AS given ({kinds})"

    @property
    def _quoted(self) -> str:
        return connection.ops.quote_name(self._table)

    def _column(self, name: str) -> str:
        return connection.ops.quote_name(str(self._fields[name].column))


def _kind(field: Field[Any, Any]) -> str:
    """The column's type without a length: a longer text must be refused by the table, not cut here."""
    kind = str(field.rel_db_type(connection) if field.primary_key else field.db_type(connection))
    return "text" if kind.startswith("varchar") else kind


def _way(field: Field[Any, Any]) -> Callable[[Any], Any] | None:
    """How a value of the column gets into the form that the statement takes; None where it has it already."""
    if isinstance(field, DateTimeField):
        if connection.vendor == "postgresql":
            return datetime.isoformat
        zone = connection.timezone
        return lambda moment: str(moment.astimezone(zone).replace(tzinfo=None))
    if isinstance(field, JSONField):
        return None if connection.vendor == "postgresql" else json.dumps
    return str if field.choices else None  # members of an enum
