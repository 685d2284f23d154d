"""A form that arrives after its sender was signed out: the sign-in page says so, and that nothing came of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import reverse

SIGNED_OUT = "You were signed out. Nothing was started or changed."
View = Callable[..., HttpResponseBase]


def wrapper_of(site: AdminSite) -> Callable[[View], View]:
    """What `site.admin_view` does to a view, with a word on the sign-in page for a form that ends there."""

    def wrap(view: View) -> View:
        asked = site.admin_view(view)

        @wraps(asked)
        def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            response: HttpResponseBase = asked(request, *args, **kwargs)
            if request.method != "POST" or request.user.is_authenticated or not _is_sign_in(site, response):
                return response
            if "HX-Request" in request.headers:
                return HttpResponse(status=204)  # a sign-in page must not be swapped into a form
            messages.warning(request, SIGNED_OUT)
            return response

        return inner

    return wrap


def _is_sign_in(site: AdminSite, response: HttpResponseBase) -> bool:
    login = reverse("admin:login", current_app=site.name)
    return response.status_code == 302 and response.headers.get("Location", "").partition("?")[0] == login
