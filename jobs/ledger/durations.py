"""How long a job usually takes, from its newest runs that succeeded; kept for a minute in each process."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import connection

from jobs.states import State

from .run_query import RunQuery, pool_of

#: Runs of a job that are looked at, those of them that count, and how few are too few to speak of "usual".
_NEWEST, _COUNTED, _FEWEST = 200, 50, 3
KEPT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Usual:
    """Seconds that half of a job's runs, and 95 % of them, stay within."""

    p50: float
    p95: float


#: When it was read, by the monotonic clock, and what was found; None where too few runs succeeded.
_kept: dict[str, tuple[float, Usual | None]] = {}


def usual(task_names: Iterable[str]) -> dict[str, Usual]:
    """How long each of the tasks usually takes, where that is known. One query, or none."""
    now, names = time.monotonic(), {name for name in task_names if "\x00" not in name}  # no database has such a one
    missing = sorted(name for name in names if name not in _kept or now - _kept[name][0] > KEPT_SECONDS)
    if missing:
        durations = _read(missing)
        _kept.update({name: (now, _usual_of(durations[name])) for name in missing})
    return {name: known for name in names if (known := _kept[name][1]) is not None}


def forget_durations() -> None:
    """Read them anew at the next call."""
    _kept.clear()


def _usual_of(durations: Sequence[float]) -> Usual | None:
    if len(durations) < _FEWEST:
        return None
    ordered = sorted(durations)
    return Usual(_at(ordered, 0.5), _at(ordered, 0.95))


def _at(ordered: Sequence[float], share: float) -> float:
    return ordered[math.ceil(share * len(ordered)) - 1]


def _read(names: Sequence[str]) -> dict[str, list[float]]:
    parts, values = [], []
    for name in names:
        newest = pool_of(RunQuery(task_name=name)).from_place(None).values("task_name", "state", "runtime")[:_NEWEST]
        sql, own = newest.query.sql_with_params()
        parts.append(
            f"SELECT * FROM (SELECT task_name, runtime FROM ({sql}) newest"  # noqa: S608 - from the ORM
            " WHERE state = %s AND runtime IS NOT NULL LIMIT %s) counted"
        )
        values += [*own, State.SUCCEEDED.value, _COUNTED]
    found: dict[str, list[float]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts), values)
        for name, runtime in cursor.fetchall():
            found[name].append(runtime)
    return found
