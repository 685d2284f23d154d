"""`progress(rows)` and `set_progress(…)`: how far a run is, for the people who look at its page."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from django.db.models import QuerySet

from .live import Counter, current

T = TypeVar("T")


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
