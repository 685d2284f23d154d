"""A worker met the message of a run that the ledger does not know: it is dropped, and counted."""

from __future__ import annotations

import logging
import time

from django.db import Error as AnyDatabaseError

from jobs.fleet.broker import RedisError, address, connect
from jobs.fleet.dropped import note_dropped
from jobs.models import Run

logger = logging.getLogger(__name__)


def count_if_unknown(task_id: str, worker: str) -> None:
    """Count the message that was just dropped if nobody knows its run; never raises for an outage."""
    try:
        if Run.objects.filter(task_id=task_id).exists():
            return
        logger.warning("Run %s is not in the ledger; its message is dropped.", task_id)
        with connect(address(), timeout=2, retries=1) as client:
            note_dropped(client, time.time(), task_id, worker)
    except (AnyDatabaseError, RedisError) as error:
        logger.warning("Run %s: the dropped message is not counted (%s).", task_id, error)
