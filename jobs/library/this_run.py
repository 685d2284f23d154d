"""The noun *this run*: the ledger's row of the run whose job is at work here, and who asked for it."""

from __future__ import annotations

from celery import current_task

from jobs.ledger.people import User, active_user
from jobs.models import Run


def this_run() -> Run | None:
    """The run that this worker executes; None where a job's function is simply called."""
    task_id = current_task.request.id if current_task else None
    return Run.objects.filter(task_id=task_id).first() if task_id else None


def asked_by() -> User | None:
    """The person who asked for this run; None for a schedule, for code, and for somebody who is gone or inactive."""
    run = this_run()
    return active_user(run.actor_id) if run is not None else None
