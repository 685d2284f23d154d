"""A job's parameters: from the function's signature to form fields, to JSON for the message, and back to typed values.

pydantic reads the type hints. What the page sends and what the worker receives pass the same model, so that the task's
body never sees a value that the form would have refused.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, get_type_hints

from django.db.models import Model
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, create_model
from pydantic.errors import PydanticUserError

from jobs.errors import ConfigurationError, InvalidArguments

from .fields import Kind, Parameter, describe
from .hints import SecretHint, understood
from .refusals import refusal

#: NaN and infinity are no JSON; a key that no parameter has is a typing error.
_CONFIG = ConfigDict(
    extra="forbid", validate_default=True, allow_inf_nan=False, arbitrary_types_allowed=False, str_max_length=200_000
)

NUL = "Null characters are not allowed."


@dataclass(frozen=True, slots=True)
class Call:
    """How the function is called: what travels in a message, or what its body receives."""

    args: list[Any]
    kwargs: dict[str, Any]


class Parameters:
    """The parameters of one function.

    Positional-only parameters are asked for by name and passed by position; `*args` is asked for as a JSON list,
    `**kwargs` as a JSON object.

    Args:
        function: the undecorated function of the task.
        bound: whether its first parameter is the task itself (`bind=True`, or a method); it is left out.
        secrets: names of parameters that are secret whatever their hint.
        check: called with the typed values by name; raises InvalidArguments for what no single hint can say.

    Raises:
        ConfigurationError: a hint cannot be resolved or checked; the text names the parameter.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        bound: bool = False,
        secrets: Collection[str] = (),
        check: Callable[..., None] | None = None,
    ) -> None:
        self.name = f"{function.__module__}.{function.__qualname__}"
        self._also = check
        hints = _hints(function, self.name)
        declared = list(inspect.signature(function).parameters.values())[1 if bound else 0 :]
        self._declared = {parameter.name: parameter for parameter in declared}
        original: dict[str, Any] = {}
        definitions: dict[str, Any] = {}
        # A parameter may be called `copy` or `json`, which a pydantic model cannot; its field has another name.
        self._aliases = {parameter.name: f"p_{number}" for number, parameter in enumerate(declared)}
        for parameter in declared:
            hint, default = _asked(parameter, hints)
            checked = understood(hint)
            if parameter.name in secrets:
                hint = SecretStr if default is ... else SecretStr | None
                plain = Annotated[Any, SecretHint(plain=True)]
                checked = plain if default is ... else plain | None
            original[parameter.name] = hint
            definitions[self._aliases[parameter.name]] = (checked, _field(parameter.name, default))
        self._model = self._make(definitions)
        self.fields: tuple[Parameter, ...] = tuple(
            describe(name, original[name], self._model.model_fields[alias]) for name, alias in self._aliases.items()
        )

    def _make(self, definitions: dict[str, Any]) -> type[BaseModel]:
        for name, definition in definitions.items():
            try:
                create_model("OneParameter", __config__=_CONFIG, **{name: definition})
            except (PydanticUserError, TypeError) as error:
                parameter = next(n for n, alias in self._aliases.items() if alias == name)
                raise ConfigurationError(
                    f"{self.name}: the type of the parameter {parameter} cannot be checked "
                    f"({str(error).splitlines()[0]}). Use one of the types in README.md, or dict."
                ) from error
        return create_model("Values", __config__=_CONFIG, **definitions)

    @property
    def secrets(self) -> frozenset[str]:
        """The names of the parameters whose values nobody may see."""
        return frozenset(field.name for field in self.fields if field.kind is Kind.SECRET)

    def check(self, values: Mapping[str, Any]) -> tuple[Call, dict[str, Any]]:
        """Check `values` (typed, or as text from a form), by parameter name.

        Returns:
            What travels, as plain JSON, and the typed values by parameter name.

        Raises:
            InvalidArguments: with one sentence for each parameter that does not fit.
        """
        checked = self._checked(values)
        dumped = checked.model_dump(mode="json", by_alias=True)
        # PostgreSQL keeps no NUL in text or JSON, and nobody means one.
        if nul := [name for name, value in dumped.items() if _has_nul(value)]:
            raise InvalidArguments(dict.fromkeys(nul, NUL))
        typed = {name: getattr(checked, alias) for name, alias in self._aliases.items()}
        if self._also is not None:
            self._also(**typed)
        return self._call(dumped), typed

    def to_json(self, values: Mapping[str, Any]) -> Call:
        """What travels: the first half of `check`."""
        return self.check(values)[0]

    def to_python(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Call:
        """Check a message's arguments and return them typed, as the function's body receives them.

        Raises:
            InvalidArguments: see `to_json`; also when the arguments do not fit the signature at all.
        """
        return self._call(self.typed(self.bind(args, kwargs)))

    def typed(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The typed values by parameter name: the other half of `check`."""
        return self.check(values)[1]

    def wrong(self, values: Mapping[str, Any]) -> dict[str, str]:
        """One sentence for each of `values` that does not fit by itself; what is not among them is not asked for."""
        found = {name: NUL for name, value in values.items() if _has_nul(value)}
        try:
            self._checked(values)
        except InvalidArguments as error:
            found |= {name: sentence for name, sentence in error.fields.items() if name in values}
        return found

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """A message's arguments by parameter name: what a form is filled from; raises InvalidArguments."""
        signature = inspect.Signature(list(self._declared.values()))
        try:
            bound = signature.bind_partial(*args, **kwargs).arguments
        except TypeError as error:
            raise InvalidArguments({"": f"The arguments do not fit the parameters: {error}."}) from None
        return {name: list(value) if isinstance(value, tuple) else value for name, value in bound.items()}

    def objects(self, values: Mapping[str, Any]) -> list[Model]:
        """The model objects among typed `values`: what a run of them is about."""
        found: list[Model] = []
        for field in self.fields:
            value = values.get(field.name)
            if field.model is not None and value is not None:
                found += value if isinstance(value, list) else [value]
        return found

    def _checked(self, values: Mapping[str, Any]) -> BaseModel:
        try:
            return self._model.model_validate(dict(values))
        except ValidationError as error:
            raise InvalidArguments(_sentences(error, self._aliases)) from None

    def _call(self, values: Mapping[str, Any]) -> Call:
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        # What stands before *args can only be reached by position once *args has values.
        spread = any(values.get(n) for n, p in self._declared.items() if p.kind is p.VAR_POSITIONAL)
        for name, parameter in self._declared.items():
            match parameter.kind:
                case inspect.Parameter.POSITIONAL_ONLY:
                    args.append(values[name])
                case inspect.Parameter.VAR_POSITIONAL:
                    args += values[name]
                case inspect.Parameter.VAR_KEYWORD:
                    kwargs |= values[name]
                case inspect.Parameter.POSITIONAL_OR_KEYWORD if spread:
                    args.append(values[name])
                case _:
                    kwargs[name] = values[name]
        return Call(args, kwargs)


def _hints(function: Callable[..., Any], name: str) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except (NameError, TypeError) as error:
        raise ConfigurationError(
            f"{name}: a type hint cannot be resolved ({error}). Import its name where the function stands, outside "
            "`if TYPE_CHECKING`."
        ) from error


def _asked(parameter: inspect.Parameter, hints: Mapping[str, Any]) -> tuple[Any, Any]:
    """The hint and the default by which a form asks for the parameter."""
    default = ... if parameter.default is parameter.empty else parameter.default
    hint = hints.get(parameter.name, Any)
    if parameter.kind is parameter.VAR_POSITIONAL:
        return list[hint], []  # type: ignore[valid-type]
    if parameter.kind is parameter.VAR_KEYWORD:
        return dict[str, hint], {}  # type: ignore[valid-type]
    if hint is Any and default is not ... and isinstance(default, (bool, int, float, str)):
        # No hint, but the default tells; a text may replace a number, so the default's type is only a proposal.
        hint = type(default)
    return hint, default


def _field(name: str, default: Any) -> Any:
    return Field(alias=name) if default is ... else Field(default=default, alias=name)


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, dict):
        return any(_has_nul(k) or _has_nul(v) for k, v in value.items())
    return isinstance(value, list) and any(_has_nul(item) for item in value)


def _sentences(error: ValidationError, aliases: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in error.errors():
        name, *inside = (str(part) for part in item["loc"]) if item["loc"] else ("",)
        sentence = refusal(item)
        numbered = [int(part) + 1 for part in inside if part.isdigit()]
        found.setdefault(name, f"Line {numbered[0]}: {sentence}" if numbered else sentence)
    return found
