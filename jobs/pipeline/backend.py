"""The result backend: Celery's Redis backend, plus one entry on the stream in the same MULTI.

`AsyncResult` works as ever, and once Redis has let a result go it reads the row of django-celery-results. Every outcome
passes here, also those that the worker's main process reports for a child that it killed or lost, and those whose value
nobody keeps (`ignore_result`).
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections.abc import Callable
from functools import cached_property
from typing import Any

from celery import states as celery_states
from celery._state import get_current_task
from celery.app.backends import by_url
from celery.app.task import Context
from celery.backends.base import DisabledBackend
from celery.backends.redis import SentinelBackend
from celery.exceptions import WorkerLostError
from celery.utils.saferepr import saferepr
from kombu.exceptions import EncodeError
from kombu.utils import json as kombu_json
from kombu.utils.encoding import safe_repr
from kombu.utils.imports import symbol_by_name
from redis.exceptions import WatchError

from jobs.catalog.secrecy import (
    HIDDEN,
    Secrecy,
    call_has_secrets,
    declared_secrecy,
    replaced_in_call,
    told_secrecy,
)
from jobs.compat import AnyDatabaseError, has_django, settings
from jobs.fleet.broker import RedisError, has_redis
from jobs.fleet.headers import own_headers, recorded_id

from .canvas import results_to_come, unstarted, while_failing
from .exceptions import error_words, message_parts, name_error
from .execution import execution_of
from .facts import MAX_RESULT, MAX_TRACEBACK, Fact, Kind, append, cut, execution_number
from .live import LiveRun, News, masked, record_of, take
from .patience import PatientBackend
from .progress import set_from_outside, tell_state

logger = logging.getLogger(__name__)

LOST_CHILD = "worker process died"
SHUTDOWN = "shutdown"
#: How many of the runs that a run published its stored result names.
MAX_CHILDREN = 1000
#: Which execution of a console run a stored result is of: a restored database may know of fewer.
EXECUTION = "execution"
#: What an error's message keeps of each of its arguments, in characters.
_MAX_MESSAGE = 16_000
#: By its name, because it imports models, and this module is imported where a Celery application is made.
_STORED_RESULTS = "django_celery_results.backends.database:DatabaseBackend"
_DONE = celery_states.SUCCESS
#: What the serializers raise, each in its way, at what they cannot write.
_UNWRITABLE = (EncodeError, TypeError, ValueError, RecursionError)
#: What is kept in Redis for `AsyncResult`: the key, its value, and for how many seconds; 0 or None for ever.
_Stored = tuple[Any, Any, int | None]
_WHATEVER = object()


class Overtaken(Exception):
    """Another execution has stored its end since the look at what was stored."""


class RecordingBackend(PatientBackend):
    """Named in settings as `jobs.pipeline.backend:RecordingBackend+redis://…`.

    Where there is no Redis (`memory://`), and of what runs at once because tasks are always eager, results go where the
    project itself keeps them: so it is in tests, which must not find, wait for or fill a Redis.
    """

    def __new__(cls, app: Any = None, **options: Any) -> Any:
        return super().__new__(cls) if has_redis(app) else _own_backend(app, options.get("url"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._failing = threading.local()

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
        with self.telling(task_id):
            if (not store_result or (request is not None and request.ignore_result)) and not _is_eager(request):
                self._append_only(fact_of(task_id, None, state, None, request), take(task_id))
                _note_success(state, request)
            super().mark_as_done(task_id, masked(result), request=request, store_result=store_result, state=state)

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
        # What is stored meanwhile for other ids is the rest of the chain that ends here, and what follows its chord.
        with self.telling(task_id), while_failing(request=request):
            if not store_result and not _is_eager(request) and not _has_succeeded(request):
                described = fact_of(task_id, self.prepare_exception(exc), state, masked(traceback), request)
                name_error(described, exc, self.description)
                self._append_only(described, take(task_id))
            super().mark_as_failure(task_id, exc, traceback, request, store_result, call_errbacks, state)

    def chord_error_from_stack(self, callback: Any, exc: Any = None) -> Any:
        """Called where a chord's body does not start; stores the failure of all that was to follow."""
        with while_failing(body=callback, error=exc or sys.exc_info()[1]):
            return super().chord_error_from_stack(callback, exc)

    def store_result(
        self, task_id: str, result: Any, state: str, traceback: Any = None, request: Any = None, **kwargs: Any
    ) -> Any:
        """As Celery does it; what is stored from here on knows the exception itself, and not only its description."""
        if _is_eager(request) and self.app.conf.task_always_eager:
            return self._own.store_result(task_id, result, state, traceback, request, **kwargs)
        before = getattr(self._failing, "exception", None)
        self._failing.exception = result if isinstance(result, BaseException) else None
        try:
            return super().store_result(task_id, result, state, traceback, request, **kwargs)
        finally:
            self._failing.exception = before

    def mark_as_revoked(self, task_id: str, *args: Any, **kwargs: Any) -> None:
        with self.telling(task_id):
            super().mark_as_revoked(task_id, *args, **kwargs)

    def mark_as_retry(self, task_id: str, *args: Any, **kwargs: Any) -> None:
        with self.telling(task_id):
            super().mark_as_retry(task_id, *args, **kwargs)

    def prepare_exception(self, exc: Any, serializer: Any = None) -> Any:
        """Celery's description of an error, for its key, for chords and for the fact; without the run's secrets."""
        described = super().prepare_exception(exc, serializer)
        if isinstance(described, dict) and "exc_message" in described:
            described["exc_message"] = masked(described["exc_message"])
        return described

    def description(self, exc: BaseException) -> dict[str, Any]:
        """The same, whatever results are written in."""
        return dict(self.prepare_exception(exc, serializer="json"))

    def _store_result(
        self, task_id: str, result: Any, state: str, traceback: Any = None, request: Any = None, **kwargs: Any
    ) -> Any:
        if state == celery_states.STARTED and _is_unclaimed(request):
            return result  # Celery's own word, before the claim: this message may yet be dropped
        result, traceback = _without_secrets(result, state), masked(traceback)
        result, value = self._encoded(self._meta(task_id, result, state, traceback, request))
        if request is not None and recorded_id(getattr(request, "id", task_id)) != recorded_id(task_id):
            request = None  # it is of whoever sets another task's state
        key = self._key_of(task_id)
        before = self._stored_payload(key)
        status, known = self._stored_end(before)
        # Celery keeps failures for another time from 5.7 on.
        expires = getattr(self, "failure_expires", self.expires) if state == celery_states.FAILURE else self.expires
        stored = None if key is None else (key, value, expires)
        if self._is_set_by_hand(task_id, state):
            replace = key is not None and status != _DONE
            self._store_set(task_id, result, state, request, (key, value, expires), replace=replace)
            return result
        if state == celery_states.FAILURE and _has_succeeded(request):
            return result  # Celery broke on showing the value in its log, say: the work was done and told
        never = unstarted(task_id, request)
        # Where results are pickled, an error is stored as the exception itself.
        told = self.description(result) if isinstance(result, BaseException) else result
        fact = fact_of(task_id, told, state, traceback, never.request if never else request)
        if never:
            never.describe(fact)
        if (children := self.current_task_children(request)) != []:
            fact.meta["children"] = children and children[:MAX_CHILDREN]
        if (exception := getattr(self._failing, "exception", None)) is not None:
            name_error(fact, exception, self.description)
        n = execution_number(request)
        live = take(task_id)
        # Celery lets no later word replace a success; and a worker that publishes a retry before it tells of it may be
        # overtaken by the next execution, between our look at what is stored and our word too.
        while not ((status == _DONE and n in (None, known)) or (n is not None and n < known)):
            try:
                self.ensure(self._write, (fact, live, stored, _WHATEVER if state == _DONE else before))
            except Overtaken:
                before = self._stored_payload(key)
                status, known = self._stored_end(before)
            else:
                break
        else:
            # Of an id that is used again history tells all the same.
            if request is not None and not never:
                self._append_only(fact, live)
        _note_success(state, request)
        return result

    def _encoded(self, meta: dict[str, Any]) -> tuple[Any, Any]:
        """The result of a meta, and the meta as Redis keeps it.

        The job has done its work: that its arguments or its value cannot be written does not make it a failure. Of what
        cannot be, the text is kept.
        """
        if (value := self._written(meta)) is not None:
            return meta["result"], value
        if "args" in meta and self._written([meta["args"], meta["kwargs"]]) is None:
            meta |= {name: masked(saferepr(meta[name])) for name in ("args", "kwargs")}
        if (value := self._written(meta)) is None:
            text = "Run %s: its result cannot be stored as %s; its text is kept."
            logger.warning(text, meta["task_id"], self.serializer)
            meta["result"] = {"unserialisable": masked(safe_repr(meta["result"]))[:2000]}
            value = self.encode(meta)
        return meta["result"], value

    def _written(self, value: Any) -> Any:
        """As `result_serializer` writes it; None where it cannot."""
        try:
            return self.encode(value)
        except _UNWRITABLE:
            return None

    def _key_of(self, task_id: Any) -> Any:
        """Where Redis keeps the result; None for an id of which Celery executes the task and cannot keep the result."""
        try:
            return self.get_key_for_task(task_id)
        except (TypeError, ValueError):
            logger.warning("The result of a task with the id %.100r is kept in no key.", task_id)
            return None

    def _stored_payload(self, key: Any) -> Any:
        """What Redis keeps for `AsyncResult` as it stands there; None where it keeps nothing."""
        return None if key is None else self.ensure(self.get, (key,))

    def _stored_end(self, payload: Any) -> tuple[str, int]:
        """The status of what Redis keeps, whatever stands beside it (the meta of a RETRY set by hand is no exception),
        and of which execution of a console run it is; 0 where it does not say."""
        try:
            meta = self.decode(payload) if payload else {"status": celery_states.PENDING}
            return str(meta["status"]), int(meta.get(EXECUTION) or 0)
        except Exception:  # noqa: BLE001 - what cannot be read is replaced, and ends no task
            return celery_states.PENDING, 0

    def _is_set_by_hand(self, task_id: str, state: str) -> bool:
        """Whether somebody's program sets the state and Celery does not end the execution.

        Within the body that holds for every state, as what the body returns or raises comes after it.
        """
        if self._is_telling and (state in celery_states.READY_STATES or state == celery_states.RETRY):
            return False
        return state not in celery_states.READY_STATES or record_of(task_id) is not None

    def _store_set(
        self, task_id: str, result: Any, state: str, request: Any, stored: _Stored, *, replace: bool
    ) -> None:
        """Keep a state that somebody has set by hand for `AsyncResult`, and tell it as the run's progress.

        The task's own goes where its progress goes, in the same journey; of the first one of an observed run the
        stream is told that it has begun, which nothing else reports before its end.
        """
        live, fact = record_of(task_id), None
        if not isinstance(request, Context):  # called without one, as `backend.store_result` may be
            request = None if live is None else getattr(get_current_task(), "request", None)
        if live is None:
            if not _is_eager(request):
                fact = Fact(Kind.SET, task_id, time.time(), progress=set_from_outside(state, result))
        elif not _is_start(state, result):
            tell_state(live, state, result, began=None if request is None else execution_of(request).started_at)
            live.left = state, stored[1]
        if live is not None and not live.begun and request is not None and execution_number(request) is None:
            live.begun = True
            fact = describe(Fact(Kind.STARTED, task_id, time.time(), release=settings.RELEASE), request)
            fact.started_at = fact.started_at or fact.at
        self.ensure(self._write, (fact, live, stored if replace else None))

    def _get_task_meta_for(self, task_id: str) -> dict[str, Any]:
        if self.app.conf.task_always_eager and not isinstance(self._own, DisabledBackend):
            return dict(self._own.get_task_meta(task_id))
        if payload := self.get(self.get_key_for_task(task_id)):
            return dict(self.decode_result(payload))
        # Waiting, unknown, or so old that Redis has let it go.
        meta: dict[str, Any] = {"status": celery_states.PENDING, "result": None}
        try:
            return dict(self._stored._get_task_meta_for(task_id))
        except AnyDatabaseError as error:
            logger.warning("Result of %s: not in Redis, and the database did not answer (%s).", task_id, error)
            return meta

    def cleanup(self) -> None:
        """Nothing: `result_expires` is of Redis' keys. How long history is kept, the setting RETENTION says.

        django-celery-results' own clean-up deletes every row that is older than `result_expires`, a day by default.
        """

    def _save_group(self, group_id: str, result: Any) -> Any:
        super()._save_group(group_id, result)
        text = _text(result.as_tuple())
        if len(text) <= MAX_RESULT:
            self._append_only(Fact(Kind.GROUP, group_id, time.time(), result=text), None)
        else:
            logger.warning("Group %s: its %s members are too many to keep in the database.", group_id, len(result))
        return result

    def _restore_group(self, group_id: str) -> Any:
        return super()._restore_group(group_id) or self._stored._restore_group(group_id)

    @cached_property
    def _own(self) -> Any:
        return _own_backend(self.app, self.url)

    @cached_property
    def _stored(self) -> Any:
        return symbol_by_name(_STORED_RESULTS if has_django() else "jobs.compat:NoDatabase")(app=self.app)

    def _meta(self, task_id: str, result: Any, state: str, traceback: Any, request: Any) -> dict[str, Any]:
        try:
            meta: dict[str, Any] = self._get_result_meta(result, state, traceback, request)
        except (AttributeError, TypeError):  # odd stamps among the headers: Celery would keep nothing at all
            meta = self._get_result_meta(result, state, traceback, None)
        meta["task_id"] = task_id
        if (n := execution_number(request)) is not None and str(request.id) == task_id:
            meta[EXECUTION] = n
        if "args" in meta and call_has_secrets(name := meta.get("name") or "", meta["args"], meta["kwargs"]):
            meta["args"], meta["kwargs"] = _hidden(name, request)
        return meta

    def _write(
        self, fact: Fact | None, live: LiveRun | None, stored: _Stored | None = None, before: Any = _WHATEVER
    ) -> None:
        """One journey to Redis, all of it or nothing.

        Args:
            before: what the key of `stored` must hold still.

        Raises:
            Overtaken: it holds something else by now.
        """
        with self.client.pipeline(transaction=True) as pipe:
            if stored is not None:
                key, value, expires = stored
                if before is not _WHATEVER:
                    pipe.watch(key)
                    if pipe.get(key) != before:
                        raise Overtaken
                    pipe.multi()
                pipe.set(key, value, ex=expires or None)
                pipe.publish(key, value)
            news = _queue(pipe, fact, live)
            if not len(pipe):
                return
            try:
                pipe.execute()
            except RedisError as error:
                if live is not None and news is not None:
                    live.put_back(news)
                if isinstance(error, WatchError):
                    raise Overtaken from None
                raise

    def append_fact(self, fact: Fact) -> None:
        """Report an end for which Celery stores no result; the task's own lines go with it."""
        live = take(fact.task_id)
        if fact.state == celery_states.IGNORED and not fact.note and live is not None and live.left is not None:
            state, value = live.left
            kept = self.decode(value)
            _leave(fact, fact_of(fact.task_id, kept["result"], state, kept["traceback"], None))
        with self.telling(fact.task_id):
            self._append_only(fact, live)

    def _append_only(self, fact: Fact, live: LiveRun | None) -> None:
        self.ensure(self._write, (fact, live))


def _own_backend(app: Any, url: str | None) -> Any:
    """The result backend that the project has without the console: what its settings said before `console` changed
    them, and for an application that is joined in another way the one of our own URL."""
    joined = getattr(settings, "CONSOLE_JOINED", None)
    named = "+" in str(app.conf.result_backend)
    found: Any = by_url(joined.before.get("CELERY_RESULT_BACKEND") if joined and named else url, app.loader)
    kind, url = found
    return kind(app=app, url=url)


class RecordingSentinelBackend(RecordingBackend, SentinelBackend):
    """The same, of the primary that the sentinels name: `jobs.pipeline.backend:RecordingSentinelBackend+sentinel://…`."""


def _is_eager(request: Any) -> bool:
    """Called inside another run, without a message: it is no run of its own."""
    return bool(getattr(request, "is_eager", False))


def _note_success(state: str, request: Any) -> None:
    if state == celery_states.SUCCESS and isinstance(request, Context):
        execution_of(request).succeeded = True


def _has_succeeded(request: Any) -> bool:
    """Whether this very execution has told its success already."""
    return isinstance(request, Context) and execution_of(request).succeeded


def _is_unclaimed(request: Any) -> bool:
    return execution_number(request) is not None and not execution_of(request).claimed


def _is_start(state: str, meta: Any) -> bool:
    """Whether it is what Celery says of a start (`track_started`), which is no progress."""
    return state == celery_states.STARTED and isinstance(meta, dict) and meta.keys() == {"pid", "hostname"}


def _leave(fact: Fact, left: Fact) -> None:
    """Of a task that raised `Ignore`: what it had set by hand stays; it is the outcome where it is an end."""
    if left.state in celery_states.READY_STATES:
        fact.state = left.state
    else:
        fact.left_state = left.state
    for name in ("result", "traceback", "truncated", "error_type", "error_message"):
        setattr(fact, name, getattr(left, name))


def _queue(pipe: Any, fact: Fact | None, live: LiveRun | None) -> News | None:
    """The fact, after the last lines of its run: whoever reads the one finds the other."""
    news = None if live is None else live.queue_news(pipe)
    if fact is None:
        return news
    if live is not None:
        fact.told = bool(live.written) or live.counter is not None
        fact.progress = live.progress(fact.at)
    append(pipe, fact)
    return news


def fact_of(task_id: str, result: Any, state: str, traceback: Any, request: Any) -> Fact:
    """The fact of an outcome as Celery's backends are told it.

    Args:
        result: the return value, or Celery's description of the error.
        request: what the execution knows of itself; None where no execution speaks.
    """
    fact = Fact(kind=Kind.ENDED, task_id=task_id, at=time.time(), state=state, release=settings.RELEASE)
    short = False
    if state in celery_states.EXCEPTION_STATES and isinstance(result, dict):
        fact.error_type, fact.error_message = error_words(result)
        parts = message_parts(result)
        if short := len(parts) > 100 or any(len(part) > _MAX_MESSAGE for part in parts):
            # Cut inside, so that what is stored stays the description of an error.
            result = {**result, "exc_message": [cut(part, _MAX_MESSAGE)[0] for part in parts[:10]]}
        if fact.error_type == WorkerLostError.__name__:
            fact.note = LOST_CHILD
    text, cut_result = cut(_text(result), MAX_RESULT)
    fact.result = text if not cut_result else _text(text)
    fact.traceback, cut_trace = cut(str(traceback or ""), MAX_TRACEBACK)
    fact.truncated = short or cut_result or cut_trace
    if request is None:
        # Remote control, or somebody's own code: the worker's own word may still come, and there may be no run at all.
        fact.provisional, fact.makes_run = True, False
        return fact
    if state == celery_states.RETRY and execution_of(request).started_at is None:
        # "cancelled by Celery", told by the main process of a worker that stops: no retry was published.
        fact.provisional, fact.note = True, SHUTDOWN
    return describe(fact, request)


def describe(fact: Fact, request: Any) -> Fact:
    """Fill in what the task's request knows. Celery also passes bare objects where it has no request."""
    if not isinstance(request, Context):
        request = Context({**vars(request), "task": getattr(request, "name", None)})
    fact.n = execution_number(request)
    fact.guaranteed = fact.n is not None
    fact.task = request.task or ""
    fact.worker = request.hostname or ""
    fact.queue = (request.delivery_info or {}).get("routing_key") or ""
    fact.retries = request.retries or 0
    fact.root_id, fact.parent_id = request.root_id or "", request.parent_id or ""
    fact.group_id = request.group or ""
    ours, execution = own_headers(vars(request)), execution_of(request)
    fact.published, fact.source = ours.first_published, ours.source
    fact.files, fact.started_at = execution.files, execution.started_at
    if fact.started_at is None and execution.accepted_at is not None:
        fact.started_at, fact.told = execution.accepted_at, True  # what its child has told, nobody here knows
    fact.schedule_name = request.get("periodic_task_name") or ""
    fact.eta = execution.retry_eta if fact.state == celery_states.RETRY else None
    if execution.started_clock is not None:
        fact.runtime = time.monotonic() - execution.started_clock
    if call_has_secrets(fact.task, request.args, request.kwargs, told_secrecy):
        hidden = _hidden(fact.task, request, told_secrecy)
        args, kwargs = (value if value is None else saferepr(value) for value in hidden)
    else:
        args, kwargs = _described(request, "args"), _described(request, "kwargs")
    fact.meta = {
        "args": args,
        "kwargs": kwargs,
        "group": request.group,
        "meta": meta if isinstance(meta := request.get("meta"), dict) else {},
    }
    return fact


def _described(request: Context, name: str) -> Any:
    """`args` or `kwargs` as the message describes them; of what was never published the values themselves."""
    if (text := request.get(f"{name}repr")) is not None or (value := request.get(name)) is None:
        return text
    try:
        return json.loads(kombu_json.dumps(value))
    except (TypeError, ValueError):
        return saferepr(value)


def _without_secrets(result: Any, state: str) -> Any:
    """A result without what the run's secrets say; of an error its class stays, whatever it is called."""
    if state in celery_states.EXCEPTION_STATES and isinstance(result, dict):
        return {name: value if name in {"exc_type", "exc_module"} else masked(value) for name, value in result.items()}
    return masked(result)


def _hidden(task_name: str, request: Any, secrecy_of: Callable[[str], Secrecy] = declared_secrecy) -> tuple[Any, Any]:
    """The arguments of a request without what is secret by `secrecy_of`; None for what is not known."""
    args, kwargs = getattr(request, "args", None), getattr(request, "kwargs", None)
    if not isinstance(args, (list, tuple)) or not isinstance(kwargs, dict):
        return None, None
    missing = results_to_come(request)  # by its place it is told which value is secret
    args, kwargs = replaced_in_call(
        task_name, [*[None] * missing, *args], kwargs, lambda value: value if value is None else HIDDEN, secrecy_of
    )
    return args[missing:], kwargs


def _text(value: Any) -> str:
    try:
        return str(kombu_json.dumps(value))
    except (TypeError, ValueError, RecursionError):
        return str(kombu_json.dumps({"unserialisable": masked(safe_repr(value))[:2000]}))
