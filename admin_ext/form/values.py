"""Values as a page writes them, and back: moments, durations, JSON. Nothing here touches a request or a database."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any, NoReturn

from django.core.exceptions import ValidationError
from django.db.models import Model
from django.utils import timezone
from pydantic import TypeAdapter
from pydantic import ValidationError as Refused

from admin_ext.parts.words import local_time
from jobs.catalog.fields import Kind, Parameter
from jobs.catalog.refusals import quotes_wanted
from jobs.text import MOST_LEVELS

#: What one field of a page holds: a text, or several where more than one box can be ticked.
Text = str | list[str]

MOMENT_WANTED = "Enter a day and a time such as 2026-09-30T14:30."
DURATION_WANTED = "Enter a duration such as 1 h 30 min, 90 s or 2 d."
LONGEST_DURATION = 100
_UNITS = {"d": 86_400, "h": 3600, "min": 60}
_UNIT_WORDS = {
    **dict.fromkeys(("w", "week", "weeks"), Decimal(604_800)),
    **dict.fromkeys(("d", "day", "days"), Decimal(86_400)),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), Decimal(3600)),
    **dict.fromkeys(("min", "mins", "m", "minute", "minutes"), Decimal(60)),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), Decimal(1)),
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), Decimal("0.001")),
}
_PART = re.compile(r"\s*(\d+(?:[.,]\d+)?)\s*([a-z]+)\s*,?", re.ASCII)
_DURATION: TypeAdapter[timedelta] = TypeAdapter(timedelta)


def moment_of(text: str) -> datetime:
    """The aware moment that `text` names: local time of TIME_ZONE, or with an offset of its own.

    Raises:
        ValidationError: no day and time; or a local time that does not exist there, or exists twice.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValidationError(MOMENT_WANTED) from None
    if len(text) <= len("2026-09-30"):
        raise ValidationError(MOMENT_WANTED)
    if moment.tzinfo is not None:
        return moment
    zone = timezone.get_current_timezone()
    first, second = moment.replace(tzinfo=zone, fold=0), moment.replace(tzinfo=zone, fold=1)
    try:
        exists = first.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == moment
    except OverflowError:
        raise ValidationError("Enter a day between the years 1 and 9999.") from None
    name = timezone.get_current_timezone_name()
    if not exists:
        raise ValidationError(f"{moment:%H:%M} does not exist on {_day(moment)} in {name}: the clocks are put forward.")
    if first.utcoffset() != second.utcoffset():
        raise ValidationError(
            f"{moment:%H:%M} exists twice on {_day(moment)} in {name}. Write {first.isoformat(timespec='minutes')} for "
            f"the first or {second.isoformat(timespec='minutes')} for the second."
        )
    return first


def _day(moment: datetime) -> str:
    return f"{moment.day} {moment:%B %Y}"


def moment_text(moment: datetime) -> str:
    """The moment as a browser's own field writes it; with its offset where local time does not say it exactly."""
    local = local_time(moment) if timezone.is_aware(moment) else moment
    precision = (
        "minutes" if not (local.second or local.microsecond) else "milliseconds" if local.microsecond else "seconds"
    )
    text = local.replace(tzinfo=None).isoformat(timespec=precision)
    try:
        exact = local.microsecond % 1000 == 0 and (timezone.is_naive(moment) or moment_of(text) == moment)
    except ValidationError:
        exact = False
    return text if exact else local.isoformat()


def is_plain_moment(text: str) -> bool:
    """Whether a browser's own field for day and time can show `text`."""
    return re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,3})?)?", text, re.ASCII) is not None


def duration_of(text: str) -> timedelta:
    """The duration that `text` names: `1 h 30 min`, `90 s`, `-2 d`, `1:30:00` or ISO 8601; raises ValidationError."""
    text = text.strip()
    if len(text) > LONGEST_DURATION:
        raise ValidationError(DURATION_WANTED)
    if ":" in text or text.lstrip("+-").upper().startswith("P"):
        try:
            return _DURATION.validate_python(text)
        except Refused:
            raise ValidationError(DURATION_WANTED) from None
    sign, rest, seconds = (-1 if text.startswith("-") else 1), text.lstrip("+-").lower(), Decimal(0)
    position = 0
    while position < len(rest):
        part = _PART.match(rest, position)
        if part is None or part[2] not in _UNIT_WORDS:
            raise ValidationError(DURATION_WANTED)
        seconds += Decimal(part[1].replace(",", ".")) * _UNIT_WORDS[part[2]]
        position = part.end()
    if not position:
        raise ValidationError(DURATION_WANTED)
    try:
        return timedelta(microseconds=sign * int(seconds * 1_000_000))
    except (OverflowError, InvalidOperation):
        raise ValidationError("This is longer than can be kept; enter less than 999,999,999 days.") from None


def duration_text(length: timedelta) -> str:
    """`1 h 30 min`, `2 d`, `-1 d 0.5 s`, `0 s`: exact, and `duration_of` reads it back."""
    sign, length = ("-", -length) if length < timedelta(0) else ("", length)
    whole, parts = length.days * 86_400 + length.seconds, []
    for unit in ("d", "h", "min"):
        count, whole = divmod(whole, _UNITS[unit])
        if count:
            parts.append(f"{count} {unit}")
    if whole or length.microseconds or not parts:
        fraction = f".{length.microseconds:06}".rstrip("0") if length.microseconds else ""
        parts.append(f"{whole}{fraction} s")
    return sign + " ".join(parts)


def json_of(text: str) -> Any:
    """What the JSON says; raises ValidationError with line and column of what is wrong."""
    try:
        value = json.loads(text, parse_constant=_no_constant)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
        _refuse_deep(value)
    except json.JSONDecodeError as error:
        told = f"This is not JSON: {error.msg}, at line {error.lineno}, column {error.colno}. {quotes_wanted(text)}"
        raise ValidationError(told.rstrip()) from None
    except RecursionError:
        raise ValidationError("This is nested too deeply.") from None
    except UnicodeEncodeError:
        raise ValidationError("A text in it has half a character, such as \\ud800 alone.") from None
    except ValueError as error:
        raise ValidationError(f"This is not JSON: {error}.") from None
    return value


def _refuse_deep(value: Any) -> None:
    """What is nested deeper, pages and messages cannot be counted on to carry."""
    level = [value]
    for _ in range(MOST_LEVELS):
        level = [item for one in level if isinstance(one, (dict, list))
                 for item in (one.values() if isinstance(one, dict) else one)]  # fmt: skip
        if not level:
            return
    raise ValidationError(f"This is nested too deeply: at most {MOST_LEVELS} levels.")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number there")


#: What a field shows as it is; Python's bool is an int, and no number.
_SHOWS = {Kind.SWITCH: (bool,), Kind.TEXT: (str,), Kind.WHOLE_NUMBER: (int, float), Kind.NUMBER: (int, float)}


def asked_for(parameter: Parameter, value: Any) -> Parameter:
    """The parameter as a form asks for it that holds `value`: as JSON where the kind is only proposed by a default and
    this value is of another."""
    if not parameter.guessed or value is None or (type(value) in _SHOWS.get(parameter.kind, ())):
        return parameter
    return replace(parameter, kind=Kind.JSON, note="Typed in as JSON.")


def page_text(parameter: Parameter, value: Any) -> Text:
    """`value`, typed or as plain JSON, as the parameter's field writes it; "" or [] for None."""
    kind = parameter.kind
    if kind is Kind.CHOICES:
        return list(dict.fromkeys(_choice_text(parameter, item) for item in _items(value)))
    if value is None or kind in (Kind.SECRET, Kind.FILE):
        return ""
    if kind is Kind.CHOICE:
        return _choice_text(parameter, value)
    if kind in (Kind.LINES, Kind.OBJECTS) and isinstance(value, (list, tuple)):
        return "\n".join(_plain(item) for item in value)
    if kind is Kind.SWITCH and isinstance(value, bool):
        return ("yes" if value else "no") if parameter.nullable else ("on" if value else "")
    if kind is Kind.JSON:
        return json.dumps(value, ensure_ascii=False, indent=2, default=_plain)
    reader = _READERS.get(kind)
    return reader(value) if reader else _plain(value)


def _items(value: Any) -> Iterable[Any]:
    return value if isinstance(value, (list, tuple, set, frozenset)) else () if value is None else (value,)


def _choice_text(parameter: Parameter, value: Any) -> str:
    plain = value.value if isinstance(value, Enum) else value
    return next((choice.text for choice in parameter.choices if choice.value == value), _plain(plain))


def _moment(value: Any) -> str:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        moment = value
    return moment_text(moment) if isinstance(moment, datetime) else _plain(moment)


def _duration(value: Any) -> str:
    try:
        return duration_text(value if isinstance(value, timedelta) else _DURATION.validate_python(value))
    except Refused:
        return _plain(value)


def _plain(value: Any) -> str:
    if isinstance(value, Model):
        return str(value.pk)
    if isinstance(value, timedelta):
        return duration_text(value)
    if isinstance(value, date):  # also a datetime
        return str(value.isoformat())
    if isinstance(value, Enum):
        return _plain(value.value)
    if isinstance(value, (dict, list, tuple, bool)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


_READERS: dict[Kind, Callable[[Any], str]] = {Kind.MOMENT: _moment, Kind.DURATION: _duration}
