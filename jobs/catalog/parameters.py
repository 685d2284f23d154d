"""A job's parameters: from the function's signature to form fields, to JSON for the message, and back to typed values.

pydantic reads the type hints. What the page sends and what the worker receives pass the same model, so that the task's
body never sees a value that the form would have refused.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, create_model
from pydantic.errors import PydanticUserError

from jobs.compat import DatabaseError, Model
from jobs.errors import ConfigurationError, InvalidArguments

from .carried import carried, has_nul, is_json
from .fields import Kind, Parameter, describe
from .hints import SecretHint, understood
from .refusals import refusal

#: NaN and infinity are no JSON; a key that no parameter has is a typing error.
_CONFIG = ConfigDict(
    extra="forbid", validate_default=True, allow_inf_nan=False, arbitrary_types_allowed=False, str_max_length=200_000
)

logger = logging.getLogger(__name__)

NUL = "Null characters are not allowed."
TOO_DEEP = "This is nested too deeply."


@dataclass(frozen=True, slots=True)
class Call:
    """How the function is called: what travels in a message, or what its body receives.

    What travels is plain JSON, but for values that no hint describes: those stay as they are (`carried`).
    """

    args: list[Any]
    kwargs: dict[str, Any]


class Parameters:
    """The parameters of one function.

    Positional-only parameters are asked for by name and passed by position; `*args` is asked for as a JSON list,
    `**kwargs` as a JSON object. Without a hint anything fits: the type of a default proposes how a form asks and rules
    nothing. A default is no value: where none is given, nobody checks it, and one that is no JSON does not travel.

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
        self._definitions: dict[str, Any] = {}
        guessed: set[str] = set()
        #: Parameters that take anything.
        self._open: set[str] = set()
        # A parameter may be called `copy` or `json`, which a pydantic model cannot; its field has another name.
        self._aliases = {parameter.name: f"p_{number}" for number, parameter in enumerate(declared)}
        for parameter in declared:
            hint, default = _asked(parameter, hints)
            checked = understood(hint)
            if hint in (Any, list[Any], dict[str, Any]) and hints.get(parameter.name, Any) is Any:
                self._open.add(parameter.name)
                if (proposed := _proposed(default)) is not None:
                    hint = proposed
                    guessed.add(parameter.name)
            if parameter.name in secrets:
                self._open.discard(parameter.name)
                guessed.discard(parameter.name)
                hint = SecretStr if default is ... else SecretStr | None
                plain = Annotated[Any, SecretHint(plain=True)]
                checked = plain if default is ... else plain | None
            original[parameter.name] = hint
            self._definitions[self._aliases[parameter.name]] = (checked, _field(parameter.name, default))
        self._model = self._make(self._definitions)
        #: By the names of those whose defaults do not fit their own hints: a model that does not look at these.
        self._lenient: dict[frozenset[str], type[BaseModel]] = {}
        self.fields: tuple[Parameter, ...] = tuple(
            describe(name, original[name], self._model.model_fields[alias], guessed=name in guessed)
            for name, alias in self._aliases.items()
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
        checked, unfit = self._checked(values)
        typed = {name: getattr(checked, alias) for name, alias in self._aliases.items()}
        # A default that nobody gave is the function's own, also where it is an object that only it knows.
        own = unfit | {name for name in self._open if name not in values}
        typed |= {name: self._default_of(name) for name in own}
        left = unfit | {name for name in own if not is_json(typed[name])}
        sent = self._sent(checked, typed, left)
        # PostgreSQL keeps no NUL in text or JSON, and nobody means one.
        if nul := [name for name, value in sent.items() if has_nul(value)]:
            raise InvalidArguments(dict.fromkeys(nul, NUL))
        if self._also is not None:
            self._ask_the_job(self._also, typed)
        return self._call(sent), typed

    def _sent(self, checked: BaseModel, typed: Mapping[str, Any], left: Collection[str]) -> dict[str, Any]:
        """What travels, by parameter name, without what is `left` to the function; raises InvalidArguments."""
        aside = self._open | set(left)
        try:
            hidden = {self._aliases[name] for name in aside}
            sent = checked.model_dump(mode="json", by_alias=True, exclude=hidden)
        except (ValueError, RecursionError):  # bytes that are no text, or a value nested too deeply
            sent = {}
            for name in self._aliases.keys() - aside:
                try:
                    sent |= checked.model_dump(mode="json", by_alias=True, include={self._aliases[name]})
                except (ValueError, RecursionError):
                    sent[name] = carried(name, typed[name])
        return sent | {name: carried(name, typed[name]) for name in self._open - set(left)}

    def _ask_the_job(self, check: Callable[..., None], typed: Mapping[str, Any]) -> None:
        try:
            check(**typed)
        except (InvalidArguments, DatabaseError):
            raise
        except Exception as error:  # whatever the author's function raises, the page and the other runs must stand
            logger.exception("The check of %s could not be made", self.name)
            raise InvalidArguments({"": f"The job's own check could not be made: {type(error).__name__}."}) from error

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
        found = {name: NUL for name, value in values.items() if has_nul(value)}
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

    def _checked(self, values: Mapping[str, Any]) -> tuple[BaseModel, frozenset[str]]:
        """The checked values, and which parameters have a default that does not fit their own hint."""
        try:
            return self._model.model_validate(dict(values)), frozenset()
        except ValidationError as error:
            wrong = self._sentences(error)
        except RecursionError:
            raise InvalidArguments({"": TOO_DEEP}) from None
        unfit = frozenset(n for n in wrong if n in self._aliases and n not in values and self._default_of(n) is not ...)
        if not unfit or wrong.keys() - unfit:
            raise InvalidArguments({name: sentence for name, sentence in wrong.items() if name not in unfit} or wrong)
        return self._without_defaults_of(unfit).model_validate(dict(values)), unfit

    def _without_defaults_of(self, unfit: frozenset[str]) -> type[BaseModel]:
        if unfit not in self._lenient:
            definitions = dict(self._definitions)
            for name in unfit:
                hint, _ = definitions[self._aliases[name]]
                field = Field(default=self._default_of(name), alias=name, validate_default=False)
                definitions[self._aliases[name]] = (hint, field)
            self._lenient[unfit] = create_model("Values", __config__=_CONFIG, **definitions)
        return self._lenient[unfit]

    def _sentences(self, error: ValidationError) -> dict[str, str]:
        found: dict[str, str] = {}
        names = {alias: name for name, alias in self._aliases.items()}
        for item in error.errors():
            # What was given goes by the parameter's name, a default by that of the field.
            name, *inside = (str(part) for part in item["loc"]) if item["loc"] else ("",)
            sentence = refusal(item)
            numbered = [int(part) + 1 for part in inside if part.isdigit()]
            told = f"Line {numbered[0]}: {sentence}" if numbered else sentence
            found.setdefault(name if name in self._aliases else names.get(name, name), told)
        return found

    def _default_of(self, name: str) -> Any:
        """The function's own default; ... where it has none."""
        parameter = self._declared[name]
        match parameter.kind:
            case inspect.Parameter.VAR_POSITIONAL:
                return []
            case inspect.Parameter.VAR_KEYWORD:
                return {}
        return ... if parameter.default is parameter.empty else parameter.default

    def _call(self, values: Mapping[str, Any]) -> Call:
        """The call of these values; what is not among them is left to the function's own default."""
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        left = ""
        # What stands before *args can only be reached by position once *args has values.
        spread = any(values.get(n) for n, p in self._declared.items() if p.kind is p.VAR_POSITIONAL)
        for name, parameter in self._declared.items():
            by_position = parameter.kind is parameter.POSITIONAL_ONLY or (
                spread and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
            )
            if name not in values:
                left = left or (name if by_position else "")
                continue
            match parameter.kind:
                case inspect.Parameter.VAR_KEYWORD:
                    kwargs |= values[name]
                    continue
                case inspect.Parameter.VAR_POSITIONAL:
                    more = values[name]
                case _ if by_position:
                    more = [values[name]]
                case _:
                    kwargs[name] = values[name]
                    continue
            if left and more:
                raise InvalidArguments({left: "Enter a value: what comes after it has one."})
            args += more
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
    return hint, default


def _proposed(default: Any) -> type | None:
    """What a default without a hint proposes that a form asks for."""
    return type(default) if type(default) in (bool, int, float, str) else None


def _field(name: str, default: Any) -> Any:
    return Field(alias=name) if default is ... else Field(default=default, alias=name)
