"""What a run tells while it runs: the lines that it logs or prints, and its progress.

In the worker: a handler of the root logger keeps the last lines of the current run, `progress` keeps a number, and one
thread a process carries what is new to Redis, at most every FLUSH_EVERY seconds. The loop that logs or counts pays for
neither the network nor the history: the bounds hold however much it writes. The rest goes out in the same MULTI as the
fact that tells of the end.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from celery import signals
from redis import Redis

from jobs.fleet.broker import RedisError, address, connect
from jobs.fleet.headers import count, recorded_id
from jobs.text import safe_text

from .facts import execution_number
from .masking import spellings, without
from .told import EXPIRES, MAX_CHARS, MAX_LINE, MAX_LINES, Line, log_key, progress_key

logger = logging.getLogger(__name__)

#: Seconds between two journeys to Redis; with the page's own poll a line is seen within a second.
FLUSH_EVERY = 0.3
#: What of a progress people have written.
_TEXTS = ("noun", "note", "state", "meta")


#: Lines that were put on a pipeline, and how many had been written since the pipeline before.
News = tuple[list[Line], int]


@dataclass(slots=True)
class Counter:
    """How far a run is; the loop sets `done`, the flusher reads it.

    Attributes:
        done: None where only a state was set by hand, and its meta has no number that tells.
        state: the last state that was set by hand, with the text of its `meta`.
    """

    total: float | None
    noun: str
    began: float
    done: float | None = 0
    note: str = ""
    state: str = ""
    meta: str = ""

    def values(self, at: float) -> dict[str, Any]:
        """What Redis and the final fact carry."""
        values = {
            "done": self.done,
            "total": self.total,
            "noun": self.noun,
            "note": self.note,
            "began": self.began,
            "at": at,
        }
        return {**values, "state": self.state, "meta": self.meta} if self.state else values

    def shown(self) -> tuple[Any, ...]:
        """What makes it different from what was sent before."""
        return self.done, self.total, self.noun, self.note, self.state, self.meta


class LiveRun:
    """What the current execution has told and not yet sent."""

    __slots__ = (
        "_lock",
        "_sent",
        "_sizes",
        "_watched",
        "attempt",
        "begun",
        "closed",
        "counter",
        "left",
        "lines",
        "secrets",
        "task_id",
        "written",
    )

    def __init__(self, task_id: str, attempt: int) -> None:
        self.task_id, self.attempt = task_id, attempt
        self.lines: deque[Line] = deque(maxlen=MAX_LINES)
        self.written = 0
        self.counter: Counter | None = None
        #: The state that the task itself has set by hand last, and what Redis keeps of it; should it raise `Ignore`,
        #: both stay.
        self.left: tuple[str, Any] | None = None
        #: The stream has been told that it has begun.
        self.begun = False
        self.secrets: tuple[str, ...] = ()
        self.closed = False
        self._lock = threading.Lock()
        self._sizes: deque[int] = deque(maxlen=MAX_LINES)
        self._sent: tuple[Any, ...] = (0, None)
        self._watched = False

    def log(self, record: logging.LogRecord) -> None:
        """Keep one record; a text of several lines becomes several."""
        text = record.getMessage()
        if record.exc_info and record.exc_info[0] is not None:
            text += "\n" + (record.exc_text or logging.Formatter().formatException(record.exc_info))
        text = without(self.secrets, text)
        level = "PRINT" if record.name == "celery.redirected" else record.levelname
        if "\n" in text or len(text) > MAX_LINE:
            parts = text[:MAX_CHARS].splitlines()
            self.lines.extend((record.created, level, self.attempt, part[:MAX_LINE]) for part in parts)
            self.written += len(parts)
        else:
            self.lines.append((record.created, level, self.attempt, text))
            self.written += 1
        if not self._watched:
            self.watch()

    def watch(self) -> None:
        """Let the flusher look at this run from now on."""
        self._watched = True
        _flusher.add(self)

    def progress(self, at: float) -> dict[str, Any] | None:
        """How far it is, as Redis and the final fact carry it; None where it does not count."""
        if (counter := self.counter) is None:
            return None
        told = counter.values(at)
        return told | {name: without(self.secrets, told[name]) for name in _TEXTS if name in told}

    def queue_news(self, pipe: Any) -> News:
        """Put the commands for what is new since the last time on a pipeline; nothing when there is nothing.

        Returns:
            What goes back with `put_back` where Redis does not take the pipeline.
        """
        with self._lock:
            fresh = []
            while self.lines:
                fresh.append(self.lines.popleft())
            written, counter = self.written, self.counter
            progress = None if counter is None else counter.shown()
            if fresh:
                self._queue_lines(pipe, fresh, written)
            key = progress_key(self.task_id)
            if counter is not None and progress != self._sent[1]:
                pipe.hset(key, mapping={"progress": json.dumps(self.progress(time.time()))})
                pipe.expire(key, EXPIRES)
            news = (fresh, written - self._sent[0])
            self._sent = (written, progress)
        return news

    def put_back(self, news: News) -> None:
        """What Redis did not take goes with the next journey; of more lines than are kept, the newest."""
        fresh, written = news
        with self._lock:
            newer = list(self.lines)
            self.lines.clear()
            self.lines.extend([*fresh, *newer])
            for _ in range(min(len(fresh), len(self._sizes))):
                self._sizes.pop()
            self._sent = (self._sent[0] - written, None)

    def _queue_lines(self, pipe: Any, fresh: list[Line], written: int) -> None:
        texts = [json.dumps(line, ensure_ascii=False) for line in fresh]
        texts = [safe_text(text) for text in texts]
        self._sizes.extend(len(text) for text in texts)
        kept, chars = 0, 0
        for size in reversed(self._sizes):
            if (chars := chars + size) > MAX_CHARS:
                break
            kept += 1
        key = log_key(self.task_id)
        if texts[-kept:]:
            pipe.rpush(key, *texts[-kept:])
        pipe.ltrim(key, -(kept if kept < len(self._sizes) else MAX_LINES), -1)
        pipe.expire(key, EXPIRES)
        pipe.hincrby(progress_key(self.task_id), "written", written - self._sent[0])
        pipe.expire(progress_key(self.task_id), EXPIRES)


class _Flusher:
    """One daemon thread a process, started when a run first tells something; it sleeps while nobody does."""

    def __init__(self) -> None:
        self._runs: set[LiveRun] = set()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def add(self, run: LiveRun) -> None:
        with self._lock:
            self._runs.add(run)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="live", daemon=True)
                self._thread.start()
        self._wake.set()

    def discard(self, run: LiveRun) -> None:
        with self._lock:
            self._runs.discard(run)

    def _work(self) -> None:
        client = connect(address(), timeout=2)
        failing = False
        while True:
            self._wake.wait()
            time.sleep(FLUSH_EVERY)
            with self._lock:
                runs = list(self._runs)
                if not runs:
                    self._wake.clear()
                    continue
            over = [run for run in runs if run.closed]
            try:
                flush(client, runs)
                failing = False
            except RedisError as error:
                if not failing:
                    logger.warning("Live lines: Redis did not take them (%s); the next ones are tried.", error)
                failing = True
            for run in over:
                self.discard(run)


def flush(client: Redis, runs: Iterable[LiveRun]) -> None:
    """Send what is new of each run, in one round trip."""
    pipe = client.pipeline(transaction=False)
    told = [(run, run.queue_news(pipe)) for run in runs]
    if not len(pipe):
        return
    try:
        pipe.execute()
    except RedisError:
        for run, news in told:
            run.put_back(news)
        raise


_flusher = _Flusher()


def _forget_parent() -> None:
    """A forked child has none of its parent's threads, and must not touch its locks."""
    global _flusher
    _flusher = _Flusher()


os.register_at_fork(after_in_child=_forget_parent)


class Current(threading.local):
    """The record of the run that this thread executes; None outside of a worker."""

    run: LiveRun | None = None
    #: What the secrets of the run say, in each spelling; kept until it has ended, when its record is taken already.
    secrets: tuple[str, ...] = ()


current = Current()


class _Capture(logging.Handler):
    """Gives each record of the current run's thread to the run. No lock: a run's lines come from its own thread."""

    def handle(self, record: logging.LogRecord) -> bool:
        run = current.run
        if run is not None:
            run.log(record)
        return True


_capture = _Capture()


def install() -> None:
    """Connect the signals that open and close the record of a run; called by `integrate`."""
    signals.task_prerun.connect(_open, weak=False, dispatch_uid="opsconsole.live.open")
    signals.task_postrun.connect(_close, weak=False, dispatch_uid="opsconsole.live.close")


def _open(task: Any = None, **_: Any) -> None:
    request = task.request
    if not request.is_eager:
        current.run, current.secrets = None, ()
    # One called inside another run: what it says belongs to that one. One of the console's: first the claim.
    if not request.is_eager and execution_number(request) is None:
        open_live(request)


def open_live(request: Any) -> None:
    """From now on what this thread logs and counts belongs to the execution of `request`."""
    for name in ("", "celery.task"):  # Celery's task logger does not hand its records on to the root
        target = logging.getLogger(name)
        if _capture not in target.handlers and (not name or not target.propagate):
            target.addHandler(_capture)
    number = execution_number(request)
    current.run = LiveRun(recorded_id(request.id), (count(request.retries) or 0) + 1 if number is None else number)


def _close(task: Any = None, **_: Any) -> None:
    """Usually the end has been reported by now; where it was not, the flusher brings the last lines home."""
    if task.request.is_eager:
        return
    run, current.run, current.secrets = current.run, None, ()
    if run is not None:
        run.closed = True


def record_of(task_id: Any) -> LiveRun | None:
    """The record of that run, where this thread is inside its body; else None."""
    run = current.run
    return run if run is not None and run.task_id == recorded_id(task_id) else None


def take(task_id: Any) -> LiveRun | None:
    """The record of the run that ends in this thread, which from now on tells nothing more; None for another's end."""
    run = record_of(task_id)
    if run is None:
        return None
    current.run = None
    _flusher.discard(run)
    return run


def hide(secrets: Collection[str]) -> None:
    """Never let these texts out of the current run: not in its lines, and not in what is told of its end."""
    # Of one called inside another run: besides what that one hides. The longest first: one may hold another.
    current.secrets = tuple(sorted(spellings(secrets).union(current.secrets), key=len, reverse=True))
    if (run := current.run) is not None:
        run.secrets = current.secrets


def masked(value: Any) -> Any:
    """A copy of a text, or of what holds texts at any depth, without the secrets of the run of this thread."""
    return without(current.secrets, value) if current.secrets else value
