"""The claim: one UPDATE by which a worker takes an execution of a run that the console accepted, or lets go of it."""

from __future__ import annotations

import logging
import secrets
import time

from celery.exceptions import Ignore
from django.db import Error as AnyDatabaseError
from django.db import connection
from django.db.models.functions import Now

from jobs.fleet.beacon import this_process
from jobs.models import Run
from jobs.states import CLAIMABLE, State

from .unknown import count_if_unknown

logger = logging.getLogger(__name__)

#: How long a claim waits for the database before it lets go of the message, in seconds. The dispatcher publishes again.
CLAIM_PATIENCE = 20.0


def claim_or_ignore(task_id: str, n: int, *, worker: str, retries: int) -> None:
    """Take execution `n` of the run for this worker, or drop the message.

    One UPDATE decides; whoever changes the row may run the body. An ambiguous commit is settled by re-reading the
    nonce. While the database is away the claim tries for CLAIM_PATIENCE seconds.

    Raises:
        Ignore: the run is gone, cancelled, finished, or another delivery of `n` was first.
    """
    # The process, because its name may be another's as well; as long as the column is.
    nonce = f"{this_process()}:{secrets.token_hex(15)}"
    deadline = time.monotonic() + CLAIM_PATIENCE
    pause = 0.1
    while True:
        try:
            if _claim(task_id, n, nonce, worker, retries):
                return
            break
        except AnyDatabaseError as error:
            connection.close()
            if time.monotonic() + pause > deadline:
                logger.warning("Run %s, execution %s: dropped, the database is away (%s).", task_id, n, error)
                raise Ignore("database away") from error
            time.sleep(pause)
            pause = min(pause * 2, 2.0)
    logger.info("Run %s, execution %s: not claimed, dropped.", task_id, n)
    count_if_unknown(task_id, worker)
    raise Ignore("not claimed")


def _claim(task_id: str, n: int, nonce: str, worker: str, retries: int) -> bool:
    changed = Run.objects.filter(
        task_id=task_id,
        attempt=n - 1,
        state__in=CLAIMABLE,
        cancel_requested_at__isnull=True,
    ).update(
        attempt=n,
        retries=retries,
        state=State.RUNNING,
        provisional=False,
        state_note="",
        claimed_by=nonce,
        claimed_at=Now(),
        started_at=Now(),
        publish_after=None,
        worker=worker,
    )
    # Nothing changed may also mean that an earlier try committed and its answer was lost.
    return bool(changed) or Run.objects.filter(task_id=task_id, attempt=n, claimed_by=nonce).exists()
