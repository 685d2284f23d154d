"""What a run is about, as links to the admin's own pages where the viewer may open them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from django.apps import apps
from django.contrib import admin
from django.contrib.admin.utils import quote
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

from jobs.models import RunObject


@dataclass(frozen=True, slots=True)
class ObjectLink:
    """One object: its label as of the run's start, what it is, and its page; `href` is "" where there is none."""

    label: str
    noun: str
    href: str


def object_links(request: HttpRequest, objects: Iterable[RunObject]) -> tuple[ObjectLink, ...]:
    """The objects in their order. Whether one still exists is not asked for: its page tells. No query."""

    @cache
    def page_of(model: str) -> tuple[str, str]:
        """What the model is called, and the name of its change page; "" where the viewer may open none."""
        try:
            known = apps.get_model(model)
        except (LookupError, ValueError):
            return model, ""
        noun = str(known._meta.verbose_name)
        if not admin.site.is_registered(known):
            return noun, ""
        may_open = admin.site.get_model_admin(known).has_view_or_change_permission(request)
        return noun, f"admin:{known._meta.app_label}_{known._meta.model_name}_change" if may_open else ""

    links = []
    for one in objects:
        noun, name = page_of(one.model)
        links.append(ObjectLink(one.label or one.key, noun, _address(name, one.key) if name else ""))
    return tuple(links)


def _address(name: str, key: str) -> str:
    try:
        return reverse(name, args=[quote(key)])
    except NoReverseMatch:  # a ModelAdmin may leave its change page out
        return ""
