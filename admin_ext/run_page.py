"""The page of one run: its head, what became of it, its files; live while something moves."""

from __future__ import annotations

import re
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import quote, unquote
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_safe
from django.views.generic import TemplateView
from unfold.views import UnfoldModelAdminViewMixin

from jobs.errors import NotPermitted
from jobs.ledger.files import FileGone, open_file
from jobs.ledger.selectors import RunPage, run_page
from jobs.models import RunFile

from .access import RUN_JOB, SEE_RUNS_REFUSED, VIEW_RUN, may, person, refuse_unless
from .audit_sentences import sentences
from .keyset import link
from .object_links import object_links
from .run_facts import based_on_words, ended_words, facts, notices, outcome_words, result_of, steps
from .words import plural

_CONTENT_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+", re.ASCII)


class RunPageView(UnfoldModelAdminViewMixin, TemplateView):
    """`…/jobs/run/<task id>/change/`."""

    title = "Run"
    template_name = "admin_ext/run_page.html"
    permission_required = VIEW_RUN
    permission_denied_message = SEE_RUNS_REFUSED
    http_method_names = ["get", "head", "options"]

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        task_id = unquote(kwargs["object_id"])
        page = run_page(task_id)
        if page is None:
            messages.warning(request, f"No run has the id {task_id[:64]}. It may have been pruned, or mistyped.")
            return redirect("admin:jobs_run_changelist")
        return self.render_to_response(self.get_context_data(**run_context(request, page)))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        page: RunPage = kwargs["page"]
        runs = reverse("admin:jobs_run_changelist")
        crumbs = [("Runs", runs), (page.title, f"{runs}?job={page.run.task_name}"), (page.run.short_id, "")]
        context = super().get_context_data(**kwargs, crumbs=crumbs)
        return {**context, "title": kwargs["page_title"]}


def run_context(request: HttpRequest, page: RunPage) -> dict[str, Any]:
    """What the run's page and its live part show."""
    run, job = page.run, page.job
    like_this = ""
    has_form = job is not None and job.parameters is not None
    if job and has_form and run.arguments_exact and may(request, RUN_JOB) and may(request, job.permission):
        like_this = reverse("admin:jobs_start", args=[job.name]) + link(**{"from": run.task_id})
    last = page.attempts[-1] if page.attempts else None
    return {
        "page": page,
        "run": run,
        "ended": ended_words(run),
        "page_title": f"{outcome_words(run)}: {page.title} {run.short_id}",
        "live_url": reverse("admin:jobs_run_live", args=[quote(run.task_id)]) if run.is_active else "",
        "like_this": like_this,
        "notices": notices(page),
        "steps": steps(page),
        "result": result_of(page),
        "files_words": plural(len(page.files), "file"),
        "error_type": run.error_type or (last.error_type if last else ""),
        "error_message": run.error_message or (last.error_message if last else ""),
        "facts": facts(page),
        "based_on": based_on_words(page.based_on) if page.based_on else "",
        "objects": object_links(request, page.objects),
        "more_objects": f"{page.more_objects:,} more" if page.more_objects else "",
        "audit": sentences(page.events),
    }


@require_safe
def live_run(request: HttpRequest, object_id: str) -> HttpResponse:
    """`…/live/`: the run's page without its frame, for the poll of a run that is active."""
    if not admin.site.has_permission(request):
        if request.headers.get("HX-Request"):
            return HttpResponse(status=204, headers={"HX-Refresh": "true"})
        return redirect_to_login(request.get_full_path(), reverse("admin:login"))
    refuse_unless(request, VIEW_RUN, SEE_RUNS_REFUSED)
    page = run_page(unquote(object_id))
    if page is None:
        raise Http404("No run has this id.")
    response = render(request, "admin_ext/run/live.html", {**run_context(request, page), "fragment": True})
    response["Cache-Control"] = "no-store"
    return response


@require_safe
def download_file(request: HttpRequest, object_id: str, pk: int) -> HttpResponseBase:
    """`…/files/<pk>/`: the file as a download, never shown by the browser itself."""
    task_id = unquote(object_id)
    run_file = RunFile.objects.select_related("run").filter(pk=pk, run__task_id=task_id).first()
    if run_file is None:
        refuse_unless(request, VIEW_RUN, SEE_RUNS_REFUSED)
        raise Http404("This run has no such file.")
    try:
        stream = open_file(run_file, person(request))
    except NotPermitted as error:
        raise PermissionDenied(str(error)) from None
    except FileGone as error:
        messages.error(request, str(error))
        return redirect("admin:jobs_run_change", object_id)
    known = _CONTENT_TYPE.fullmatch(run_file.content_type)
    return FileResponse(
        stream,
        as_attachment=True,
        filename=run_file.name,
        content_type=run_file.content_type if known else "application/octet-stream",
        headers={"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox; default-src 'none'"},
    )
