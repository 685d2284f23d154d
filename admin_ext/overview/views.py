"""The addresses of the Overview besides the index: its live part, and putting a trouble aside."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from admin_ext.parts.live import stranger
from admin_ext.parts.words import clock
from jobs.ledger.snoozes import snooze, wake

from .page import SNOOZES, overview_page

LONGEST_KEY = 255


@require_safe
def live_overview(request: HttpRequest) -> HttpResponse:
    """`…/overview/live/`: the Overview without its frame; without htmx, the page itself."""
    if (answer := stranger(request)) is not None:
        return answer
    if not request.headers.get("HX-Request"):
        return redirect(f"{reverse('admin:index')}?{request.GET.urlencode()}")
    response = render(request, "admin_ext/overview/live.html", {"page": overview_page(request), "snoozes": SNOOZES})
    response["Cache-Control"] = "no-store"
    return response


@require_POST
def snooze_trouble(request: HttpRequest) -> HttpResponse:
    """`…/overview/snooze/`: put the trouble `key` aside `for` a time, or show it again; for this person alone."""
    key, span = request.POST.get("key", "").replace("\x00", ""), request.POST.get("for", "")
    if not 0 < len(key) <= LONGEST_KEY or span not in {"wake", *dict(SNOOZES)}:
        return HttpResponseBadRequest("Nothing was snoozed: the form is not complete.")
    if span == "wake":
        wake(request.user, key)
    else:
        until = _until(span, timezone.now())
        snooze(request.user, key, until)
        messages.success(request, f"Snoozed until {clock(until)}, for you alone.")
    return redirect("admin:index")


def _until(span: str, now: datetime) -> datetime:
    """An hour or a week from now, or the next morning at eight in the console's zone."""
    if span == "1h":
        return now + timedelta(hours=1)
    if span == "1w":
        return now + timedelta(weeks=1)
    morning = (timezone.localtime(now) + timedelta(days=1)).replace(hour=8, minute=0, second=0, microsecond=0)
    return morning
