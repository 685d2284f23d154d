"""Whether the ledger's database can be used: it is there, has every migration of this release, and takes writes."""

from __future__ import annotations

from pathlib import Path

from django.db import OperationalError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder

#: The last migration of each application, once the database was seen to have them: reading all files is slow.
_wanted: frozenset[tuple[str, str]] = frozenset()


def unapplied() -> list[str]:
    """The migrations of installed applications that the database lacks, `app.name`; [] where it has them all."""
    global _wanted
    if _wanted and _wanted <= MigrationRecorder(connection).applied_migrations().keys():
        return []
    executor = MigrationExecutor(connection)
    leaves = executor.loader.graph.leaf_nodes()
    left = [f"{migration.app_label}.{migration.name}" for migration, _ in executor.migration_plan(leaves)]
    _wanted = frozenset() if left else frozenset(leaves)
    return left


def is_there() -> bool:
    """False where the file of SQLite is gone: to connect would make an empty one."""
    name = str(connection.settings_dict["NAME"])
    return connection.vendor != "sqlite" or ":" in name or Path(name).exists()  # memory, or a URI of somebody's own


def takes_writes() -> bool:
    """Whether a transaction may write; it writes nothing. Not inside of one."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SHOW transaction_read_only")
            return bool(cursor.fetchone()[0] == "off")
        cursor.execute("PRAGMA query_only")
        if cursor.fetchone()[0]:
            return False
        cursor.execute("PRAGMA busy_timeout")
        (patience,) = cursor.fetchone()
        cursor.execute("PRAGMA busy_timeout = 0")
        try:
            cursor.execute("BEGIN IMMEDIATE")
            cursor.execute("ROLLBACK")
        except OperationalError as error:
            return "locked" in str(error)  # whoever holds the lock writes
        finally:
            cursor.execute(f"PRAGMA busy_timeout = {int(patience)}")
        return True
