"""`check_cancelled()`: where a job that works for long lets a person stop it."""

from __future__ import annotations

import logging
import threading
import time

from celery.exceptions import Ignore
from kombu.utils.imports import symbol_by_name

from jobs.compat import AnyDatabaseError, has_django

from .live import LiveRun, current

logger = logging.getLogger(__name__)

#: Seconds between two looks into the database; every other call is a comparison of two numbers.
CHECK_EVERY = 1.0
#: What the run's page says afterwards.
STOPPED = "stopped by the job itself, where it looks whether it should"


class Cancelled(Ignore):
    """The run ends here, as cancelled. An `Ignore`, so that Celery neither retries it nor calls it a failure."""


class _Seen(threading.local):
    run: LiveRun | None = None
    due = 0.0
    asked = False


_seen = _Seen()


def check_cancelled() -> None:
    """End the current run if somebody has cancelled it; call it in a loop, as often as you like.

    It is the place to be stopped at, so call it where what was done so far is whole: between two rows, not within one.
    What the job must tidy up goes into `finally`. Outside of a worker it does nothing.

    Raises:
        Cancelled: the run is to stop. Whoever catches it is asked again at the next call.
    """
    run = current.run
    if run is None:
        return
    if _seen.run is not run:
        _seen.run, _seen.due, _seen.asked = run, 0.0, False
    if not _seen.asked:
        now = time.monotonic()
        if now < _seen.due:
            return
        _seen.due, _seen.asked = now + CHECK_EVERY, _is_asked(run.task_id)
    if _seen.asked:
        raise Cancelled(STOPPED)


def _is_asked(task_id: str) -> bool:
    if not has_django():
        return False  # what is only observed can be ended by force alone
    try:
        # By its name: job modules import this one before Django has loaded its models.
        runs = symbol_by_name("jobs.models:Run").objects
        return bool(runs.filter(task_id=task_id, cancel_requested_at__isnull=False).exists())
    except AnyDatabaseError as error:
        logger.warning("Whether this run is cancelled could not be read (%s); it goes on.", error)
        return False
