"""How the worker's main process deals with an execution: as Celery does, but that no task's error ends the worker.

It tells what it alone knows, too: when the pool took the execution, and which messages Celery has refused.
"""

from __future__ import annotations

import time
from functools import cache, cached_property
from types import new_class
from typing import Any

from billiard.einfo import ExceptionInfo, ExceptionWithTraceback  # type: ignore[attr-defined]  # no stub knows it
from celery.app.task import Context
from celery.states import REJECTED
from celery.worker.request import Request
from kombu.utils.encoding import safe_repr
from kombu.utils.imports import symbol_by_name

from .backend import RecordingBackend, describe
from .execution import execution_of
from .facts import Fact, Kind

#: Shown and stored as the builtin is, and taken for an ordinary error: at a real one Celery 5.7 ends the whole worker
#: (celery/worker/request.py, `on_failure`), although only the pool's child was short of memory.
_MemoryError = type("MemoryError", (Exception,), {"__module__": "builtins"})

#: The note of a run whose message Celery has refused.
REFUSED = "never started: a worker refused its message, which is gone"


class ConsoleRequest(Request):
    """Stands before the request class of every task."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        name: Any = self.name
        if not isinstance(name, str):
            # The header `shadow`. Celery counts executions by this name: one that cannot be counted by (a list, say)
            # keeps its slot for ever, and a worker whose slots are all kept does nothing more.
            self.name = safe_repr(name)  # type: ignore[misc]  # the stub takes the slot for a property

    @cached_property
    def _context(self) -> Context:
        """What the backend is told the end with, where the child cannot tell it."""
        context: Context = super()._context  # type: ignore[misc]  # no stub knows it
        execution_of(context).accepted_at = self.time_start
        return context

    def on_failure(self, exc_info: ExceptionInfo, send_failed_event: bool = True, return_ok: bool = False) -> None:
        """Called with what a task raised; `return_ok` says that the child has reported it already."""
        error: Any = exc_info.exception
        if isinstance(error, ExceptionWithTraceback):
            error = error.exc
        if isinstance(error, MemoryError):
            exc_info.exception = _MemoryError(*error.args)
        super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)


@cache
def joined_request(theirs: Any) -> Any:
    """A task's own request class, or that of its path, joined; what is no class of Celery's requests stays as it is."""
    kind = symbol_by_name(theirs)
    if kind is Request:
        return ConsoleRequest
    if not isinstance(kind, type) or not issubclass(kind, Request) or issubclass(kind, ConsoleRequest):
        return kind
    told = {"__module__": kind.__module__, "__doc__": kind.__doc__}
    return new_class(kind.__name__, (ConsoleRequest, kind), exec_body=lambda names: names.update(told))


def report_refused(sender: Any = None, message: Any = None, exc: Any = None, **_: Any) -> None:
    """task_rejected: Celery has dropped a message with a word in its log, one of a type that it does not accept, say.

    Args:
        sender: the worker's consumer.
        exc: why; None where it was no message of a task.
    """
    headers, backend = message.headers, sender.app.backend
    if (
        exc is None
        or not isinstance(headers, dict)
        or not headers.get("id")
        or not isinstance(backend, RecordingBackend)
    ):
        return
    request = Context({**headers, "hostname": sender.hostname, "delivery_info": message.delivery_info})
    fact = Fact(Kind.ENDED, str(headers["id"]), time.time(), state=REJECTED, note=REFUSED)
    fact.error_type, fact.error_message = type(exc).__name__, str(exc)[:500]
    backend.append_fact(describe(fact, request))
