"""What a message carries: which values come back from it as they were."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, time
from decimal import Decimal
from typing import Any
from uuid import UUID

from pydantic_core import to_jsonable_python

from jobs.errors import InvalidArguments

UNSENDABLE = "This value cannot be sent in a message. Enter it as JSON."
#: What comes back from a message as it was (`jobs.pipeline.arguments`).
_CARRIED = (str, int, float, bool, type(None), bytes, Decimal, date, time, UUID)  # a datetime is a date


def carried(name: str, value: Any) -> Any:
    """The value as it travels: itself where a message can carry it; raises InvalidArguments."""
    if all(isinstance(item, _CARRIED) for item in _leaves(value)):
        return value
    try:
        return to_jsonable_python(value)
    except (ValueError, RecursionError):
        raise InvalidArguments({name: UNSENDABLE}) from None


def is_json(value: Any) -> bool:
    """Whether the value comes back from JSON as it was."""
    return all(item is None or type(item) in (bool, int, float, str) for item in _leaves(value))


def has_nul(value: Any) -> bool:
    """Whether a text in it holds one, which no database keeps."""
    return any(isinstance(item, str) and "\x00" in item for item in _leaves(value))


def _leaves(value: Any) -> Iterable[Any]:
    """All that is no list and no dict, keys included; however deep it lies."""
    todo = [value]
    while todo:
        item = todo.pop()
        if type(item) is dict:
            todo += [*item, *item.values()]
        elif type(item) is list:
            todo += item
        else:
            yield item
