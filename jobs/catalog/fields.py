"""What a form asks for: one description for each parameter, drawn from its hint."""

from __future__ import annotations

import types
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from uuid import UUID

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import AwareDatetime, BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from jobs.compat import Model

from .hints import File, is_model


class Kind(StrEnum):
    """How a parameter is asked for."""

    DATE = "date"
    MOMENT = "moment"
    DURATION = "duration"
    CHOICE = "choice"
    CHOICES = "choices"
    WHOLE_NUMBER = "whole number"
    NUMBER = "number"
    DECIMAL = "decimal"
    SWITCH = "switch"
    TEXT = "text"
    LONG_TEXT = "long text"
    UUID = "uuid"
    #: One value a line.
    LINES = "lines"
    OBJECT = "object"
    OBJECTS = "objects"
    FILE = "file"
    SECRET = "secret"  # noqa: S105
    #: Anything else: typed in as JSON and checked by the parameter's own type.
    JSON = "json"


_KINDS: dict[object, Kind] = {
    date: Kind.DATE,
    datetime: Kind.MOMENT,
    AwareDatetime: Kind.MOMENT,
    timedelta: Kind.DURATION,
    int: Kind.WHOLE_NUMBER,
    float: Kind.NUMBER,
    Decimal: Kind.DECIMAL,
    bool: Kind.SWITCH,
    str: Kind.TEXT,
    UUID: Kind.UUID,
    File: Kind.FILE,
    SecretStr: Kind.SECRET,
}
#: Texts that may be longer than this are asked for in a large box.
LONG = 200
_LINE_KINDS = {Kind.DATE, Kind.MOMENT, Kind.WHOLE_NUMBER, Kind.NUMBER, Kind.DECIMAL, Kind.TEXT, Kind.UUID}


@dataclass(frozen=True, slots=True)
class Choice:
    """One option: `value` is what the parameter takes, `text` what the page sends, `label` what a person reads."""

    value: Any
    text: str
    label: str


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter as a form needs it.

    Attributes:
        default: a typed value; None where the parameter is required or its default is None.
        nullable: whether an empty answer means None.
        minimum, maximum: bounds of a number, or of a text's length.
        model: for OBJECT and OBJECTS.
        note: why it is asked for as JSON, where that needs saying.
        guessed: only its default tells the kind, and anything else fits as well.
    """

    name: str
    label: str
    help: str
    kind: Kind
    required: bool
    nullable: bool = False
    default: Any = None
    choices: tuple[Choice, ...] = ()
    minimum: Any = None
    maximum: Any = None
    model: type[Model] | None = None
    note: str = ""
    guessed: bool = False


def describe(name: str, hint: Any, info: FieldInfo, *, guessed: bool = False) -> Parameter:
    """The description of one parameter, from the author's own hint and what pydantic read from it."""
    plain, nullable = _plain(hint)
    kind, choices, model = _kind(plain, info)
    bounds = _bounds(info)
    note = ""
    if kind is Kind.JSON:
        note = "Typed in as JSON." if plain is Any else f"Typed in as JSON; checked as {_shown(plain)}."
        if _holds_file(plain):
            note += " Its files are those that it was filled in with; no other can be chosen here."
    elif guessed and kind in (Kind.WHOLE_NUMBER, Kind.NUMBER):
        note = 'A number; anything else is typed in as JSON: a text as "text", a list as [1, 2].'
    return Parameter(
        name=name,
        label=info.title or name.replace("_", " ").capitalize(),
        help=info.description or "",
        kind=kind,
        required=info.is_required(),
        nullable=nullable,
        default=None if info.is_required() else _default(info, kind),
        choices=choices,
        minimum=bounds[0],
        maximum=bounds[1],
        model=model,
        note=note,
        guessed=guessed,
    )


def _default(info: FieldInfo, kind: Kind) -> Any:
    """What a form shows: none where the default is a function, or another thing that nobody can type in."""
    default = info.get_default(call_default_factory=True)
    if kind is Kind.JSON:
        try:
            to_jsonable_python(default)
        except (ValueError, RecursionError):
            return None
    return default


def _holds_file(hint: Any, within: frozenset[type] = frozenset()) -> bool:
    """Whether a file stands in it, in a list, a mapping or a field of a model; for the words of the form alone."""
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        if hint in within:  # a model may hold itself
            return False
        return any(_holds_file(field.annotation, within | {hint}) for field in hint.model_fields.values())
    return hint is File or any(_holds_file(part, within) for part in get_args(hint))


def _plain(hint: Any) -> tuple[Any, bool]:
    """The type inside `Annotated[...]` and `... | None`, and whether None was allowed."""
    if get_origin(hint) is Annotated:
        return _plain(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        inner = [member for member in get_args(hint) if member is not type(None)]
        if len(inner) == 1 and len(inner) < len(get_args(hint)):
            return _plain(inner[0])[0], True
    return hint, False


def _kind(plain: Any, info: FieldInfo) -> tuple[Kind, tuple[Choice, ...], type[Model] | None]:
    if options := _options(plain):
        return Kind.CHOICE, options, None
    if is_model(plain):
        return Kind.OBJECT, (), plain
    if get_origin(plain) is list and (members := get_args(plain)):
        inner, _ = _plain(members[0])
        if options := _options(inner):
            return Kind.CHOICES, options, None
        if is_model(inner):
            return Kind.OBJECTS, (), inner
        return (Kind.LINES if _KINDS.get(inner) in _LINE_KINDS else Kind.JSON), (), None
    try:
        kind = _KINDS.get(plain, Kind.JSON)
    except TypeError:  # an unhashable hint
        kind = Kind.JSON
    if kind is Kind.TEXT and _may_be_long(info):
        kind = Kind.LONG_TEXT
    return kind, (), None


def _options(plain: Any) -> tuple[Choice, ...]:
    if get_origin(plain) is Literal:
        return tuple(Choice(value, str(value), _words(str(value))) for value in get_args(plain))
    if isinstance(plain, type) and issubclass(plain, Enum):
        # The JSON form of a member is its value, so that is what the page sends too.
        return tuple(
            Choice(member, str(member.value), str(getattr(member, "label", _words(member.name)))) for member in plain
        )
    return ()


def _words(name: str) -> str:
    return name.replace("_", " ").lower().capitalize() if name.isupper() or name.islower() else name


def _may_be_long(info: FieldInfo) -> bool:
    longest = next((m.max_length for m in info.metadata if isinstance(m, MaxLen)), None)
    extra = info.json_schema_extra
    return (longest is not None and longest > LONG) or (isinstance(extra, dict) and bool(extra.get("multiline")))


def _bounds(info: FieldInfo) -> tuple[Any, Any]:
    low: Any = None
    high: Any = None
    for note in info.metadata:
        match note:
            case Ge(ge=low) | Gt(gt=low) | MinLen(min_length=low):
                pass
            case Le(le=high) | Lt(lt=high) | MaxLen(max_length=high):
                pass
    return low, high


def _shown(plain: Any) -> str:
    return getattr(plain, "__name__", None) if isinstance(plain, type) else str(plain).replace("typing.", "")  # type: ignore[return-value]
