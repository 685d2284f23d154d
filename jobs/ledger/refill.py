"""Filling a job's form from what ran before: a run, or a preset. What no longer fits is told, never dropped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jobs.catalog.fields import Kind, Parameter
from jobs.catalog.parameters import Parameters
from jobs.catalog.secrecy import sounds_secret
from jobs.errors import InvalidArguments
from jobs.models import Run
from jobs.pipeline.arguments import decode
from jobs.text import safe_value

from .redaction import redact


@dataclass(frozen=True, slots=True)
class Refill:
    """What a form is filled with.

    Attributes:
        values: by parameter name, as plain JSON; secrets are left out and must be typed again.
        gone: names and values of arguments that the job does not take any more; they will not be sent.
        new: labels of required parameters that the earlier run did not have.
        secrets: labels of parameters that must be typed again.
        problems: by parameter name, why an earlier value no longer fits: another type, a deleted object, a limit.
    """

    values: dict[str, Any] = field(default_factory=dict)
    gone: tuple[tuple[str, Any], ...] = ()
    new: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    problems: dict[str, str] = field(default_factory=dict)


def refill_from_run(run: Run, parameters: Parameters) -> Refill:
    """The form's values from a run's exact arguments; the run must have them (`arguments_exact`).

    Raises:
        UnreadableArguments: they cannot be read.
    """
    args, kwargs = decode(run.arguments)
    try:
        values = parameters.bind(args, {n: v for n, v in kwargs.items() if n in _names(parameters)})
        extra: dict[str, Any] = {n: v for n, v in kwargs.items() if n not in values}
    except InvalidArguments:
        named = dict(zip(_names(parameters), args, strict=False))
        beyond = {f"argument {number}": value for number, value in enumerate(args[len(named) :], len(named) + 1)}
        values, extra = {**named, **kwargs}, beyond
    return refill(values | extra, parameters)


def refill(values: Mapping[str, Any], parameters: Parameters) -> Refill:
    """The form's values from named ones."""
    fields = {f.name: f for f in parameters.fields}
    given = {name: {name: value} for name, value in values.items()}
    secret = {name for name, one in given.items() if one[name] is not None and redact(one) != safe_value(one)}
    secret |= {name for name, one in fields.items() if one.kind is Kind.SECRET or sounds_secret(name)}
    kept = {name: value for name, value in values.items() if name in fields and name not in secret}
    return Refill(
        values=kept,
        gone=tuple(shown for name, one in given.items() if name not in fields for shown in redact(one).items()),
        new=tuple(f.label for f in fields.values() if f.required and f.name not in {*values, *secret}),
        secrets=tuple(f.label for f in fields.values() if f.name in secret),
        problems=_problems(kept, parameters),
    )


def changed(run_values: Mapping[str, Any], now: Mapping[str, Any], parameters: Parameters) -> tuple[Parameter, ...]:
    """The parameters whose values differ between two argument sets, both as plain JSON."""
    return tuple(f for f in parameters.fields if run_values.get(f.name) != now.get(f.name))


def _problems(values: Mapping[str, Any], parameters: Parameters) -> dict[str, str]:
    try:
        parameters.check(values)
    except InvalidArguments as error:
        return {name: sentence for name, sentence in error.fields.items() if name in values}
    return {}


def _names(parameters: Parameters) -> list[str]:
    return [f.name for f in parameters.fields]
