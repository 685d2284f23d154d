"""Jobs that the console itself needs: it is always there, whatever SHIPPED_JOBS leaves out."""

from __future__ import annotations

import time
from collections import Counter
from importlib import import_module
from typing import Annotated

from django.conf import settings
from django.contrib.sessions.models import Session
from django.utils import timezone
from pydantic import Field

from jobs import job
from jobs.ledger.audit import Actor
from jobs.ledger.retention import expired_counts, prune
from jobs.states import State

#: It stops in good time before its own limit; what is left is for the next night. In seconds.
LONGEST = 25 * 60


@job(
    title="Self-check",
    name="jobs.library.diagnostics.self_check",  # as settings and histories know it
    group="Diagnostics",
    idempotent=True,
    listed=False,
    time_limit=30,
    soft_time_limit=20,
)
def self_check() -> str:
    """Goes through the whole path once: accepted, published, claimed, run, recorded."""
    return "The whole path works."


@job(
    title="Nightly housekeeping",
    group="Maintenance",
    danger="caution",
    idempotent=True,
    dry_run="dry_run",
    soft_time_limit=LONGEST + 180,
    time_limit=LONGEST + 300,
    runbook="Run it again: it goes on where it stopped. What it may remove is the setting RETENTION.",
)
def nightly_housekeeping(
    dry_run: Annotated[bool, Field(title="Dry run", description="Only tell what would be removed.")] = False,
) -> str:
    """Removes finished runs that are older than they are kept, with their results and files, and expired sign-ins.

    How long runs are kept is the setting RETENTION. Runs that have not finished and the audit trail always stay.

    Returns:
        One sentence with the numbers.
    """
    if dry_run:
        sessions = Session.objects.filter(expire_date__lt=timezone.now()).count()
        return f"Would remove {_runs(expired_counts())} and {_number(sessions, 'expired sign-in')}."
    done = prune(Actor("Nightly housekeeping", via="system"), deadline=time.monotonic() + LONGEST)
    sessions = _clear_sessions()
    left = "" if done.finished else " The time was over before the rest was gone; run it again, or wait for tonight."
    return (
        f"Removed {_runs(done.runs)}, {_number(done.files, 'file')}, "
        f"{_number(done.results, 'stored result')} without a run and {_number(sessions, 'expired sign-in')}.{left}"
    )


def _clear_sessions() -> int:
    expired = Session.objects.filter(expire_date__lt=timezone.now()).count()
    import_module(settings.SESSION_ENGINE).SessionStore.clear_expired()
    return expired


def _runs(counts: Counter[State]) -> str:
    parts = ", ".join(f"{number:,} {state}" for state, number in sorted(counts.items()))
    return _number(counts.total(), "run") + (f" ({parts})" if parts else "")


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
