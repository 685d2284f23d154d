"""A job's parameters: from the function's signature to form fields, to JSON for the message, and back to typed values.

pydantic reads the type hints. What the page sends and what the worker receives pass the same model, so that the
task's body never sees a value that the form would have refused.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import annotated_types
from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic.fields import FieldInfo

from jobs.errors import ConfigurationError, InvalidArguments


class Kind(StrEnum):
    """How a parameter is asked for."""

    DATE = "date"
    MOMENT = "moment"
    CHOICE = "choice"
    WHOLE_NUMBER = "whole number"
    NUMBER = "number"
    SWITCH = "switch"
    TEXT = "text"
    #: Anything else: typed in as JSON and checked by the parameter's own type.
    JSON = "json"


_KINDS: dict[object, Kind] = {
    date: Kind.DATE,
    datetime: Kind.MOMENT,
    int: Kind.WHOLE_NUMBER,
    float: Kind.NUMBER,
    bool: Kind.SWITCH,
    str: Kind.TEXT,
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter as a form needs it. `default` is None where the parameter is required."""

    name: str
    label: str
    help: str
    kind: Kind
    required: bool
    default: Any = None
    choices: tuple[Any, ...] = ()
    minimum: Any = None
    maximum: Any = None


class Parameters:
    """The parameters of one function.

    Args:
        function: the undecorated function of the task.
        bound: whether Celery passes the task itself first (`bind=True`); that argument is left out.

    Raises:
        ConfigurationError: a parameter is positional-only or variadic, or its hint is one that pydantic cannot check.
    """

    def __init__(self, function: Callable[..., Any], *, bound: bool = False) -> None:
        self.name = f"{function.__module__}.{function.__qualname__}"
        hints = get_type_hints(function, include_extras=True)
        declared = list(inspect.signature(function).parameters.values())[1 if bound else 0 :]
        definitions: dict[str, Any] = {}
        for parameter in declared:
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                raise ConfigurationError(
                    f"{self.name}: the parameter {parameter.name} is {parameter.kind.description}; "
                    "a job needs parameters that have a name each."
                )
            default = ... if parameter.default is parameter.empty else parameter.default
            definitions[parameter.name] = (hints.get(parameter.name, Any), default)
        try:
            self._model: type[BaseModel] = create_model(
                function.__name__, __config__=ConfigDict(extra="forbid", validate_default=True), **definitions
            )
        except Exception as error:
            raise ConfigurationError(f"{self.name}: a parameter's type hint cannot be checked: {error}") from error
        self.fields = tuple(_parameter(name, info) for name, info in self._model.model_fields.items())

    def to_json(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Check `values` (typed, or as text from a form) and return them as plain JSON for the message.

        Raises:
            InvalidArguments: with one sentence for each parameter that does not fit.
        """
        return self._checked(values).model_dump(mode="json")

    def to_python(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Check `values` and return them typed, as the function's body receives them; raises InvalidArguments."""
        checked = self._checked(values)
        return {name: getattr(checked, name) for name in self._model.model_fields}

    def _checked(self, values: Mapping[str, Any]) -> BaseModel:
        try:
            return self._model.model_validate(dict(values))
        except ValidationError as error:
            raise InvalidArguments(
                {str(item["loc"][0]) if item["loc"] else "": _sentence(item["msg"]) for item in error.errors()}
            ) from None


def _sentence(message: str) -> str:
    return message.removeprefix("Value error, ").rstrip(".") + "."


def _parameter(name: str, info: FieldInfo) -> Parameter:
    hint, choices = _plain(info.annotation), ()
    kind = _KINDS.get(hint, Kind.JSON)
    if get_origin(hint) is Literal:
        kind, choices = Kind.CHOICE, get_args(hint)
    low = next((m for m in info.metadata if isinstance(m, (annotated_types.Ge, annotated_types.Gt))), None)
    high = next((m for m in info.metadata if isinstance(m, (annotated_types.Le, annotated_types.Lt))), None)
    return Parameter(
        name=name,
        label=info.title or name.replace("_", " ").capitalize(),
        help=info.description or "",
        kind=kind,
        required=info.is_required(),
        default=None if info.is_required() else info.get_default(call_default_factory=True),
        choices=choices,
        minimum=getattr(low, "ge", getattr(low, "gt", None)),
        maximum=getattr(high, "le", getattr(high, "lt", None)),
    )


def _plain(hint: Any) -> Any:
    """The type inside `Annotated[...]` and `... | None`."""
    if get_origin(hint) is Annotated:
        return _plain(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        inner = [member for member in get_args(hint) if member is not type(None)]
        if len(inner) == 1:
            return _plain(inner[0])
    return hint
