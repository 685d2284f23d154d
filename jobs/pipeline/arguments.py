"""Exact arguments as text: kombu's tagged JSON, the form in which they travel in a message.

date, datetime, time, Decimal, UUID and bytes decode to equal values; tuples become lists and integer keys become
text, exactly as the worker itself receives them with the json serializer (kombu/utils/json.py).
"""

from __future__ import annotations

from typing import Any

from kombu.utils import json

from jobs.catalog.secrecy import has_secrets, sealed
from jobs.errors import InvalidArguments

Arguments = tuple[list[Any], dict[str, Any]]
#: Longest text kept, in characters; what is longer is marked as not exact.
MAX_ARGUMENTS = 256_000


class UnreadableArguments(InvalidArguments, ValueError):
    """What is kept as arguments cannot be read."""


def encode(args: Any, kwargs: Any) -> tuple[str, bool]:
    """The arguments as text, and whether the text is exact.

    Values that JSON cannot carry, and text beyond MAX_ARGUMENTS, give `[[], {}]` and False.
    """
    values = [list(args or ()), dict(kwargs or {})]
    try:
        text = json.dumps(values, ensure_ascii=False)
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair: no database keeps it as text, JSON can spell it
        text = json.dumps(values)
    except (TypeError, ValueError):
        return "[[], {}]", False
    return (text, True) if len(text) <= MAX_ARGUMENTS else ("[[], {}]", False)


def kept_arguments(task_name: str, text: str) -> str:
    """Arguments that code gave to `task_name`, as the ledger keeps them: what the job declares secret is encrypted."""
    if not text or not has_secrets(task_name):
        return text
    hidden = sealed(task_name, *decode(text))
    return text if hidden is None else encode(*hidden)[0]


def decode(text: str) -> Arguments:
    """The `(args, kwargs)` that `encode` was given, with equal values.

    Raises:
        UnreadableArguments: no message can carry them either: a tag that kombu does not know, a number that is none.
    """
    try:
        args, kwargs = json.loads(text)
    except (ValueError, TypeError, ArithmeticError, LookupError, RecursionError) as error:
        raise UnreadableArguments({"": f"The arguments that are kept cannot be read: {error}."}) from error
    return args, kwargs
