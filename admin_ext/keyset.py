"""Lists that page by row id, both ways: no OFFSET, no count over the whole table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.views import ChangeList

PER_PAGE = 50


class NotAPosition(ValueError):
    """The address names a position in the list that is no row id."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where in the list: older than the row `before`, newer than the row `after`, or at the top."""

    before: int | None = None
    after: int | None = None

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Position:
        """From the address; raises NotAPosition."""
        return cls(_row_id(parameters.get("before")), _row_id(parameters.get("after")))


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
