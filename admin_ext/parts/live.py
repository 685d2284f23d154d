"""The live part of a page: what a poll swaps in, and what a poll is told when nobody is signed in any more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from .access import SEE_RUNS_REFUSED, VIEW_RUN, refuse_unless


def stranger(request: HttpRequest) -> HttpResponse | None:
    """What a poll is told when nobody is signed in any more: a sign-in page must not be swapped into the page."""
    if admin.site.has_permission(request):
        return None
    if request.headers.get("HX-Request"):
        return HttpResponse(status=204, headers={"HX-Refresh": "true"})
    return redirect_to_login(request.get_full_path(), reverse("admin:login"))


def live_part(request: HttpRequest, whole: str, template: str, read: Callable[[HttpRequest], Any]) -> HttpResponse:
    """The page without its frame, for whoever may see runs; without htmx, the way to the whole page.

    Args:
        whole: the name of the whole page's address.
        read: makes the template's `page`.

    Raises:
        PermissionDenied: the person may not see runs.
    """
    if (answer := stranger(request)) is not None:
        return answer
    refuse_unless(request, VIEW_RUN, SEE_RUNS_REFUSED)
    if not request.headers.get("HX-Request"):
        return redirect(f"{reverse(whole)}?{request.GET.urlencode()}")
    response = render(request, template, {"page": read(request)})
    response["Cache-Control"] = "no-store"
    return response
