"""The due moments of a schedule: what every beat must compute alike."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from celery.schedules import crontab, schedule


def due_moment(spec: object, *, anchor: datetime, now: datetime) -> datetime:
    """The latest due moment of `spec` at or before `now`; aware, UTC.

    A calendar schedule is due on a full minute. An interval is due at anchor + k·every, so that two beats with
    different clocks or start times agree on the moment.

    Args:
        spec: Celery's schedule object; one that is neither a crontab nor an interval is due now.
        anchor: the schedule's start time, else its creation or last change.
    """
    if isinstance(spec, crontab):
        return now.astimezone(UTC).replace(second=0, microsecond=0)
    every: timedelta | None = getattr(spec, "run_every", None) if isinstance(spec, schedule) else None
    if every:
        passed = max(now - anchor, timedelta(0))
        return (anchor + every * (passed // every)).astimezone(UTC)
    return now.astimezone(UTC)
