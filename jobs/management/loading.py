"""Many rows into the database at once: COPY on PostgreSQL, one statement on SQLite; most indexes come last."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from django.db import connection
from django.db.models import Model
from django.db.models.fields import NOT_PROVIDED


def moment_text(epoch: float) -> str:
    """A point in time as both databases take it in the zone UTC, always with its microseconds."""
    return datetime.fromtimestamp(epoch, UTC).isoformat(" ", "microseconds")[:26]


class Table:
    """Writes rows of a model. Columns that nobody gives get the field's default, so that a new one needs nothing here.

    Args:
        given: attribute names (`task_id`, `retry_of_id`) in the order in which `load` gets the values. These are
            plain: text, numbers, truth, None; points in time as `moment_text` writes them.
    """

    def __init__(self, model: type[Model], given: Sequence[str]) -> None:
        fields = {field.attname: field for field in model._meta.concrete_fields}
        if unknown := set(given) - set(fields):
            raise ValueError(f"{model._meta.label} has no {', '.join(sorted(unknown))}.")
        self.model = model
        self._columns = [str(fields[name].column) for name in given]
        constants: list[Any] = []
        for name, field in fields.items():
            # What the database itself fills in, it goes on filling in.
            if name in given or field.primary_key or (field.default is NOT_PROVIDED and field.has_db_default()):
                continue
            self._columns.append(str(field.column))
            constants.append(field.get_db_prep_save(field.get_default(), connection))
        self._constants = tuple(constants)

    def load(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Write the rows; the caller holds the transaction."""
        quote = connection.ops.quote_name
        table = quote(self.model._meta.db_table)
        columns = ", ".join(quote(column) for column in self._columns)
        constants = self._constants
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                with cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
                    for row in rows:
                        copy.write_row(row + constants)
            else:
                marks = ", ".join(["?"] * len(self._columns))
                # Django's own cursor would rewrite each statement's placeholders and keep the parameters.
                cursor.connection.executemany(
                    f"INSERT INTO {table} ({columns}) VALUES ({marks})",  # noqa: S608 - names of our own tables
                    (row + constants for row in rows),
                )


@contextmanager
def indexes_afterwards(models: Sequence[type[Model]]) -> Iterator[None]:
    """Without the indexes that enforce nothing while the block runs; they are built again at its end.

    Call it inside a transaction: both databases take back the dropping with everything else when something fails.
    """
    tables = [model._meta.db_table for model in models]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # The foreign keys' own checks wait for the commit, and no table with waiting checks can be altered.
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("SET LOCAL maintenance_work_mem = '512MB'")
            cursor.execute(_POSTGRES_INDEXES, [tables])
        else:
            # For the transaction's pages and the sorting; both end with the connection.
            cursor.execute("PRAGMA cache_size = -400000")
            marks = ", ".join(["%s"] * len(tables))
            cursor.execute(_SQLITE_INDEXES.format(marks), tables)
        indexes: list[tuple[str, str]] = cursor.fetchall()
        for name, _ in indexes:
            cursor.execute(f"DROP INDEX {connection.ops.quote_name(name)}")
        yield
        for _, definition in indexes:
            cursor.execute(definition)


_POSTGRES_INDEXES = """
    SELECT c.relname, pg_get_indexdef(x.indexrelid)
    FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
    WHERE t.relname = ANY(%s) AND pg_table_is_visible(t.oid) AND NOT x.indisunique
"""
_SQLITE_INDEXES = (
    "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name IN ({}) AND sql IS NOT NULL "
    "AND sql NOT LIKE 'CREATE UNIQUE%%'"
)


def settle(models: Sequence[type[Model]]) -> None:
    """After the load: the next keys follow the loaded ones, and the planner knows the tables."""
    tables = [model._meta.db_table for model in models]
    quote = connection.ops.quote_name
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            for model in models:
                if model._meta.auto_field is not None:
                    table = model._meta.db_table
                    cursor.execute(
                        f"SELECT setval(pg_get_serial_sequence(%s, 'id'), MAX(id)) FROM {quote(table)} "  # noqa: S608
                        "HAVING MAX(id) > 0",
                        [table],
                    )
            cursor.execute(f"ANALYZE {', '.join(quote(table) for table in tables)}")
        else:
            # A sample is enough for the planner, and the whole would take as long as the load.
            cursor.execute("PRAGMA analysis_limit = 1000")
            for table in tables:
                cursor.execute(f"ANALYZE {quote(table)}")
