"""What stands beside the runs list: the question whether there are new runs, and the export."""

from __future__ import annotations

from django.contrib import admin, messages
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from admin_ext.parts.access import SEE_RUNS_REFUSED, VIEW_RUN, may, person, refuse_unless, viewer_key, withheld_from
from admin_ext.parts.keyset import NotAPosition, RunPosition
from admin_ext.parts.words import capped, plural
from jobs.errors import NotPermitted
from jobs.ledger.export import export_runs
from jobs.ledger.run_slices import newer_count

from .asked import Asked
from .choices import named

#: Counting new runs stops here: "100+".
NEW_CAP = 100


def may_open_schedules(request: HttpRequest) -> bool:
    """Whether the signed-in user may open the page of a schedule."""
    return may(request, "django_celery_beat.view_periodictask")


@require_safe
def new_runs(request: HttpRequest) -> HttpResponse:
    """`…/run/new/?<filters>&after=<place>`: a link that loads what is newer; 204 when nothing is."""
    if not admin.site.has_permission(request):
        if request.headers.get("HX-Request"):
            return HttpResponse(status=204, headers={"HX-Refresh": "true"})
        return redirect_to_login(request.get_full_path(), reverse("admin:login"))
    refuse_unless(request, VIEW_RUN, SEE_RUNS_REFUSED)
    asked = Asked.of(request.GET)
    try:
        place = RunPosition.of(request.GET).after
    except NotAPosition:
        place = None
    count = (
        0
        if asked.problems or place is None
        else newer_count(asked.query(viewer_key(request), withheld_from(request)), place, cap=NEW_CAP)
    )
    if not count:
        return HttpResponse(status=204, headers={"Cache-Control": "no-store"})
    words = plural(count, "new run") if count <= NEW_CAP else f"{capped(count, NEW_CAP)} new runs"
    href = reverse("admin:jobs_run_changelist") + asked.link()
    response = render(request, "admin_ext/runs/new.html", {"words": words, "href": href})
    response["Cache-Control"] = "no-store"
    return response


@require_POST
def export_view(request: HttpRequest) -> HttpResponseBase:
    """`…/run/export/?<filters>`: the view as CSV, sent while it is read."""
    asked = Asked.of(request.GET)
    if asked.problems:
        messages.error(request, f"Nothing was exported. {' '.join(asked.problems.values())}")
        return redirect(reverse("admin:jobs_run_changelist") + asked.link())
    filters = asked.words_of(named((), read=False))
    try:
        lines = export_runs(
            asked.query(viewer_key(request), withheld_from(request)), actor=person(request), filters=filters
        )
    except NotPermitted as error:
        raise PermissionDenied(str(error)) from None
    name = f"runs-{timezone.localtime():%Y%m%d-%H%M}.csv"
    return StreamingHttpResponse(
        lines,
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"},
    )
