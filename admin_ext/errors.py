"""The pages for what cannot be shown: refused, not found. A failure of the server itself is the plain `500.html`."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def refused(request: HttpRequest, exception: Exception) -> HttpResponse:
    """403: the sentence of the refusal, and who can help."""
    sentence = str(exception) or "Your roles do not include this page."
    return _page(request, 403, "lock", "You may not do this", sentence)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404: what the view said, if it was written for people."""
    said = exception.args[0] if exception.args else ""
    sentence = said if isinstance(said, str) and said.endswith(".") else "There is nothing at this address."
    return _page(request, 404, "search_off", "Not found", sentence)


def _page(request: HttpRequest, status: int, symbol: str, title: str, sentence: str) -> HttpResponse:
    signed_in = admin.site.has_permission(request)
    context = {
        **admin.site.each_context(request),
        "layout": "admin/base_site.html" if signed_in else "unfold/layouts/unauthenticated.html",
        "title": title,
        "crumbs": [(title, "")],
        "symbol": symbol,
        "sentence": sentence,
        "signed_in": signed_in,
    }
    return render(request, "admin_ext/error.html", context, status=status)
