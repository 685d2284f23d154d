"""The pages for what cannot be shown or taken: too large, refused, not found.

A failure of the server itself is the plain `500.html`.
"""

from __future__ import annotations

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import DisallowedHost, RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from admin_ext.parts.not_there import NotThere


def not_understood(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400: what was wrong with the request, and what to do; its own words may name what nobody should read."""
    sentence = _why_not_read(exception)
    if not hasattr(request, "user"):  # refused before anybody asked who sends it
        return HttpResponse(f"{sentence}\n", content_type="text/plain", status=400)
    return _page(request, 400, "error", "This could not be read", sentence)


def _why_not_read(exception: Exception) -> str:
    if isinstance(exception, RequestDataTooBig):
        most = (settings.DATA_UPLOAD_MAX_MEMORY_SIZE or 0) / 2**20
        return (
            f"Nothing was done: the form was larger than {most:.1f} MB. Files do not count: put long text or a long "
            "list into a file where the form takes one, or send it in parts."
        )
    if isinstance(exception, TooManyFieldsSent):
        return "Nothing was done: the form had more fields than are taken at once. Choose fewer, and send it in parts."
    if isinstance(exception, TooManyFilesSent):
        return "Nothing was done: the form had more files than are taken at once. Send it in parts."
    if isinstance(exception, DisallowedHost):
        return "Nothing was done: the host name of this address is not in ALLOWED_HOSTS."
    return "Nothing was done: the request was damaged or is not one of these pages. Go back and press again."


def refused(request: HttpRequest, exception: Exception) -> HttpResponse:
    """403: the sentence of the refusal, and who can help."""
    sentence = str(exception) or "Your roles do not include this page."
    return _page(request, 403, "lock", "You may not do this", sentence)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404: what the view said, if it was written for people."""
    said = exception.args[0] if exception.args else ""
    sentence = said if isinstance(said, str) and said.endswith(".") else "There is nothing at this address."
    exists = exception.exists if isinstance(exception, NotThere) else ()
    return _page(request, 404, "search_off", "Not found", sentence, exists)


def _page(
    request: HttpRequest, status: int, symbol: str, title: str, sentence: str, exists: tuple[tuple[str, str], ...] = ()
) -> HttpResponse:
    signed_in = admin.site.has_permission(request)
    context = {
        **admin.site.each_context(request),
        "layout": "admin/base_site.html" if signed_in else "unfold/layouts/unauthenticated.html",
        "title": title,
        "crumbs": [(title, "")],
        "symbol": symbol,
        "sentence": sentence,
        "signed_in": signed_in,
        "exists": exists,
    }
    return render(request, "admin_ext/error.html", context, status=status)
