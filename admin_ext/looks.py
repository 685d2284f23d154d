"""Unfold as an application, which dresses the admin's default site, whatever class the project has chosen for it."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib.admin import AdminSite
from django.contrib.admin.sites import all_sites
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.module_loading import import_string
from unfold.apps import BasicAppConfig
from unfold.sites import UnfoldAdminSite

#: Set when Django starts; the admin makes its default site from it.
ConsoleSite: type[AdminSite] = UnfoldAdminSite


class LooksConfig(BasicAppConfig):
    """In place of Unfold's own, which throws away the `default_site` of the project's `AdminConfig`."""

    def ready(self) -> None:
        """Nothing is registered yet: this stands before the admin."""
        global ConsoleSite
        admin: Any = apps.get_app_config("admin")
        ConsoleSite = dressed(import_string(admin.default_site))
        admin.default_site = f"{__name__}.ConsoleSite"


def dressed(own: type[AdminSite]) -> type[AdminSite]:
    """A class that does what `own` does, over Unfold's."""
    unfold: type[AdminSite] = UnfoldAdminSite
    if issubclass(own, unfold):
        return own
    return unfold if issubclass(unfold, own) else type(own.__name__, (own, unfold), {})


class _Beside(UnfoldAdminSite):
    """What another site of the project takes of Unfold: its looks, and no title, sidebar or Overview of the console."""

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        own = AdminSite.each_context(self, request)
        titles = {name: own[name] for name in ("site_title", "site_header", "site_url")}
        return {**super().each_context(request), **titles}

    def get_sidebar_list(self, request: HttpRequest) -> list[dict[str, Any]]:
        return []

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        return AdminSite.index(self, request, extra_context)


def dress_others() -> None:
    """Dress the sites beside the default one: Unfold's templates draw their pages, and ask more of a site."""
    for site in [site for site in all_sites if not isinstance(site, UnfoldAdminSite)]:
        own = type(site)
        site.__class__ = _Beside if own is AdminSite else type(own.__name__, (own, _Beside), {})
        site.login_form = site.login_form or import_string("unfold.forms.AuthenticationForm")
        site.index_template = site.index_template or "admin/app_index.html"
