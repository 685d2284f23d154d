"""Addresses of the console's own pages, each looked up once: some stand fifty times on a page."""

from __future__ import annotations

from functools import cache

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db.models import Model
from django.urls import NoReverseMatch, get_script_prefix, get_urlconf, reverse


def place(name: str, *args: str) -> str:
    """The address of the page `name`, for pages of which there are few: it is kept as long as the process lives."""
    return _found(name, args, get_urlconf(), get_script_prefix())


def users_page() -> str:
    """The address of the list of users, whatever their model; "" where the project has none in the admin."""
    return _list_of(get_user_model())


def roles_page() -> str:
    """The address of the list of roles; "" where the project has none in the admin."""
    return _list_of(Group)


def _list_of(model: type[Model]) -> str:
    options = model._meta
    try:
        return place(f"admin:{options.app_label}_{options.model_name}_changelist")
    except NoReverseMatch:
        return ""


@cache
def _found(name: str, args: tuple[str, ...], urlconf: str | None, prefix: str) -> str:
    """Once for each place that Django serves."""
    return reverse(name, args=args)
