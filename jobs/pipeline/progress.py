"""How far a run is, for the people who look at its page: `progress(rows)`, `set_progress(…)`, and Celery's own way.

A state that a task sets by hand (`self.update_state(state="PROGRESS", meta={"current": 5, "total": 10})`) is read as a
progress: with a bar where its numbers are evident, else as the state and the text of its meta.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sized
from itertools import islice
from typing import Any, TypeVar

from jobs.catalog.hints import SECRET_PREFIX
from jobs.catalog.secrecy import HIDDEN, sounds_secret, without_passwords
from jobs.compat import QuerySet

from .facts import cut
from .live import Counter, LiveRun, current

logger = logging.getLogger(__name__)

T = TypeVar("T")
#: What people call these numbers in a `meta`, in small letters.
_DONE = ("current", "done", "completed", "processed")
_TOTAL = "total"
_PERCENT = ("percent", "percentage", "progress")
PERCENT = "%"
#: Longest text of a meta and longest state that is kept for the page, in characters.
_MAX_META = 1000
_MAX_STATE = 50
#: How much of a meta is looked at: so many entries of each list or mapping, and so deep.
_MAX_ENTRIES = 50
_MAX_DEPTH = 4


def progress(rows: Iterable[T], *, total: int | None = None, noun: str = "rows") -> Iterator[T]:
    """Go through `rows` and let the run's page show how far it is: bar, rate, time left.

    Args:
        rows: anything that can be iterated; a QuerySet is read with `iterator()`.
        total: how many there are, where `rows` cannot tell by itself.
        noun: what they are, in the plural: "customers".

    Outside of a worker it only iterates.
    """
    if isinstance(rows, QuerySet):
        total = rows.count() if total is None else total
        rows = rows.iterator(chunk_size=1000)
    elif total is None and isinstance(rows, Sized):
        total = len(rows)
    counter = _count(total, noun)
    try:
        for done, row in enumerate(rows, 1):
            yield row
            counter.done = done
    finally:
        if isinstance(rows, Iterator) and (close := getattr(rows, "close", None)) is not None:
            close()


def set_progress(done: int, total: int | None = None, *, noun: str = "", note: str = "") -> None:
    """Tell how far the run is where there is no loop to wrap; costs next to nothing, call it as often as you like.

    Args:
        done: so many of `total`; None where the end is not known.
        note: what it is doing now, for instance "group Wholesale".
    """
    run = current.run
    if run is None:
        return
    counter = run.counter
    if counter is None:
        counter = _count(total, noun)
    counter.done = done
    # Called a million times: what does not change is only compared.
    if total is not counter.total and total is not None:
        counter.total = total
    if noun:
        counter.noun = noun
    counter.note = note


def _count(total: int | None, noun: str) -> Counter:
    counter = Counter(total=total, noun=noun, began=time.time())
    if (run := current.run) is not None:
        run.counter = counter
        run.watch()
    return counter


def tell_state(run: LiveRun, state: Any, meta: Any, *, began: float | None) -> None:
    """Tell a state that the run itself has set by hand; numbers that it does not give stay as they were."""
    now = time.time()
    if run.counter is None:
        run.counter = Counter(total=None, noun="", began=began or now, done=None)
    for name, value in _read(state, meta).items():
        setattr(run.counter, name, value)


def set_from_outside(state: Any, meta: Any) -> dict[str, Any]:
    """The progress that a state means which another process has set, as `Counter.values` writes it."""
    now = time.time()
    return Counter(**{"total": None, "noun": "", "began": now, "done": None, **_read(state, meta)}).values(now)


def _read(state: Any, meta: Any) -> dict[str, Any]:
    """What a state and its meta say, as attributes of `Counter`."""
    told: dict[str, Any] = {"state": str(state)[:_MAX_STATE], "meta": ""}
    try:
        text = "" if meta is None else _entries(meta) if isinstance(meta, Mapping) else _said("", meta)
        told["meta"] = cut(" ".join(text.split()), _MAX_META)[0]
        if isinstance(meta, Mapping):
            told |= _numbers({str(name).lower(): value for name, value in islice(meta.items(), _MAX_ENTRIES)})
    except Exception as error:  # noqa: BLE001 - objects of somebody's own; that they cannot be shown stops no task
        logger.info("The meta of state %s cannot be shown (%s).", told["state"], type(error).__name__)
    return told


def _numbers(meta: Mapping[str, Any]) -> dict[str, Any]:
    """How much of what, where a meta says so beyond doubt; else nothing."""
    total = _number(meta.get(_TOTAL))
    done = next((number for name in _DONE if (number := _number(meta.get(name))) is not None), None)
    if total and done is not None:
        return {"done": done, "total": total, "noun": ""}
    percent = next((number for name in _PERCENT if (number := _number(meta.get(name))) is not None), None)
    # 0.5 may be half of it, and may be half a percent.
    if percent is None or percent > 100 or (isinstance(percent, float) and 0 < percent <= 1):
        return {}
    return {"done": percent, "total": 100, "noun": PERCENT}


def _number(value: Any) -> float | None:
    """A count as people write it: no bool, nothing below zero, neither infinite nor NaN."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if 0 <= value < 1e15 else None


def _said(name: str, value: Any, depth: int = 0) -> str:
    """One value of a meta as a page may show it: short, without secrets, whatever somebody has put there."""
    if value is not None and sounds_secret(name):
        return HIDDEN
    if isinstance(value, str):
        return HIDDEN if value.startswith(SECRET_PREFIX) else without_passwords(value[:_MAX_META])
    if isinstance(value, (Mapping, list, tuple)):
        if depth == _MAX_DEPTH:
            return "…"
        if isinstance(value, Mapping):
            return "{" + _entries(value, depth + 1) + "}"
        return "[" + ", ".join(_said(name, one, depth + 1) for one in value[:_MAX_ENTRIES]) + "]"
    return str(value)[:_MAX_META]


def _entries(values: Mapping[Any, Any], depth: int = 0) -> str:
    """`current: 5, total: 10, status: reading`."""
    some = islice(values.items(), _MAX_ENTRIES)
    return ", ".join(f"{name}: {_said(name, value, depth)}" for name, value in ((str(k)[:100], v) for k, v in some))
