"""The verbs on schedules. What a schedule starts runs without asking who: so only who may run the job may arm it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone
from django_celery_beat.models import PeriodicTask, PeriodicTasks

from jobs.catalog.registry import find_job
from jobs.errors import JobsError
from jobs.ledger.audit import Actor, Subject, record
from jobs.ledger.start import Started, start_run
from jobs.ledger.verbs import (
    CHANGE_SCHEDULE,
    CREATE_SCHEDULE,
    DELETE_SCHEDULE,
    START_RUN,
    SWITCH_OFF,
    SWITCH_ON,
    Verb,
    require,
)
from jobs.models import AuditEvent

from .changes import changes_of
from .drafts import Draft, check_draft, fill_row, keep_row, shown_arguments
from .problems import job_of, problem_of
from .sentence import sentence
from .spec import BrokenSchedule
from .stored import Stored, delivery_of, read_one


class ScheduleGone(JobsError):
    """Somebody has deleted it."""


class ScheduleChanged(JobsError):
    """Somebody has changed it since the form was shown."""


def create_schedule(draft: Draft, *, actor: Actor, reason: str = "") -> PeriodicTask:
    """Make a schedule; it never fires at once.

    Raises:
        NotPermitted: the actor may not make schedules, or not run the job.
        InvalidSchedule, InvalidArguments: with one sentence for each field.
    """
    require(CREATE_SCHEDULE, actor, _subject(None, draft.name), START_RUN.permission, draft.job.permission)
    now = timezone.now()
    row = PeriodicTask(last_run_at=None)
    check_draft(draft, now, None)
    with transaction.atomic():
        fill_row(row, draft, None, now)
        keep_row(row)
        record(CREATE_SCHEDULE.name, actor, _subject(row.pk, row.name), reason=reason, details=_details(draft, row))
    return row


def change_schedule(pk: int, draft: Draft, *, seen: str, actor: Actor, reason: str = "") -> PeriodicTask:
    """Change a schedule; what the row held and nobody sends is cleared. One whose time changes does not fire at once.

    Args:
        seen: the version that the form was filled from (`version_of`).

    Raises:
        NotPermitted: the actor may not change schedules, or not run the job that it has or gets.
        ScheduleGone, ScheduleChanged: somebody else was faster.
        InvalidSchedule, InvalidArguments: with one sentence for each field.
    """
    stored = _stored(pk)
    held = job_of(stored)
    permissions = {draft.job.permission, *([held.permission] if held else [])}
    require(CHANGE_SCHEDULE, actor, _subject(pk, stored.row.name), START_RUN.permission, *sorted(permissions))
    now = timezone.now()
    check_draft(draft, now, stored)
    with transaction.atomic():
        stored = _stored(pk, lock=True)
        if version_of(stored.row) != seen:
            raise ScheduleChanged(_who_changed(pk))
        row = stored.row
        changes = changes_of(stored, draft)
        fill_row(row, draft, stored, now)
        keep_row(row)
        details = {**_details(draft, row), "changed": changes}
        record(CHANGE_SCHEDULE.name, actor, _subject(pk, row.name), reason=reason, details=details)
    return row


def switch_on(pk: int, *, actor: Actor) -> Stored:
    """Let a schedule fire from its next moment on, never at once; one that is on stays as it is.

    Raises:
        NotPermitted: the actor may not change schedules, or not run the job.
        BrokenSchedule: it could not fire, or its job would refuse.
        ScheduleGone: somebody has deleted it.
    """
    stored = _stored(pk)
    job = find_job(stored.row.task)
    require(SWITCH_ON, actor, _subject(pk, stored.row.name), START_RUN.permission, job.permission)
    with transaction.atomic():
        stored = _stored(pk, lock=True)
        now = timezone.now()
        if problem := problem_of(stored, now):
            raise BrokenSchedule(f"{stored.row.name} was not switched on. {problem}")
        if stored.plan.next_after(now) is None:
            raise BrokenSchedule(f"{stored.row.name} was not switched on: its last moment has passed. Give it another.")
        if not stored.row.enabled:
            _switch(stored.row, now, enabled=True, last_run_at=now, total_run_count=0)
            record(SWITCH_ON.name, actor, _subject(pk, stored.row.name))
    return stored


def switch_off(pk: int, *, actor: Actor) -> Stored:
    """Let a schedule fire no more. Runs that it has started go on. Also one that is broken, or whose job is gone."""
    stored = _stored(pk)
    require(SWITCH_OFF, actor, _subject(pk, stored.row.name))
    with transaction.atomic():
        stored = _stored(pk, lock=True)
        if stored.row.enabled:
            _switch(stored.row, timezone.now(), enabled=False, last_run_at=None)
            record(SWITCH_OFF.name, actor, _subject(pk, stored.row.name))
    return stored


def delete_schedule(pk: int, *, actor: Actor, reason: str = "") -> str:
    """Remove a schedule; its runs and their history stay. Returns its name."""
    stored = _stored(pk)
    require(DELETE_SCHEDULE, actor, _subject(pk, stored.row.name))
    with transaction.atomic():
        stored = _stored(pk, lock=True)
        details = {"job": stored.row.task, "when": sentence(stored.spec) if stored.spec else stored.problem}
        record(DELETE_SCHEDULE.name, actor, _subject(pk, stored.row.name), reason=reason, details=details)
        # Not row.delete(): it would read a zone that may not exist.
        PeriodicTask.objects.filter(pk=pk).delete()
        PeriodicTasks.update_changed()
    return str(stored.row.name)


def run_now(pk: int, *, actor: Actor, nonce: str, reason: str = "") -> Started:
    """Start the schedule's job with its arguments, by hand; its moments stay. Raises as `start_run` does."""
    stored = _stored(pk)
    job = find_job(stored.row.task)
    if stored.args is None or stored.kwargs is None or stored.refused:
        raise BrokenSchedule(f"Nothing was started. {stored.problem}")
    wish = replace(
        delivery_of(stored.row, timezone.now()), reason=reason, nonce=nonce, schedule=(stored.row.pk, stored.row.name)
    )
    return start_run(job, stored.kwargs, positional=stored.args, actor=actor, wish=wish)


def refuse_unless(verb: Verb, actor: Actor, stored: Stored) -> None:
    """Raise NotPermitted, and record it, where the actor may not do `verb` with this schedule."""
    job = job_of(stored)
    needs = (
        (START_RUN.permission, *([job.permission] if job else [])) if verb not in (SWITCH_OFF, DELETE_SCHEDULE) else ()
    )
    require(verb, actor, _subject(stored.row.pk, stored.row.name), *needs)


def version_of(row: PeriodicTask) -> str:
    """Changes whenever a person changes the row, and never when beat notes that it fired."""
    return row.date_changed.isoformat() if row.date_changed else ""


def _stored(pk: int, *, lock: bool = False) -> Stored:
    stored = read_one(pk, lock=lock)
    if stored is None:
        raise ScheduleGone("This schedule does not exist any more. Nothing was changed.")
    return stored


def _subject(pk: int | None, name: str) -> Subject:
    return Subject("schedule", str(pk or ""), name)


def _switch(row: PeriodicTask, now: datetime, **values: Any) -> None:
    # One UPDATE of what changes: the stock save() reads the zone, which may not exist, and writes every column.
    PeriodicTask.objects.filter(pk=row.pk).update(**values, date_changed=now)
    PeriodicTasks.update_changed()
    for name, value in values.items():
        setattr(row, name, value)


def _details(draft: Draft, row: PeriodicTask) -> dict[str, Any]:
    return {
        "job": draft.job.name,
        "when": sentence(draft.spec),
        "arguments": shown_arguments(draft.job, row),
        "on": row.enabled,
        **({"queue": draft.queue} if draft.queue else {}),
        **({"priority": draft.priority} if draft.priority is not None else {}),
        **({"expire_seconds": draft.expire_seconds} if draft.expire_seconds is not None else {}),
    }


def _who_changed(pk: int) -> str:
    last = AuditEvent.objects.filter(object_type="schedule", object_id=str(pk), outcome=AuditEvent.Outcome.DONE)
    event = last.order_by("-id").first()
    who = f"{event.actor_label} has" if event else "Somebody has"
    return f"Nothing was saved: {who} changed this schedule meanwhile. Open it again, and make your change anew."
