"""What stands under a field of a job's form: the job's own words, the limits, and what an empty answer means."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from django.utils import timezone

from jobs.catalog.fields import Kind, Parameter
from jobs.ledger.uploads import largest_upload

from .fields import TEXTS
from .values import page_text

LONGEST_DEFAULT = 80
_HINTS: dict[Kind, str] = {
    Kind.DURATION: "Such as 1 h 30 min, 90 s or 2 d",
    Kind.LINES: "One a line",
    Kind.SECRET: "Nobody sees it again",
    Kind.OBJECT: "Its key",
    Kind.OBJECTS: "Their keys, one a line",
}
#: The note of a parameter without a type: nothing else tells what may be typed in.
_UNTYPED = "Typed in as JSON."
_EXAMPLES = 'A number as 3, text in quotes as "text", a list as [1, 2]'
_SHOWN_AS_THEY_ARE = (Kind.SWITCH, Kind.CHOICE, Kind.CHOICES, Kind.SECRET)


def help_of(parameter: Parameter, *, searched: bool = False) -> str:
    """The help of one parameter, in sentences; `searched` where objects are found by name, not typed in as keys."""
    hint = "" if searched and parameter.model is not None else _HINTS.get(parameter.kind, "")
    if hint.lower() in parameter.help.lower():  # the job's own words say it
        hint = ""
    parts = [parameter.help, _limits(parameter), hint, parameter.note]
    if parameter.note == _UNTYPED:
        parts.append(_EXAMPLES)
    if parameter.kind is Kind.MOMENT:
        parts.append(f"Time in {timezone.get_current_timezone_name()}")
    if parameter.kind is Kind.FILE:
        parts.append(f"At most {largest_upload() // 1_000_000} MB")
    if not parameter.required and parameter.kind not in _SHOWN_AS_THEY_ARE:
        shown = page_text(parameter, parameter.default)
        if not shown or parameter.default in ([], {}):
            parts.append("May be left empty")
        elif parameter.kind not in TEXTS and isinstance(shown, str):
            one_line = " ".join(shown.split())
            cut = len(one_line) > LONGEST_DEFAULT
            parts.append(f"Left empty: {one_line[:LONGEST_DEFAULT]}{'…' if cut else ''}")
    elif parameter.kind is Kind.SECRET and not parameter.required:
        parts.append("May be left empty")
    return " ".join(part if part.endswith(("?", "!", "…")) else f"{part.rstrip('.')}." for part in parts if part)


def _limits(parameter: Parameter) -> str:
    low, high = (_said(parameter, bound) for bound in (parameter.minimum, parameter.maximum))
    unit = " characters" if parameter.kind in TEXTS else ""
    timed = isinstance(parameter.minimum or parameter.maximum, date)
    below, above = ("Not before", "Not after") if timed else ("At least", "At most")
    if parameter.kind in (Kind.LINES, Kind.OBJECTS, Kind.CHOICES):
        unit = " of them"
    if low and high:
        return f"From {low} to {high}{unit}"
    if low:
        return f"{below} {low}{unit}"
    return f"{above} {high}{unit}" if high else ""


def _said(parameter: Parameter, bound: Any) -> str:
    if bound is None:
        return ""
    if parameter.kind in (Kind.MOMENT, Kind.DURATION):
        return str(page_text(parameter, bound))
    return f"{bound:,}" if isinstance(bound, (int, float, Decimal)) else str(bound)
