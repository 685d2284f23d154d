"""Exact arguments as text: kombu's tagged JSON, the form in which they travel in a message.

date, datetime, time, Decimal, UUID and bytes decode to equal values; tuples become lists and integer keys become
text, exactly as the worker itself receives them with the json serializer (kombu/utils/json.py).
"""

from __future__ import annotations

from typing import Any

from kombu.utils import json

from jobs.catalog.secrecy import CALLS_OF_MANY, has_secrets, sealed
from jobs.errors import InvalidArguments
from jobs.text import read_json

Arguments = tuple[list[Any], dict[str, Any]]
#: Longest text kept, in characters; what is longer is marked as not exact.
MAX_ARGUMENTS = 256_000


class UnreadableArguments(InvalidArguments, ValueError):
    """What is kept as arguments cannot be read."""


def encode(args: Any, kwargs: Any, *, as_json: bool = True) -> tuple[str, bool]:
    """The arguments as text, and whether the text is exact.

    Values that JSON cannot carry, and text beyond MAX_ARGUMENTS, give `[[], {}]` and False.

    Args:
        as_json: they travel as JSON, which makes tuples lists and keys text. In any other form the worker receives
            them as they are, and only a text that says the same is exact.
    """
    values = [list(args or ()), dict(kwargs or {})]
    try:
        text = json.dumps(values, ensure_ascii=False)
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair: no database keeps it as text, JSON can spell it
        text = json.dumps(values)
    except (TypeError, ValueError, RecursionError):
        return "[[], {}]", False
    if len(text) > MAX_ARGUMENTS:
        return "[[], {}]", False
    return text, as_json or _says(text, values)


def _says(text: str, values: Any) -> bool:
    try:
        return _is_same(json.loads(text), values)
    except Exception:  # noqa: BLE001 - objects of somebody's own, which may compare as they like
        return False


def _is_same(one: Any, other: Any) -> bool:
    """Equal, and of the same types at any depth."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return _is_same([*one], [*other]) and all(_is_same(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_is_same, one, other))
    return bool(one == other) or (one != one and other != other)


def kept_arguments(task_name: str, text: str) -> str:
    """Arguments that code gave to `task_name`, as the ledger keeps them: what the job declares secret is encrypted."""
    if not text or not (has_secrets(task_name) or task_name in CALLS_OF_MANY):
        return text
    hidden = sealed(task_name, *decode(text))
    return text if hidden is None else encode(*hidden)[0]


def decode(text: str) -> Arguments:
    """The `(args, kwargs)` that `encode` was given, with equal values.

    Raises:
        UnreadableArguments: no message can carry them either: a tag that kombu does not know, a number that is none.
    """
    try:
        return _call(json.loads(text))
    except (ValueError, TypeError, ArithmeticError, LookupError, AttributeError, RecursionError) as error:
        raise UnreadableArguments({"": f"The arguments that are kept cannot be read: {error}."}) from error


def decode_shown(text: str) -> Arguments:
    """The same as far as a page can show it (`jobs.text`); a tag that says nothing stays as it is written.

    Raises:
        UnreadableArguments: it is no JSON, or no arguments.
    """
    try:
        return _call(read_shown(text))
    except (ValueError, TypeError) as error:
        raise UnreadableArguments({"": f"The arguments that are kept cannot be read: {error}."}) from error


def read_shown(text: str) -> Any:
    """A value in kombu's tagged JSON as far as a page can show it; raises ValueError where it is no JSON."""
    return read_json(text, _shown_tag)


def _call(value: Any) -> Arguments:
    args, kwargs = value
    if not (isinstance(args, list) and isinstance(kwargs, dict)):
        raise TypeError("they are no list and mapping")
    return args, kwargs


def _shown_tag(found: dict[str, Any]) -> Any:
    try:
        return json.object_hook(found)
    except (ValueError, TypeError, ArithmeticError, LookupError, AttributeError):
        return found
