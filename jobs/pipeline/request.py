"""How the worker's main process deals with an execution: as Celery does, but that no task's error ends the worker."""

from __future__ import annotations

from typing import Any

from billiard.einfo import ExceptionInfo, ExceptionWithTraceback  # type: ignore[attr-defined]  # no stub knows it
from celery.worker.request import Request

#: Shown and stored as the builtin is, and taken for an ordinary error: at a real one Celery 5.7 ends the whole worker
#: (celery/worker/request.py, `on_failure`), although only the pool's child was short of memory.
_MemoryError = type("MemoryError", (Exception,), {"__module__": "builtins"})


class ConsoleRequest(Request):
    """The request class of every `ConsoleTask`."""

    def on_failure(self, exc_info: ExceptionInfo, send_failed_event: bool = True, return_ok: bool = False) -> None:
        """Called with what a task raised; `return_ok` says that the child has reported it already."""
        error: Any = exc_info.exception
        if isinstance(error, ExceptionWithTraceback):
            error = error.exc
        if isinstance(error, MemoryError):
            exc_info.exception = _MemoryError(*error.args)
        super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)
