"""System checks of the pages: whether any address leads to them."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.core.checks import CheckMessage, Warning, register
from django.urls import NoReverseMatch, reverse

from jobs.models import Run


@register("admin_ext")
def check_mounted(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """The admin's default site has our pages, and an address."""
    if not admin.site.is_registered(Run):
        return [
            Warning(
                "The console's pages are not registered: the admin does not look for what applications register.",
                hint="Name django.contrib.admin, or an AdminConfig of your own, in INSTALLED_APPS.",
                id="admin_ext.W002",
            )
        ]
    urls = getattr(settings, "ROOT_URLCONF", "")
    if not urls:
        return []  # the settings of a worker
    try:
        reverse("admin:jobs_run_changelist")
    except NoReverseMatch:
        return [
            Warning(
                "No address leads to the console: its pages are at admin.site, which the URLs do not name.",
                hint=f"Add path('admin/', admin.site.urls) to {urls}.",
                id="admin_ext.W003",
            )
        ]
    return []
