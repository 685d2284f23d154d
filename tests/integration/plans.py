"""What a page's statements cost the database, in units that no busy machine changes, and how they are carried out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import connection

#: The tables that grow with the history.
GROWING = {
    *("jobs_run", "jobs_attempt", "jobs_runlog", "jobs_runfile", "jobs_runobject", "jobs_auditevent"),
    # As many as there are kinds of failures and different arguments that fail; groups themselves are few.
    *("jobs_failurecase", "jobs_failurecount"),
    *("django_celery_results_taskresult", "django_celery_results_groupresult"),
}
#: Virtual machine steps between two calls of SQLite's progress handler.
GRAIN = 20


@dataclass(frozen=True, slots=True)
class Cost:
    """One statement.

    Attributes:
        work: rows looked at (PostgreSQL), or hundreds of steps of the virtual machine (SQLite).
        scans: the growing tables that the plan reads without an index, to their end or to a limit, and the work of that
            (SQLite does not tell it apart: that of the whole statement).
    """

    sql: str
    work: float
    scans: dict[str, float]


@contextmanager
def statements() -> Iterator[list[tuple[str, Any]]]:
    """Collects every SELECT with its values."""
    found: list[tuple[str, Any]] = []

    def keep(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.lstrip().startswith(("SELECT", "WITH")):
            found.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(keep):
        yield found


def cost(sql: str, params: Any) -> Cost:
    """Carry the statement out once more and tell what it cost."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {sql}", params)
            [[plan]] = cursor.fetchall()
            plan = json.loads(plan) if isinstance(plan, str) else plan
            nodes = list(_nodes(plan[0]["Plan"]))
            scans = {n["Relation Name"]: _looked_at(n) for n in nodes if n["Node Type"] == "Seq Scan"}
            return Cost(sql, sum(map(_looked_at, nodes)), {t: work for t, work in scans.items() if t in GROWING})
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}", params)
        details = [str(row[3]) for row in cursor.fetchall()]
        calls = 0

        def count() -> int:
            nonlocal calls
            calls += 1
            return 0

        connection.connection.set_progress_handler(count, GRAIN)
        try:
            cursor.execute(sql, params)
            cursor.fetchall()
        finally:
            connection.connection.set_progress_handler(None, 0)
        work = calls * GRAIN / 100
        return Cost(sql, work, dict.fromkeys(_bare_scans(sql, details), work))


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", []):
        yield from _nodes(inner)


def _looked_at(node: dict[str, Any]) -> float:
    """Rows that a node took from a table or an index, those that it threw away included."""
    if "Scan" not in node["Node Type"]:
        return 0
    dropped = sum(node.get(f"Rows Removed by {by}", 0) for by in ("Filter", "Index Recheck", "Join Filter"))
    return float(node["Actual Loops"] * (node["Actual Rows"] + dropped))


def _bare_scans(sql: str, details: list[str]) -> tuple[str, ...]:
    """`SCAN name` without an index, where the name is a table's: its own, or what the statement calls it."""
    made = {match[1] for d in details if (match := re.match(r"(?:CO-ROUTINE|MATERIALIZE) (\S+)", d))}
    named = dict(re.findall(r'"(\w+)" (?:AS )?"?(\w+)"?', sql))
    tables = {alias: table for table, alias in named.items()}
    found = [d.removeprefix("SCAN ") for d in details if re.fullmatch(r"SCAN \S+", d)]
    return tuple(tables.get(name, name) for name in found if name not in made and tables.get(name, name) in GROWING)
