"""Writes an invented history: runs, attempts, logs, stored results, what people did, and the people themselves."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Max, Model
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from jobs.catalog.registry import declared_jobs, job_title
from jobs.ledger.people import User, has, key_of, name_of
from jobs.models import Attempt, AuditEvent, FailureCase, FailureCount, FailureGroup, Run, RunLog
from jobs.pipeline.stored import results_model
from jobs.states import Source, State

from .invented import History
from .invented_failures import InventedFailures
from .invented_rows import ATTEMPT_COLUMNS, RUN_COLUMNS, Chunk, InventedRun, World, attempt_row, run_row
from .invented_words import DECLARED_FIELDS, OBSERVED, PEOPLE, Kind
from .loading import Table, indexes_afterwards, settle

#: Runs written at once.
CHUNK = 10_000
_STATUS = {
    State.SUCCEEDED.value: "SUCCESS",
    State.FAILED.value: "FAILURE",
    State.LOST.value: "FAILURE",
    State.CANCELLED.value: "REVOKED",
    State.EXPIRED.value: "REVOKED",
}
_BY_PEOPLE = {Source.CONSOLE.value, Source.RETRY.value}
RESULT_COLUMNS = (
    *("task_id", "task_name", "periodic_task_name", "task_args", "task_kwargs", "status", "worker", "content_type"),
    *("content_encoding", "result", "traceback", "meta", "date_created", "date_started", "date_done"),
)
AUDIT_COLUMNS = (
    *("at", "actor_id", "actor_label", "via", "ip", "verb", "object_type", "object_id", "object_label", "reason"),
    "details",
)


def seed(count: int, *, days: int, number: int, until: float, progress: Callable[[int], None]) -> int:
    """Write `count` invented runs in one transaction, with their stored results; all of them or none.

    Args:
        number: the seed; with the same `until` and an empty database it gives the same rows.
        until: epoch seconds of the newest moment.
        progress: told the number of runs written so far.

    Returns:
        How many runs there were before.
    """
    models: list[type[Model]] = [Run, Attempt, RunLog, AuditEvent, results_model()]
    models += [FailureGroup, FailureCount, FailureCase]
    with transaction.atomic():
        before = Run.objects.aggregate(last=Max("pk"))["last"] or 0
        history = History(_world(), count, days=days, seed=number, first_id=before + 1, until=until)
        failures = _failures(until)
        if count > before:
            with indexes_afterwards(models):
                _write(history, failures, progress)
        else:
            _write(history, failures, progress)
    settle(models)
    return before


def _failures(until: float) -> InventedFailures:
    known = dict(FailureGroup.objects.values_list("fingerprint", "pk"))
    return InventedFailures(known, first_id=max(known.values(), default=0) + 1, until=until)


def _write(history: History, failures: InventedFailures, progress: Callable[[int], None]) -> None:
    runs = Table(Run, RUN_COLUMNS)
    attempts = Table(Attempt, ATTEMPT_COLUMNS)
    logs = Table(RunLog, ("run_id", "lines", "written"))
    results = Table(results_model(), RESULT_COLUMNS)
    audit = Table(AuditEvent, AUDIT_COLUMNS)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL TIME ZONE 'UTC'")
    written = 0
    for chunk in history.chunks(CHUNK):
        failures.note(chunk)
        runs.load(map(run_row, chunk.runs))
        attempts.load(map(attempt_row, chunk.attempts))
        logs.load(chunk.logs)
        results.load(_results(chunk))
        audit.load(_events(chunk))
        written += len(chunk.runs)
        progress(written)
    failures.write()


def _world() -> World:
    kinds = [*OBSERVED, *_declared()]
    schedules = {kind.schedule: _schedule(kind) for kind in kinds if kind.schedule}
    return World(kinds, _people(), schedules, settings.QUEUES)


def _people() -> list[tuple[str, str]]:
    """Keys and names of those who acted: accounts that cannot sign in, or only names where users have other fields."""
    if not has("username", "first_name", "last_name", "is_staff"):
        return list(PEOPLE)
    people = []
    for username, label in PEOPLE:
        first, _, last = label.partition(" ")
        user, created = User._default_manager.get_or_create(
            username=username, defaults={"first_name": first, "last_name": last, "is_staff": True}
        )
        if created:
            user.set_unusable_password()
            user.save(update_fields=["password"])
        people.append((key_of(user), name_of(user)))
    return people


def _declared() -> Iterator[Kind]:
    """The catalogue's own jobs, but what only checks the console."""
    for job in sorted(declared_jobs(), key=lambda job: job.name):
        if job.listed:
            yield Kind(job.name, 1.5, 4.0, DECLARED_FIELDS.get(job.name, ""), declared=True)


def _schedule(kind: Kind) -> int:
    """Off: nobody works on invented tasks."""
    night, _ = CrontabSchedule.objects.get_or_create(minute="30", hour="2", timezone="UTC")
    schedule, _ = PeriodicTask.objects.get_or_create(
        name=kind.schedule, defaults={"task": kind.name, "crontab": night, "enabled": False}
    )
    return int(schedule.pk)


def _results(chunk: Chunk) -> Iterator[tuple[Any, ...]]:
    """Rows of django-celery-results as `jobs.recorder.results` writes them; what has not finished has none."""
    for run in chunk.runs:
        status = _STATUS.get(run.state)
        if status is None:
            continue
        yield (
            run.task_id,
            run.task_name,
            run.schedule_name or None,
            '"()"',
            run.kwargs_text,
            status,
            run.worker or None,
            "application/json",
            "utf-8",
            _result(run),
            run.traceback or None,
            '{"children": []}',
            run.accepted_at,
            run.started_at,
            run.finished_at,
        )


def _result(run: InventedRun) -> str:
    if not run.error_type:
        return f'"{run.id % 97} done in {run.runtime} s"' if run.runtime is not None else "null"
    return json.dumps({"exc_type": run.error_type, "exc_message": [run.error_message], "exc_module": "builtins"})


def _events(chunk: Chunk) -> Iterator[tuple[Any, ...]]:
    """What people did, as `start_run` records it."""
    for run in chunk.runs:
        if run.source in _BY_PEOPLE:
            label = f"{job_title(run.task_name)} {run.task_id[:8]}"
            ip = f"10.0.0.{run.id % 250 + 1}"
            yield (
                *(run.accepted_at, run.actor_id, run.actor_label, "admin", ip, "start_run", "run", run.task_id, label),
                *(run.reason, '{"queue": "default"}'),
            )
