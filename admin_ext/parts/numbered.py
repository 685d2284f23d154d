"""Lists that are read whole and shown in numbered pages: what Redis knows of queues and workers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from .chips import Pill
from .keyset import link

PER_PAGE = 100

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Cut(Generic[T]):
    """One page of a list: what is on it, the place of the first, and the addresses of its neighbours and itself.

    Attributes:
        newer, older: "" where there is none.
        here: the parameters of its own address.
    """

    shown: Sequence[T]
    first: int
    newer: str
    older: str
    here: str


def cut(found: Sequence[T], asked: str, *, q: str, only: str) -> Cut[T]:
    """The page that the address asks for, counted from 1; one that does not exist is the last one.

    Args:
        q, only: the other parameters of the address.
    """
    number = int(asked) - 1 if asked.isascii() and asked.isdigit() and len(asked) < 6 else 0
    number = max(min(number, (len(found) - 1) // PER_PAGE), 0)
    first = number * PER_PAGE
    return Cut(
        shown=found[first : first + PER_PAGE],
        first=first + 1,
        newer=link(q=q, only=only, page=number) if number else "",
        older=link(q=q, only=only, page=number + 2) if len(found) > first + PER_PAGE else "",
        here=link(q=q, only=only, page=number + 1 if number else ""),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberedPage(Generic[T]):
    """What such a page shows.

    Attributes:
        q, only: what the address asks for.
        total, matching: how many there are, and how many of those were asked for.
        first: the place of the first line.
        live: the numbers are of now.
        read: when they were read, in words.
        live_url: where the page asks for itself again.
    """

    lines: tuple[T, ...]
    pills: tuple[Pill, ...]
    q: str
    only: str
    total: int
    matching: int
    first: int
    newer: str
    older: str
    live: bool
    read: str
    live_url: str

    @property
    def last(self) -> int:
        return self.first + len(self.lines) - 1
