"""Where text becomes safe to keep and to send: whatever leaves or enters passes here, so that no page can forget it.

JSON can spell what no UTF-8 holds (half of a surrogate pair, as a file name with a bad byte gives it), what PostgreSQL
keeps nowhere (NUL, numbers without end), and structures deeper than Python can walk. Nothing here needs Django.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from typing import Any

#: So many levels of lists and mappings are kept and shown; a form takes no deeper ones.
MOST_LEVELS = 100
#: What stands for what is nested deeper.
DEEPER = "… nested too deeply to be shown"
#: Python writes and reads no longer whole numbers.
_MOST_DIGITS = 4300
_MOST_BITS = 14_000
#: How JSON spells NUL and halves of surrogate pairs, and numbers that may be without end or too long.
_ODD = re.compile(r"\\u(?:0000|[dD][89a-fA-F])|[eE]\+?\d{3}|\d{300}")

#: Whole strings, so that a bracket in one is none.
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


def safe_text(text: str) -> str:
    """`text` without NUL, and with a question mark for each half of a surrogate pair."""
    if text.isascii() and "\x00" not in text:
        return text
    return text.replace("\x00", "").encode(errors="replace").decode()


def safe_value(value: Any, levels: int = MOST_LEVELS) -> Any:
    """A copy of what JSON told that every database keeps and every page can show.

    Texts are safe, numbers without end or beyond what Python writes are texts, DEEPER stands for what is nested deeper
    than `levels`. What is no JSON stays as it is.
    """
    if isinstance(value, str):
        return safe_text(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, int):
        return value if value.bit_length() <= _MOST_BITS else f"a number of {value.bit_length():,} bits"
    if not isinstance(value, (dict, list, tuple)):
        return value
    if levels <= 0:
        return DEEPER
    if isinstance(value, dict):
        return {safe_value(name): safe_value(one, levels - 1) for name, one in value.items()}
    return [safe_value(one, levels - 1) for one in value]


def read_json(text: str | bytes, object_hook: Callable[[dict[str, Any]], Any] | None = None) -> Any:
    """What JSON says, safe as `safe_value` makes it; whole numbers that are too long are texts.

    Args:
        object_hook: as that of `json.loads`; it may raise anything.

    Raises:
        ValueError: it is no JSON.
    """
    if isinstance(text, bytes):
        text = text.decode(errors="replace")
    odd = is_odd_json(text)
    if odd:
        # Else how deeply it may be nested would depend on who reads: Python counts the calls that led here too.
        text = _without_the_deepest(text)
    try:
        value = json.loads(text, parse_int=_whole if odd else None, parse_constant=str, object_hook=object_hook)
    except ValueError:
        raise
    except (TypeError, LookupError, ArithmeticError, AttributeError, RecursionError) as error:
        raise ValueError(f"not readable: {type(error).__name__}") from error
    return safe_value(value) if odd else value


def _without_the_deepest(text: str) -> str:
    """JSON text with what lies too deep replaced, as `safe_value` replaces it, without a look at it."""
    kept, level, begin = [], 0, 0
    for token in _BRACKETS.finditer(text):
        if token[0] in ("[", "{"):
            level += 1
            if level == MOST_LEVELS + 1:
                kept += [text[begin : token.start()], json.dumps(DEEPER)]
                begin = len(text)
        elif token[0] in ("]", "}"):
            if level == MOST_LEVELS + 1:
                begin = token.end()
            level -= 1
    return "".join([*kept, text[begin:]])


def _whole(digits: str) -> int | str:
    return int(digits) if len(digits) <= _MOST_DIGITS else digits


def is_odd_json(text: str) -> bool:
    """Whether JSON text may tell what `safe_value` changes; quicker than to read it."""
    return _ODD.search(text) is not None or text.count("[") + text.count("{") > MOST_LEVELS


def in_zone(moment: datetime, zone: tzinfo) -> datetime:
    """The aware moment by the clocks of `zone`; of UTC where these would leave the years 1 to 9999."""
    try:
        return moment.astimezone(zone)
    except OverflowError:
        return moment.astimezone(UTC)
