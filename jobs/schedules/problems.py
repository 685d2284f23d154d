"""Why a schedule cannot do its work: told for a whole list without a query for each row."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Model

from jobs.catalog.fields import Kind
from jobs.catalog.registry import Job, find_job
from jobs.catalog.routing import NoRoute, route
from jobs.errors import InvalidArguments, UnknownJob
from jobs.ledger.start import why_not_startable

from .spec import HORIZON, Once
from .stored import Stored

logger = logging.getLogger(__name__)

#: Kinds whose check asks outside of the values themselves.
_ELSEWHERE = frozenset({Kind.OBJECT, Kind.OBJECTS, Kind.FILE})
#: No parameter can be called so: with it a check stops before it asks the job's own function.
_NO_PARAMETER = "oc no parameter"


def job_of(stored: Stored) -> Job | None:
    """The job that it runs; None where no such task is registered any more."""
    try:
        return find_job(stored.row.task)
    except UnknownJob:
        return None


def problems(found: Iterable[Stored], now: datetime, *, objects: bool = True) -> dict[int, str]:
    """By id, what is wrong with those that cannot fire or whose job would refuse; one query for each model at most.

    Args:
        objects: ask whether the objects that they name exist; without that, no query.
    """
    wrong: dict[int, str] = {}
    asked: dict[type[Model], dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for stored in found:
        problem = stored.problem or _time_problem(stored, now) or _job_problem(stored)
        if problem:
            wrong[stored.row.pk] = problem
            continue
        for model, keys in _objects(stored) if objects else ():
            for key in keys:
                asked[model][str(key)].append(stored.row.pk)
    for model, of in asked.items():
        for key in of.keys() - _existing(model, of):
            for pk in of[key]:
                wrong.setdefault(pk, f"The {model._meta.verbose_name} {key} does not exist any more. Choose another.")
    return wrong


def problem_of(stored: Stored, now: datetime) -> str:
    """What is wrong with one; "" when nothing is."""
    return problems([stored], now).get(stored.row.pk, "")


def _time_problem(stored: Stored, now: datetime) -> str:
    if isinstance(stored.spec, Once):
        return ""  # one that is done is off, or about to be
    upcoming = stored.plan.next_after(now)
    ended = stored.row.expires is not None
    if not ended and (upcoming is None or upcoming > now + HORIZON):
        return "It names no moment within five years, so it will not run. Choose another time."
    return ""


def _job_problem(stored: Stored) -> str:
    name = stored.row.task
    if name.startswith("celery."):
        return f"{name} is one of Celery's own tasks, which the console does not run. Delete this schedule."
    job = job_of(stored)
    if job is None:
        return f"Its job {name} is not registered any more. Choose another job, or delete it."
    if refusal := why_not_startable(job):
        return refusal
    try:
        route(name, stored.args or (), stored.kwargs, queue=stored.row.queue or "")
    except NoRoute as error:
        return f"{error} Until then its runs are accepted and wait."
    if job.parameters is None:
        return ""
    try:
        values = job.parameters.bind(stored.args or [], stored.kwargs or {})
        wrong = _wrong(job, values)
    except InvalidArguments as error:
        wrong = error.fields
    except Exception as error:  # whatever the author's own check raises, the list must stand
        logger.exception("The arguments of the schedule %s could not be checked", stored.row.name)
        wrong = {"": f"They could not be checked: {type(error).__name__}."}
    if "" in wrong:
        return wrong[""]
    labels = {field.name: field.label for field in job.parameters.fields}
    return "Its arguments do not fit: " + " ".join(_told(labels, *item) for item in wrong.items()) if wrong else ""


def _told(labels: dict[str, str], name: str, sentence: str) -> str:
    return f"{labels.get(name, name)}: {sentence}"


def _wrong(job: Job, values: dict[str, Any]) -> dict[str, str]:
    """What does not fit. Objects are left to `problems`, which asks for all of a list at once."""
    parameters = job.parameters
    if parameters is None:
        return {}
    elsewhere = {f.name for f in parameters.fields if f.kind in _ELSEWHERE}
    if not elsewhere:
        parameters.check(values)
        return {}
    missing = {
        f.name: "Enter a value."
        for f in parameters.fields
        if f.name in elsewhere and f.required and f.name not in values
    }
    try:
        parameters.check({n: v for n, v in values.items() if n not in elsewhere} | {_NO_PARAMETER: None})
    except InvalidArguments as error:
        return missing | {n: s for n, s in error.fields.items() if n != _NO_PARAMETER and n not in elsewhere}
    return missing


def _objects(stored: Stored) -> list[tuple[type[Model], list[Any]]]:
    job = job_of(stored)
    if job is None or job.parameters is None:
        return []
    try:
        values = job.parameters.bind(stored.args or [], stored.kwargs or {})
    except InvalidArguments:
        return []
    named = ((f.model, values.get(f.name)) for f in job.parameters.fields if f.model is not None)
    return [
        (model, value if isinstance(value, list) else [value])
        for model, value in named
        if model is not None and value is not None
    ]


def _existing(model: type[Model], keys: Iterable[str]) -> set[str]:
    """Those of the keys that exist."""
    clean = []
    for key in keys:
        try:
            clean.append(model._meta.pk.to_python(key))
        except (ValidationError, ValueError, TypeError):
            continue
    return {str(pk) for pk in model._default_manager.filter(pk__in=clean[:10_000]).values_list("pk", flat=True)}
