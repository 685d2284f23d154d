"""The noun *this run*: the ledger's row of the run whose job is at work here, and who asked for it."""

from __future__ import annotations

from celery import current_task
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractUser

from jobs.models import Run


def this_run() -> Run | None:
    """The run that this worker executes; None where a job's function is simply called."""
    task_id = current_task.request.id if current_task else None
    return Run.objects.filter(task_id=task_id).first() if task_id else None


def asked_by() -> AbstractUser | None:
    """The person who asked for this run; None for a schedule, for code, and for somebody who is gone or inactive."""
    run = this_run()
    if run is None or run.actor_id is None:
        return None
    return get_user_model().objects.filter(pk=run.actor_id, is_active=True).first()
