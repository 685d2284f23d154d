"""Objects of a job's form: the field that takes keys, the names that stand for them, and the search behind it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Model
from django.http import Http404, HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from admin_ext.parts.access import may
from jobs.catalog.fields import Kind, Parameter
from jobs.catalog.registry import Job, find_job
from jobs.errors import UnknownJob
from jobs.ledger.verbs import START_RUN

from .fields import AREA, INPUT, LinesField

MOST_ANSWERS = 20
#: Beyond so many the page shows keys only, in a plain box.
MOST_NAMED = 200
LONGEST_QUERY = 100
Namer = Callable[[Iterable[str]], Mapping[str, str]]


class _Picking:
    """What the script needs to make a search of a plain box; without it the keys are typed."""

    address = ""
    named: Namer = staticmethod(lambda keys: {})

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context(name, value, attrs)  # type: ignore[misc]
        keys = str(context["widget"]["value"] or "").split("\n")
        if self.address and len(keys) <= MOST_NAMED:
            names = dict(self.named([key.strip() for key in keys if key.strip()]))
            context["widget"]["attrs"] |= {
                "data-oc-pick": self.address,
                "data-oc-names": json.dumps(names, ensure_ascii=False),
            }
        return context


class KeyInput(_Picking, forms.TextInput):
    """The key of one object."""


class KeysInput(_Picking, forms.Textarea):
    """Keys of objects, one a line."""

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        context["widget"]["attrs"]["data-oc-many"] = "yes"
        return context


def object_field(parameter: Parameter, *, address: str = "", named: Namer | None = None) -> forms.Field:
    """The field of an OBJECT or OBJECTS parameter; without `address` keys are typed."""
    many = parameter.kind is Kind.OBJECTS
    noun = parameter.model._meta.verbose_name if parameter.model else "object"
    widget: KeyInput | KeysInput
    if many:
        widget = KeysInput({"class": f"{AREA} oc-full", "rows": 3, "spellcheck": "false"})
    else:
        widget = KeyInput({"class": INPUT, "spellcheck": "false"})
    widget.address = address
    if named is not None:
        widget.named = named
    make = LinesField if many else forms.CharField
    return make(
        required=parameter.required,
        widget=widget,
        error_messages={"required": f"Choose at least one {noun}." if many else f"Choose a {noun}."},
    )


def names_of(request: HttpRequest, model: type[Model], keys: Iterable[str]) -> dict[str, str]:
    """What a person reads for each key that exists, as far as this person may see the objects."""
    wanted = [key for text in keys if (key := _key(model, text)) is not None][:MOST_NAMED]
    if not wanted or not _may_see(request, model):
        return {}
    return {str(pk): _name(found) for pk, found in _all_of(request, model).in_bulk(wanted).items()}


@require_safe
def search_objects(request: HttpRequest, name: str, field: str) -> JsonResponse:
    """`…/start/objects/<field>/?q=`: at most 20 objects that the parameter may be, as keys and names.

    Whoever may see the model's objects in the admin searches as its list does; anybody else finds by the exact key, and
    reads no name.
    """
    job, model = _asked_for(name, field)
    for permission in (START_RUN.permission, job.permission):
        if not may(request, permission):
            raise PermissionDenied(f"You may not run {job.title}.")
    text = request.GET.get("q", "").strip()[:LONGEST_QUERY].replace("\x00", "")
    found = _search(request, model, text)
    return JsonResponse({"objects": [{"key": key, "name": shown} for key, shown in found.items()]})


def _asked_for(name: str, field: str) -> tuple[Job, type[Model]]:
    try:
        job = find_job(name)
    except UnknownJob as error:
        raise Http404(str(error)) from None
    for parameter in job.parameters.fields if job.parameters else ():
        if parameter.name == field and parameter.model is not None:
            return job, parameter.model
    raise Http404(f"{job.title} has no such parameter.")


def _search(request: HttpRequest, model: type[Model], text: str) -> dict[str, str]:
    key = _key(model, text)
    if not _may_see(request, model):
        exists = key is not None and model._default_manager.filter(pk=key).exists()
        return {str(key): f"{model._meta.verbose_name} {key}"} if exists else {}
    objects = _all_of(request, model)
    found = [objects.get(pk=key)] if key is not None and objects.filter(pk=key).exists() else []
    registered = admin.site._registry.get(model)
    if registered is not None and (registered.get_search_fields(request) or not text):
        matching, doubled = registered.get_search_results(request, objects, text)
        found += list((matching.distinct() if doubled else matching)[:MOST_ANSWERS])
    return dict([(str(obj.pk), _name(obj)) for obj in found][:MOST_ANSWERS])


def _may_see(request: HttpRequest, model: type[Model]) -> bool:
    registered = admin.site._registry.get(model)
    if registered is not None:
        return bool(registered.has_view_permission(request))
    return may(request, f"{model._meta.app_label}.view_{model._meta.model_name}")


def _all_of(request: HttpRequest, model: type[Model]) -> Any:
    registered = admin.site._registry.get(model)
    return registered.get_queryset(request) if registered is not None else model._default_manager.all()


def _key(model: type[Model], text: str) -> Any:
    key = model._meta.pk
    try:
        return key.clean(text, None) if text and key is not None else None
    except (ValidationError, TypeError, ValueError, OverflowError):
        return None


def _name(obj: Model) -> str:
    return str(obj)[:200] or f"{obj._meta.verbose_name} {obj.pk}"
