"""The arguments of a run as a page shows them: named, typed, without anything secret."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from jobs.catalog.fields import Parameter
from jobs.catalog.hints import without_paths
from jobs.catalog.registry import Job
from jobs.models import Run, RunObject
from jobs.pipeline.arguments import UnreadableArguments, decode_shown
from jobs.text import read_json

from .redaction import hide_call

#: What stands for arguments that are no JSON, or no arguments: nobody can tell what in them is secret.
UNREADABLE = "cannot be read"


def shown_arguments(run: Run, job: Job | None, objects: Iterable[RunObject] = ()) -> list[tuple[str, Any]]:
    """Names and values: the labels of the job's form, and numbers for what was given by position; none of a run that is
    withheld.

    Args:
        objects: those that the run is about; they are called by their names instead of their keys.
    """
    names = {(one.model, one.key): one.label for one in objects}
    if run.withheld:
        return []
    fields = {field.name: field for field in _fields(job)}
    try:
        args, kwargs = hide_call(job.name if job else run.task_name, *decode_shown(run.arguments))
    except UnreadableArguments:
        return [("Arguments", UNREADABLE)]
    positional = [(f"Argument {number}", value) for number, value in enumerate(args, 1)]
    named = [(fields[n].label, _called(fields[n], v, names)) if n in fields else (n, v) for n, v in kwargs.items()]
    return positional + named


def raw_arguments(run: Run, job: Job | None) -> str:
    """`[args, kwargs]` as the ledger keeps them, tags and all, indented; only the secrets are replaced."""
    try:
        hidden = without_secrets(run.arguments, job, run.task_name)
    except (ValueError, TypeError):
        return UNREADABLE
    return json.dumps(hidden, ensure_ascii=False, indent=2)


def without_secrets(arguments: str, job: Job | None, task_name: str = "") -> tuple[list[Any], dict[str, Any]]:
    """What `[args, kwargs]` in JSON holds, tags and all; only the secrets are replaced.

    Raises:
        ValueError, TypeError: they are no arguments.
    """
    return hide_call(job.name if job else task_name, *read_json(arguments))


def _fields(job: Job | None) -> tuple[Parameter, ...]:
    return job.parameters.fields if job and job.parameters else ()


def _called(field: Parameter, value: Any, names: Mapping[tuple[str, str], str]) -> Any:
    """Objects by their names, as far as those are known; anything else as it was chosen."""
    if field.model is None or not names:
        return _chosen(field, value)
    model = field.model._meta.label_lower
    keys = value if isinstance(value, list) else [value]
    called = [names.get((model, str(key)), str(key)) for key in keys]
    known = any((model, str(key)) in names for key in keys)
    return ", ".join(called) if known else _chosen(field, value)


def _chosen(field: Parameter, value: Any) -> Any:
    """What a person chose, by the words of the choice."""
    if not field.choices:
        return without_paths(value)
    labels = {_key(choice.value): choice.label for choice in field.choices}
    chosen = [labels.get(_key(one)) for one in (value if isinstance(value, list) else [value])]
    return ", ".join(label for label in chosen if label) if chosen and all(chosen) else value


def _key(value: Any) -> str:
    # What travelled is the choice's JSON, what the catalogue holds its Python value.
    return str(getattr(value, "value", value))
