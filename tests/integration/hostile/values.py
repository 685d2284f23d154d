"""What the tables are filled with: by the kind of a column, and by its name where only known words lead further."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any
from uuid import UUID

from django.db import connection, models
from django.utils import timezone

from jobs.catalog.registry import declared_jobs, derived_jobs
from jobs.failures.fingerprint import Basis
from jobs.ledger.verbs import VERBS
from jobs.states import Source, State

#: No page may hold it as markup.
MARKUP = "<script>alert('stored')</script>"
TEXTS = [
    MARKUP,
    "\"><img src=x onerror=alert('stored')>",
    "{{ 7|add:7 }}{% now 'Y' %}{% endif %}",
    "'; DROP TABLE jobs_run; --",
    "\u202eabc\u2066def",
    "\u200b\u200d\ufeff",
    "Z\u0334\u0327\u0344\u033f" * 20,
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 \ufffe\uffff",
    "a/b%2Fc?d=e&f#g..;h\\i:j",
    "..",
    ".",
    "_2F_3A__",
    " ",
    "\x1b[31m\r\nSet-Cookie: x=y\r\n\r\n",
    "\u2028\u2029\x85\x0b\x0c",
    "%s %(x)s %d {0} {x} ${y} $& \\1",
    "javascript:alert('stored')",
    "https://user:hunter2@[::1:99999/",
    "//[",
    "\\ud800",
    "1e400",
    "9" * 5000,
    "null",
    "0001-01-01",
    "x" * 1_000_000,
    "",
]
#: SQLite takes it, PostgreSQL does not.
NUL = "a\x00b"
_DEEP = 900
#: What a person or a program can have written as JSON.
JSONS = [
    r'"\ud800"',
    r'{"\udfff": "\ud83d", "password": "\ude00"}',
    r'{"name": "\u0000"}',
    "[" * _DEEP + "]" * _DEEP,
    '{"a":' * _DEEP + "1" + "}" * _DEEP,
    '{"__type__": "datetime", "__value__": "x"}',
    '{"__type__": "date", "__value__": null}',
    '{"__type__": "uuid", "__value__": 5}',
    '{"__type__": "uuid", "__value__": {"hex": "x"}}',
    '{"__type__": "decimal", "__value__": "NaN"}',
    '{"__type__": "decimal", "__value__": "1e999999"}',
    '{"__type__": "decimal", "__value__": [9, 9]}',
    '{"__type__": "bytes", "__value__": "//8="}',
    '{"__type__": "base64", "__value__": "//8="}',
    '{"__type__": "base64", "__value__": "?"}',
    '{"__type__": ["list"], "__value__": {}}',
    '{"__type__": {"a": 1}, "__value__": {}}',
    '{"__type__": "nobody", "__value__": 1}',
    '{"__type__": "datetime"}',
    '{"__type__": null, "__value__": null}',
    '{"__type__": "time", "__value__": "25:61"}',
    "1e400",
    "-1e400",
    "1" * 5001,
    '{"a": [' + "1" * 5001 + "]}",
    json.dumps(MARKUP),
    json.dumps({MARKUP: [MARKUP, "\u202e", "postgres://u:hunter2@h/"]}),
    json.dumps("x" * 1_000_000),
    json.dumps({"x" * 5000: "y"}),
    "null",
    "true",
    "0",
    '""',
    "[]",
    "{}",
    "[[[], [1]], {}, null]",
]
#: Text where JSON is expected.
BROKEN = ["", "{", "[[1, 2", '"', "nonsense", MARKUP, "[1] [2]", "NaN", "[NaN, -Infinity]", "{'a': 1}", "\ufeff[]"]
_NOW = timezone.now()
MOMENTS: list[datetime] = [
    _NOW - timedelta(minutes=5),
    _NOW - timedelta(hours=2),
    datetime.min.replace(tzinfo=UTC),
    _NOW + timedelta(days=1),
    datetime.max.replace(tzinfo=UTC),
    _NOW - timedelta(seconds=1),
    datetime(1970, 1, 1, tzinfo=UTC),
    _NOW - timedelta(days=3),
]
#: A name in the storage that has a file; what it holds is hostile, too.
REAL_FILE = "hostile/real.csv"
_IDS = [f"{text}-run" if text in {"", " "} else text for text in TEXTS]
#: The ids of runs: everything that names one has them, too.
RUN_IDS = [one[:255] for one in dict.fromkeys(text[:240] for text in _IDS)]


def _object(names: Iterable[str], one: str) -> str:
    """JSON with the same value under all these names."""
    return "{" + ", ".join(f"{json.dumps(name)}: {one}" for name in names) + "}"


def _wrapped(one: str) -> list[str]:
    """A value as the arguments of a task: by position, and by names that say something to a page."""
    return [f"[[{one}, 1], {{}}]", f"[[], {_object(('x', 'password', 'rows', 'file', 'user', 'names'), one)}]", one]


def _arguments() -> list[str]:
    return [text for one in JSONS for text in _wrapped(one)] + BROKEN


def _details() -> list[str]:
    names = [
        "file",
        "missing",
        "replaced",
        "refused",
        "asked",
        "answered",
        "queue",
        "slots",
        "runs",
        "batch",
        "how",
        "left_out",
        "facts",
        "messages",
        "pace",
    ]
    names += ["filters", "because_of", MARKUP]
    return [_object(names, one) for one in JSONS] + JSONS


def _lines() -> list[str]:
    told = [f'[[1e9, "INFO", 1, {one}], [{one}, {one}, {one}, "text"]]' for one in JSONS]
    return [
        *told,
        *JSONS,
        *BROKEN,
        '[[1, "INFO", 1]]',
        "[1, [], null]",
        '[["x", null, "y", {}]]',
        '[[1e18, 1, 1, "a"]]',
    ]


def _counter() -> list[str]:
    names = ("done", "current", "total", "noun", "unit", "note", "at", "began", "since")
    return [_object(names, one) for one in JSONS] + JSONS


#: JSON, and text that is expected to be JSON, by model and column.
_JSON_COLUMNS: dict[str, Any] = {
    "jobs.Run.arguments": _arguments,
    "jobs.Run.progress": _counter,
    "jobs.Run.delivery": lambda: [
        *(_object(("headers", "limits"), one) for one in JSONS),
        *(f'{{"headers": {{"tenant": {one}}}, "limits": [{one}, null]}}' for one in JSONS),
    ],
    "jobs.RunLog.lines": _lines,
    "jobs.AuditEvent.details": _details,
    "django_celery_beat.PeriodicTask.args": lambda: [*JSONS, *(f"[{one}]" for one in JSONS), *BROKEN],
    "django_celery_beat.PeriodicTask.kwargs": lambda: [*(f'{{"x": {one}}}' for one in JSONS), *JSONS, *BROKEN],
    "django_celery_beat.PeriodicTask.headers": lambda: [*JSONS, *BROKEN],
    "django_celery_results.TaskResult.meta": lambda: [*(f'{{"children": {one}}}' for one in JSONS), *JSONS, *BROKEN],
    "django_celery_results.GroupResult.result": lambda: [
        *(f'[["g", {one}], [[["t", {one}], null], {one}]]' for one in JSONS),
        *JSONS,
        *BROKEN,
    ],
    # Django writes and reads these alone.
    "admin.LogEntry.change_message": lambda: [*TEXTS, '[{"added": {}}]', "[]"],
    "auth.User.date_joined": lambda: MOMENTS[:2],
    "auth.User.last_login": lambda: MOMENTS[:2],
}
_NAMES = ("result", "task_args", "task_kwargs", "sub_tasks")
#: Words that lead a page further, by the name of the column.
_KNOWN: dict[str, Any] = {
    "state": lambda: [*State],
    "source": lambda: [*Source],
    "verb": lambda: [*VERBS],
    "basis": lambda: [*Basis],
    "object_type": lambda: ["run", "job", "queue", "worker", "failure", "schedule", "preset"],
    "via": lambda: ["admin", "command", "schedule", "system"],
    "status": lambda: ["SUCCESS", "FAILURE", "STARTED", "PROGRESS"],
    "content_type": lambda: ["application/json", "text/plain", "image/png", "application/x-python-serialize"],
    "content_encoding": lambda: ["utf-8", "binary"],
    "queue": lambda: ["default", "reports"],
    "model": lambda: ["auth.user", "auth.group"],
    "key": lambda: ["1", "2"],
    "tone": lambda: ["bad", "warn"],
    "actor_id": lambda: ["1", "2", None, str(10**9)],
    "password": lambda: ["!"],
    # Counted by the console itself: their sum fits a column, too.
    **dict.fromkeys(("n", "hurting", "total"), lambda: [0, 1, 10**15]),
    "path": lambda: [REAL_FILE],
}
_JOBS = {"task_name", "task", "job"}
_RUNS = {"task_id", "root_id", "parent_id", "based_on", "last_run", "healed_by", "object_id", "group_id"}


@cache
def pool_of(field: models.Field[Any, Any]) -> list[Any]:
    """The values of a column that are hostile in it, in the form that its database takes."""
    label = f"{field.model._meta.label}.{field.attname}"
    values = _by_name(label, field) or _by_kind(field)
    if isinstance(field, (models.CharField, models.TextField)):
        values = _fitting(field, values)
    return [*values, None] if field.null else values


def _by_name(label: str, field: models.Field[Any, Any]) -> list[Any]:
    if label in _JSON_COLUMNS:
        return list(_JSON_COLUMNS[label]())
    if field.attname in _NAMES:
        return [*JSONS, *BROKEN]
    if field.attname in _JOBS:
        return _mixed([job.name for job in [*declared_jobs(), *derived_jobs()]], TEXTS)
    if field.attname in _RUNS:
        return list(RUN_IDS)
    if known := _KNOWN.get(field.attname):
        return _mixed(list(known()), TEXTS if isinstance(field, models.CharField) else [])
    return []


def _mixed(known: list[Any], texts: list[str]) -> list[Any]:
    """Of each three values two are known; as many as both have."""
    repeated = [known[place % len(known)] for place in range(2 * len(texts) + len(known))]
    return [one for place, value in enumerate(repeated) for one in (value, *texts[place // 2 : (place + 1) // 2])]


def _by_kind(field: models.Field[Any, Any]) -> list[Any]:
    match field:
        case _ if field.get_internal_type() == "CharField" and type(field).__name__ == "TimeZoneField":
            return ["UTC", "Europe/Vilnius", "Mars/Olympus", MARKUP]
        case models.JSONField():
            return list(JSONS)
        case models.CharField() | models.TextField():
            choices = [value for value, _ in field.flatchoices]
            return _mixed(choices, TEXTS) if choices else [*TEXTS]
        case models.BooleanField():
            return [True, False]
        case models.DateTimeField():
            return list(MOMENTS)
        case models.FloatField():
            return [0.0, -1.5, 1e-300, 1e308, float("inf"), 3.0]
        case models.DecimalField():
            return [Decimal(0), Decimal(45)]
        case models.UUIDField():
            return [UUID(int=0), UUID(int=2**128 - 1)]
        case models.GenericIPAddressField():
            return ["::1", "255.255.255.255"]
        case models.IntegerField():
            least, most = connection.ops.integer_field_range(field.get_internal_type())
            return [1, 0, most or 2**31 - 1, max(-1, least or 0), 3]
    raise AssertionError(f"{field} is of a kind that no hostile value is known for")


def _fitting(field: models.Field[Any, Any], texts: list[Any]) -> list[Any]:
    """Cut to the column's length, and without what its database refuses."""
    takes_nul = connection.vendor == "sqlite"
    return [
        text[: field.max_length] if isinstance(text, str) and field.max_length else text
        for text in ([*texts, NUL] if takes_nul else texts)
    ]
