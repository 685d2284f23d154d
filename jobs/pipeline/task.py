"""What a joined task does besides its own: the claim before its body, and telling what Celery does not."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from copy import copy
from typing import Any

from celery import Task
from celery.states import IGNORED, REJECTED, STARTED
from kombu.utils.encoding import safe_str
from kombu.utils.imports import symbol_by_name

from jobs.catalog.registry import find_job
from jobs.catalog.secrecy import call_has_secrets, plain_texts
from jobs.compat import close_old_connections, has_django, settings
from jobs.fleet.headers import recorded_id

from .backend import RecordingBackend, describe
from .cancelled import STOPPED, Cancelled
from .execution import Execution, execution_of, note_execution
from .facts import Fact, Kind, execution_number
from .joined import takes_typed
from .live import hide, masked, open_live

logger = logging.getLogger(__name__)

#: The note of a run that asked to be put back into its queue. Celery does so with `acks_late` only, and of a run of the
#: console the claim takes each execution once.
NOT_PUT_BACK = "it asked to be put back into its queue, and its message was gone: nothing starts it again by itself"
#: By their names: the one imports models, which a program without Django has not.
_CLAIM, _REFUSE = "jobs.pipeline.claim:claim_or_ignore", "jobs.pipeline.outside:refuse_claim"


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
    if has_django() and not request.is_eager:  # else it is the caller's connection
        # A kept connection may have died meanwhile: it is looked at when the claim or the body first uses it.
        close_old_connections()
    execution = Execution(started_at=time.time(), started_clock=time.monotonic())
    note_execution(request, execution)
    if n is not None:
        execution.claimed = False
        claim = symbol_by_name(_CLAIM if has_django() else _REFUSE)
        claim(task_id, n, worker=request.hostname or "", retries=request.retries or 0)
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
