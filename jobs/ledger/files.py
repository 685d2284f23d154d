"""The verb *open a file*: what a run produced leaves the console, and the trail says to whom."""

from __future__ import annotations

from typing import IO, Any

from django.core.exceptions import SuspiciousFileOperation

from jobs.catalog.registry import Job, find_job, job_title
from jobs.errors import JobsError, UnknownJob
from jobs.models import RunFile
from jobs.storage import console_storage

from .audit import Actor, Subject, record
from .readable import own_permission
from .verbs import OPEN_FILE, require


class FileGone(JobsError):
    """The ledger knows the file, the storage does not have it any more."""


def open_file(run_file: RunFile, actor: Actor) -> IO[Any]:
    """Open a run's file for reading and record who did so.

    Args:
        run_file: with its run.

    Raises:
        NotPermitted: the actor may not see runs, or not what this job's files tell.
        FileGone: the storage no longer has it; nothing is recorded.
    """
    run = run_file.run
    subject = Subject("run", run.task_id, f"{job_title(run.task_name)} {run.short_id}")
    own = own_permission(_job(run.task_name))
    require(OPEN_FILE, actor, subject, *([own] if own else []))
    try:
        stream = console_storage.open(run_file.path, "rb")
    except (OSError, SuspiciousFileOperation):
        raise FileGone(
            f"{run_file.name} could not be opened: the storage no longer has it. Run the job again to get a new one."
        ) from None
    record(OPEN_FILE.name, actor, subject, details={"job": run.task_name, "file": run_file.name, "size": run_file.size})
    return stream


def _job(task_name: str) -> Job | None:
    try:
        return find_job(task_name)
    except UnknownJob:
        return None
