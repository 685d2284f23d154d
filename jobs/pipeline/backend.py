"""The result backend: Celery's Redis backend, plus one entry on the stream in the same MULTI.

`AsyncResult` works as ever. Every outcome passes here, also those that the worker's main process reports for a child
that it killed or lost, and those whose value nobody keeps (`ignore_result`).
"""

from __future__ import annotations

import logging
import time
from typing import Any

from celery import states as celery_states
from celery.backends.redis import RedisBackend
from celery.exceptions import WorkerLostError
from django.conf import settings
from kombu.exceptions import EncodeError
from kombu.utils import json as kombu_json

from .facts import MAX_RESULT, MAX_TRACEBACK, Fact, Kind, append, cut, execution_number

logger = logging.getLogger(__name__)

#: Redis keeps a result for a day; the history is in the database. Set here because CELERY_RESULT_EXPIRES is None.
RESULT_EXPIRES = 86_400
LOST_CHILD = "worker process died"
SHUTDOWN = "shutdown"


class RecordingBackend(RedisBackend):
    """Named in settings as `jobs.pipeline.backend:RecordingBackend+redis://…`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["expires"] = kwargs.get("expires") or RESULT_EXPIRES
        super().__init__(*args, **kwargs)

    def on_task_call(self, producer: Any, task_id: str) -> None:
        """No subscription per publish: `AsyncResult.get()` subscribes when somebody waits, and reads the key first."""

    def mark_as_done(
        self,
        task_id: str,
        result: Any,
        request: Any = None,
        store_result: bool = True,
        state: str = celery_states.SUCCESS,
    ) -> None:
        if not store_result or (request is not None and request.ignore_result):
            self._append_only(_fact(task_id, None, state, None, request))
        super().mark_as_done(task_id, result, request=request, store_result=store_result, state=state)

    def mark_as_failure(
        self,
        task_id: str,
        exc: Any,
        traceback: Any = None,
        request: Any = None,
        store_result: bool = True,
        call_errbacks: bool = True,
        state: str = celery_states.FAILURE,
    ) -> None:
        if not store_result:
            self._append_only(_fact(task_id, self.prepare_exception(exc), state, traceback, request, exc))
        super().mark_as_failure(task_id, exc, traceback, request, store_result, call_errbacks, state)

    def _store_result(
        self, task_id: str, result: Any, state: str, traceback: Any = None, request: Any = None, **kwargs: Any
    ) -> Any:
        try:
            value = self.encode(self._meta(task_id, result, state, traceback, request))
        except (EncodeError, TypeError, ValueError) as error:
            # The job has done its work; that its value cannot travel as JSON does not make it a failure.
            logger.warning("Run %s: its result cannot be stored as JSON (%s); its text is kept.", task_id, error)
            result = {"unserialisable": repr(result)[:2000]}
            value = self.encode(self._meta(task_id, result, state, traceback, request))
        current = self._get_task_meta_for(task_id)
        if current["status"] == celery_states.SUCCESS and execution_number(request) is None:
            return result
        fact = _fact(task_id, result, state, traceback, request)
        expires = self.failure_expires if state == celery_states.FAILURE else self.expires
        self.ensure(self._write, (self.get_key_for_task(task_id), value, expires, fact))
        return result

    def _meta(self, task_id: str, result: Any, state: str, traceback: Any, request: Any) -> dict[str, Any]:
        meta: dict[str, Any] = self._get_result_meta(result=result, state=state, traceback=traceback, request=request)
        meta["task_id"] = task_id
        return meta

    def _write(self, key: Any, value: Any, expires: int, fact: Fact) -> None:
        with self.client.pipeline(transaction=True) as pipe:
            pipe.setex(key, expires, value)
            pipe.publish(key, value)
            append(pipe, fact)
            pipe.execute()

    def _append_only(self, fact: Fact) -> None:
        self.ensure(append, (self.client, fact))


def _fact(task_id: str, result: Any, state: str, traceback: Any, request: Any, exc: Any = None) -> Fact:
    fact = Fact(kind=Kind.ENDED, task_id=task_id, at=time.time(), state=state, release=settings.RELEASE)
    text, cut_result = cut(_text(result), MAX_RESULT)
    trace, cut_trace = cut(str(traceback or ""), MAX_TRACEBACK)
    fact.result = text if not cut_result else _text(text)
    fact.traceback, fact.truncated = trace, cut_result or cut_trace
    if state in celery_states.EXCEPTION_STATES and isinstance(result, dict):
        fact.error_type = str(result.get("exc_type", ""))[:255]
        message = result.get("exc_message", "")
        fact.error_message = " ".join(map(str, message if isinstance(message, (list, tuple)) else [message]))[:500]
        if fact.error_type == WorkerLostError.__name__:
            fact.note = LOST_CHILD
    if request is None:
        # Only remote control speaks without a request: the worker's own word is still to come.
        fact.provisional = True
        return fact
    fact.n = execution_number(request)
    fact.guaranteed = fact.n is not None
    fact.task = request.task or ""
    fact.worker = request.hostname or ""
    fact.queue = (request.delivery_info or {}).get("routing_key") or ""
    fact.retries = request.retries or 0
    fact.root_id, fact.parent_id = request.root_id or "", request.parent_id or ""
    fact.files = request.get("run_files") or []
    fact.schedule_name = request.get("periodic_task_name") or ""
    fact.source = request.get("source") or ""
    fact.started_at = request.get("started_at")
    if (clock := request.get("started_clock")) is not None:
        fact.runtime = time.monotonic() - clock
    if state == celery_states.RETRY:
        fact.eta = request.get("retry_eta")
        if fact.started_at is None:
            # "cancelled by Celery", told by the main process of a worker that stops: no retry was published.
            fact.provisional, fact.note = True, SHUTDOWN
    fact.meta = {
        "args": request.get("argsrepr"),
        "kwargs": request.get("kwargsrepr"),
        "group": request.group,
        "meta": request.get("meta") or {},
    }
    return fact


def _text(value: Any) -> str:
    try:
        return str(kombu_json.dumps(value))
    except (TypeError, ValueError):
        return str(kombu_json.dumps({"unserialisable": repr(value)[:2000]}))
