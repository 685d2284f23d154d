"""Lists that page by position, both ways: no OFFSET, no count over the whole table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.views import ChangeList

from jobs.ledger.run_query import Place

PER_PAGE = 50
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: The end of the year 9998, in microseconds: no run is asked for later.
_LATEST = 253_370_764_800_000_000


class NotAPosition(ValueError):
    """The address names a position in the list that cannot exist."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where in a list by row id: older than the row `before`, newer than the row `after`, or at the top."""

    before: int | None = None
    after: int | None = None

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Position:
        """From the address; raises NotAPosition."""
        return cls(_row_id(parameters.get("before")), _row_id(parameters.get("after")))


@dataclass(frozen=True, slots=True)
class RunPosition:
    """Where in the list of runs, by time: older than `before`, newer than `after`, the oldest page, or at the top."""

    before: Place | None = None
    after: Place | None = None
    last: bool = False

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> RunPosition:
        """From the address; raises NotAPosition."""
        before, after = _place(parameters.get("before")), _place(parameters.get("after"))
        if before and after:
            raise NotAPosition("before and after")
        return cls(before, after, last=bool(parameters.get("last")) and before is None and after is None)

    @property
    def place(self) -> Place | None:
        return self.before or self.after

    @property
    def backwards(self) -> bool:
        """Whether the page is read from older to newer runs."""
        return self.last or self.after is not None

    @property
    def is_top(self) -> bool:
        return self.place is None and not self.last


def place_text(place: Place) -> str:
    """`1764000000123456-42`: microseconds since 1970 and the row, as the address writes them."""
    return f"{(place.at - _EPOCH) // timedelta(microseconds=1)}-{place.pk}"


def _place(text: str | None) -> Place | None:
    if not text:
        return None
    moment, _, row = text.partition("-")
    micros, pk = _row_id(moment), _row_id(row)
    if micros is None or pk is None or micros >= _LATEST:
        raise NotAPosition(text)
    return Place(_EPOCH + timedelta(microseconds=micros), pk)


def _row_id(text: str | None) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise NotAPosition(text)
    return int(text)


def link(**parameters: object) -> str:
    """`?state=failed&job=…` of the parameters that have a value; `?` alone when none has."""
    return "?" + urlencode({name: str(value) for name, value in parameters.items() if value not in (None, "")})


class KeysetChangeList(ChangeList):
    """A changelist whose rows and parameters are read by the page itself; nothing here reads the table."""

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        nothing: QuerySet[Any] = self.root_queryset.none()
        return nothing

    def get_results(self, request: HttpRequest) -> None:
        self.result_list: list[Any] = []
        self.result_count = self.full_result_count = 0
        self.show_full_result_count = self.show_admin_actions = False
        self.can_show_all = self.multi_page = False
        self.paginator = self.model_admin.get_paginator(request, self.result_list, PER_PAGE)
