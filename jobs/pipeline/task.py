"""What a joined task does besides its own: the claim before its body, and telling what Celery does not."""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections.abc import Mapping
from copy import copy
from typing import Any

from celery import Task
from celery.exceptions import Ignore
from celery.states import IGNORED, REJECTED, STARTED
from django.conf import settings
from django.db import Error as AnyDatabaseError
from django.db import close_old_connections, connection
from django.db.models.functions import Now
from kombu.utils.encoding import safe_str

from jobs.catalog.registry import find_job
from jobs.catalog.secrecy import call_has_secrets, plain_texts
from jobs.fleet.beacon import this_process
from jobs.fleet.headers import recorded_id
from jobs.models import Run
from jobs.states import CLAIMABLE, State

from .backend import RecordingBackend, describe
from .cancelled import STOPPED, Cancelled
from .execution import Execution, execution_of, note_execution
from .facts import Fact, Kind, execution_number
from .joined import takes_typed
from .live import hide, masked, open_live
from .unknown import count_if_unknown

logger = logging.getLogger(__name__)

#: The note of a run that asked to be put back into its queue. Celery does so with `acks_late` only, and of a run of the
#: console the claim takes each execution once.
NOT_PUT_BACK = "it asked to be put back into its queue, and its message was gone: nothing starts it again by itself"
#: How long a claim waits for the database before it lets go of the message, in seconds. The dispatcher publishes again.
CLAIM_PATIENCE = 20.0


def begin(task: Task, task_id: str, args: Any, kwargs: Any) -> None:
    """Before the body, of every task of a joined application: claim the run, and type its arguments in place.

    Args:
        args: a list where they are to be typed (`jobs.pipeline.joined`).

    Raises:
        Ignore: this execution is not the one that the ledger waits for: the message is dropped without running it.
        InvalidArguments: the arguments no longer fit the job's parameters; the run fails without its body.
    """
    request = task.request
    n = execution_number(request)
    if not request.is_eager:  # else it is the caller's connection
        # A kept connection may have died meanwhile: it is looked at when the claim or the body first uses it.
        close_old_connections()
    execution = Execution(started_at=time.time(), started_clock=time.monotonic())
    note_execution(request, execution)
    if n is not None:
        execution.claimed = False
        claim_or_ignore(task_id, n, worker=request.hostname or "", retries=request.retries or 0)
        execution.claimed = True
        open_live(request)
        if task.track_started and not (task.ignore_result or request.ignore_result):
            # Celery has said so before the claim, when nothing was stored.
            start = {"pid": os.getpid(), "hostname": request.hostname}
            task.backend.store_result(task_id, start, STARTED, request=request)
    if call_has_secrets(task.name, args, kwargs):
        # Before anything is checked: what refuses a value may repeat it.
        hide(plain_texts(task.name, args, kwargs))
    if task.name.startswith("celery.") or not takes_typed(task.name, vars(request)):
        return
    if (parameters := find_job(task.name).parameters) is not None:
        # The tracer passes this very list and dict to the body. The request keeps what the message said: a retry
        # publishes it, and the stored result shows it; neither may see a secret or an object.
        request.update(args=copy(args), kwargs=dict(kwargs))
        call = parameters.to_python(args, kwargs)
        if isinstance(args, list):  # none was given otherwise, and what has only a place is left to its default
            args[:] = call.args
        kwargs.clear()
        kwargs.update(call.kwargs)


def report_dropped(task: Task, state: str, retval: Any) -> None:
    """What Celery stores no word of: a body that raised `Ignore` has ended, one that raised `Reject` had begun.

    Not told: a message that this worker never claimed, one that goes back into its queue, and a task that has
    replaced itself.
    """
    request = task.request
    if state not in {IGNORED, REJECTED} or request.is_eager:
        return
    execution = execution_of(request)
    requeued = bool(getattr(retval, "requeue", False))
    if execution.claimed is False or execution.replaced or (requeued and task.acks_late and not execution.claimed):
        return
    if isinstance(task.backend, RecordingBackend):
        # Of a rejection for good the worker's main process reports the failure, and does not know when it began.
        kind = Kind.ENDED if state == IGNORED or requeued else Kind.STARTED
        note = STOPPED if isinstance(retval, Cancelled) else NOT_PUT_BACK if requeued else ""
        fact = Fact(kind, recorded_id(request.id), time.time(), state=state, release=settings.RELEASE, note=note)
        if requeued:
            fact.error_type, fact.error_message = type(retval).__name__, masked(safe_str(retval.reason))[:500]
        task.backend.append_fact(describe(fact, request))


def note_retry(request: Any, options: Mapping[str, Any]) -> None:
    """Note when an automatic retry is due that is about to be published with these options."""
    if (countdown := options.get("countdown")) is not None:
        execution_of(request).retry_eta = time.time() + countdown
    elif (eta := options.get("eta")) is not None:
        execution_of(request).retry_eta = eta.timestamp()


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
