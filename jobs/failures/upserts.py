"""Rows that are made or added to in one statement, whoever else is at them: an increment is never lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import BigIntegerField, Case, F, Value, When

from jobs.models import FailureCase, FailureCount, FailureGroup

from .cases import pieces_of_work
from .fingerprint import Fingerprint


@dataclass(frozen=True, slots=True)
class GroupRow:
    """The failures of one batch with one fingerprint; `last_run` and `sample_message` are of the newest of them,
    and `varied` says that their messages are not all alike."""

    fingerprint: Fingerprint
    task_name: str
    sample_message: str
    last_run: str
    first_seen: datetime
    last_seen: datetime
    n: int
    varied: bool = False


@dataclass(frozen=True, slots=True)
class CaseRow:
    """The failures of one batch that are equal, of one group; the time and the run are those of the last."""

    group: int
    digest: str
    n: int
    at: datetime
    last_run: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A group as it is now."""

    pk: int
    key: str
    resolved: bool


_GROUP = FailureGroup._meta.db_table
_COUNT = FailureCount._meta.db_table
_CASE = FailureCase._meta.db_table
_GROUP_COLUMNS = (
    *("fingerprint", "basis", "task_name", "error_type", "title", "place", "sample_message", "last_run"),
    *("first_seen", "last_seen", "total", "hurting", "healed_by", "state", "decided_by", "version"),
    *("message_key", "varied"),
)
_NEWER = f"excluded.last_seen >= {_GROUP}.last_seen"
_ADD_GROUPS = f"""
    INSERT INTO {_GROUP} ({", ".join(_GROUP_COLUMNS)}) VALUES {{}}
    ON CONFLICT (fingerprint) DO UPDATE SET
        total = {_GROUP}.total + excluded.total,
        varied = {_GROUP}.varied OR excluded.varied
            OR ({_GROUP}.message_key <> '' AND {_GROUP}.message_key <> excluded.message_key),
        message_key = excluded.message_key,
        first_seen = CASE WHEN excluded.first_seen < {_GROUP}.first_seen
            THEN excluded.first_seen ELSE {_GROUP}.first_seen END,
        last_seen = CASE WHEN {_NEWER} THEN excluded.last_seen ELSE {_GROUP}.last_seen END,
        sample_message = CASE WHEN {_NEWER} THEN excluded.sample_message ELSE {_GROUP}.sample_message END,
        last_run = CASE WHEN {_NEWER} THEN excluded.last_run ELSE {_GROUP}.last_run END
    RETURNING id, fingerprint, state
"""  # noqa: S608 - names of our own tables
_ADD_COUNTS = f"""
    INSERT INTO {_COUNT} (group_id, hour, n) VALUES {{}}
    ON CONFLICT (group_id, hour) DO UPDATE SET n = {_COUNT}.n + excluded.n
"""  # noqa: S608
_ADD_CASES = f"""
    INSERT INTO {_CASE} (group_id, digest, hurting, last_failed_at, last_run, healed_by) VALUES {{}}
    ON CONFLICT (group_id, digest) DO UPDATE SET
        hurting = {_CASE}.hurting + excluded.hurting,
        last_run = CASE WHEN excluded.last_failed_at >= {_CASE}.last_failed_at
            THEN excluded.last_run ELSE {_CASE}.last_run END,
        last_failed_at = CASE WHEN excluded.last_failed_at >= {_CASE}.last_failed_at
            THEN excluded.last_failed_at ELSE {_CASE}.last_failed_at END
    RETURNING group_id, digest, hurting
"""  # noqa: S608


def add_groups(rows: Sequence[GroupRow]) -> list[Kept]:
    """Make the groups, or add to them; in the order of their keys, so that two who do this never wait in a ring."""
    values = [
        (
            *(row.fingerprint.key, row.fingerprint.basis.value, row.task_name, row.fingerprint.error_type),
            *(row.fingerprint.title, row.fingerprint.place, row.sample_message, row.last_run),
            *(_moment(row.first_seen), _moment(row.last_seen), row.n, 0, "", FailureGroup.State.OPEN.value, "", 0),
            *(row.fingerprint.message_key, row.varied),
        )
        for row in rows
    ]
    with connection.cursor() as cursor:
        _execute(cursor, _ADD_GROUPS, values)
        found = cursor.fetchall()
    return [Kept(pk, key, state == FailureGroup.State.RESOLVED) for pk, key, state in found]


def add_counts(counts: Counter[tuple[int, datetime]]) -> None:
    """Add to the hours of groups."""
    if not counts:
        return
    with connection.cursor() as cursor:
        _execute(cursor, _ADD_COUNTS, [(pk, _moment(hour), n) for (pk, hour), n in sorted(counts.items())])


def add_cases(rows: Sequence[CaseRow]) -> None:
    """Add to the cases of groups, and to what hurts in those; at most one row a case."""
    values = [
        (row.group, row.digest, row.n, _moment(row.at), row.last_run, "")
        for row in sorted(rows, key=lambda row: (row.group, row.digest))
    ]
    with connection.cursor() as cursor:
        _execute(cursor, _ADD_CASES, values)
        kept = {(pk, digest): hurting for pk, digest, hurting in cursor.fetchall()}
    more: Counter[int] = Counter()
    for row in rows:
        now = kept[row.group, row.digest]
        more[row.group] += pieces_of_work(now, row.digest) - pieces_of_work(now - row.n, row.digest)
    if more := +more:
        added = Case(*(When(pk=pk, then=Value(n)) for pk, n in more.items()), output_field=BigIntegerField())
        FailureGroup.objects.filter(pk__in=list(more)).update(hurting=F("hurting") + added)


def _execute(cursor: Any, statement: str, values: Sequence[tuple[Any, ...]]) -> None:
    one = f"({', '.join(['%s'] * len(values[0]))})"
    cursor.execute(statement.format(", ".join([one] * len(values))), [value for row in values for value in row])


def _moment(at: datetime) -> Any:
    return connection.ops.adapt_datetimefield_value(at)
