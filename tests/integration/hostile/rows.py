"""Rows as no code of ours would write them: past the models, with all that the database itself takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from graphlib import TopologicalSorter
from typing import Any

from django.apps import apps
from django.db import DatabaseError, connection, models, transaction

from .values import pool_of

Model = type[models.Model]
Row = dict["models.Field[Any, Any]", Any]


def fill(most: int) -> Counter[str]:
    """Write at most `most` rows into every table; returns how many were taken, by the model's label."""
    taken: Counter[str] = Counter()
    for model in _parents_first():
        for number in range(_most(model, most)):
            taken[model._meta.label] += _write(model, number)
    return taken


def _most(model: Model, most: int) -> int:
    """One row for each value of the column that has most of them."""
    return min(most, max(len(pool_of(field)) for field in _columns(model)))


def _parents_first() -> Iterator[Model]:
    found = {model: {parent for parent in _parents(model) if parent is not model} for model in apps.get_models()}
    yield from TopologicalSorter(found).static_order()


def _parents(model: Model) -> Iterator[Model]:
    for field in model._meta.concrete_fields:
        if field.related_model is not None:
            yield field.related_model


def _columns(model: Model) -> list[models.Field[Any, Any]]:
    automatic = model._meta.auto_field
    return [field for field in model._meta.concrete_fields if field is not automatic and not field.is_relation]


def _write(model: Model, number: int) -> bool:
    """One row; where the database refuses it, again with what the model itself proposes in its choices."""
    values: Row = {field: _value(field, number, place) for place, field in enumerate(_columns(model))}
    related: Row = {field: _related(field, number) for field in model._meta.concrete_fields if field.is_relation}
    if _insert(model, values | related):
        return True
    tame: Row = {field: field.flatchoices[number % len(field.flatchoices)][0] for field in values if field.flatchoices}
    plain: Row = {field: "{}" for field in values if isinstance(field, models.JSONField)}
    return any(_insert(model, values | related | milder) for milder in (tame, plain, tame | plain))


def _value(field: models.Field[Any, Any], number: int, place: int) -> Any:
    pool = pool_of(field)
    # Beside each other no two columns walk their values in step, nor in that of known and odd ones.
    step = number if field.unique else number * (1, 2, 5)[place % 3] + place
    value = pool[step % len(pool)]
    if field.unique and isinstance(value, str) and number >= len(pool):
        value = f"{value[: (field.max_length or 255) - 6]}~{number // len(pool)}"
    return value


def _related(field: models.Field[Any, Any], number: int) -> Any:
    found = list(field.related_model._base_manager.order_by("pk").values_list("pk", flat=True))  # type: ignore[union-attr]
    if field.unique:
        return found[number] if number < len(found) else None
    if field.null and (not found or number % 3 == 2):
        return None
    return found[number % len(found)]


def _insert(model: Model, values: Row) -> bool:
    quote = connection.ops.quote_name
    names = ", ".join(quote(str(field.column)) for field in values)
    marks = ", ".join("%s::jsonb" if _is_jsonb(field) else "%s" for field in values)
    given = [_adapted(field, value) for field, value in values.items()]
    statement = f"INSERT INTO {quote(model._meta.db_table)} ({names}) VALUES ({marks})"  # noqa: S608 - names of models
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement, given)
    except DatabaseError:
        return False
    return True


def _is_jsonb(field: models.Field[Any, Any]) -> bool:
    return connection.vendor == "postgresql" and isinstance(field, models.JSONField)


def _adapted(field: models.Field[Any, Any], value: Any) -> Any:
    if isinstance(field, models.DateTimeField):
        return connection.ops.adapt_datetimefield_value(value)
    if isinstance(field, models.UUIDField) and connection.vendor == "sqlite":
        return value.hex
    return str(value) if isinstance(field, models.DecimalField) else value
