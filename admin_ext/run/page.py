"""The page of one run: its head, its tabs, each read only when it is open; live while something moves."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from admin_ext.frame.sidebar import BADGE_CAP, remember_failures, remember_running
from admin_ext.parts.access import (
    SEE_RUNS_REFUSED,
    VIEW_RUN,
    ConsoleView,
    person,
    refuse_unless,
    refuse_withheld,
    withheld_from,
)
from admin_ext.parts.live import stranger
from jobs.errors import NotPermitted
from jobs.ledger.files import FileGone
from jobs.ledger.live import live_of
from jobs.ledger.preview import Preview, preview
from jobs.ledger.run_page import RunPage, run_page
from jobs.models import Run, RunFile
from jobs.states import FINISHED, State

from .contents import run_context
from .log import Shown, has_news, log_of
from .progress import progress_card
from .tabs import Tab


class RunPageView(ConsoleView):
    """`…/jobs/run/<task id>/change/`, with `?tab=`."""

    title = "Run"
    template_name = "admin_ext/run_page.html"
    permission_required = VIEW_RUN
    permission_denied_message = SEE_RUNS_REFUSED
    http_method_names = ["get", "head", "options"]

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        task_id = unquote(kwargs["object_id"])
        tab = Tab.of(request.GET.get("tab", ""))
        withheld = withheld_from(request)
        page = run_page(task_id, running_cap=BADGE_CAP, ended=tab is Tab.OVERVIEW, withheld=withheld)
        if page is None:
            messages.warning(request, f"No run has the id {task_id[:64]}. It may have been pruned, or mistyped.")
            return redirect("admin:jobs_run_changelist")
        remember_running(request, page.running)
        remember_failures(request, page.needing_action)
        context = run_context(request, page)
        if (key := request.GET.get("preview", "")) and context["tab"] is Tab.OVERVIEW:
            context["preview"] = self._preview(page, key)
        return self.render_to_response(self.get_context_data(**context))

    def _preview(self, page: RunPage, key: str) -> Preview | None:
        """The beginning of the file that the address names; a file that is gone says so."""
        files = page.files
        if page.run.withheld and key.isascii() and key.isdigit() and len(key) < 19:
            files = tuple(RunFile.objects.filter(run_id=page.run.pk, pk=key))  # so that the refusal is recorded
        file = next((file for file in files if str(file.pk) == key), None)
        if file is None:
            return None
        file.run = page.run
        try:
            return preview(file, person(self.request))
        except NotPermitted as error:
            raise PermissionDenied(str(error)) from None
        except FileGone as error:
            return Preview(file, why_not=str(error))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        page: RunPage = kwargs["page"]
        runs = reverse("admin:jobs_run_changelist")
        crumbs = [("Runs", runs), (page.title, f"{runs}?job={page.run.task_name}"), (page.run.short_id, "")]
        context = super().get_context_data(**kwargs, crumbs=crumbs)
        return {**context, "title": kwargs["page_title"]}


@require_safe
def live_run(request: HttpRequest, object_id: str) -> HttpResponse:
    """`…/live/`: the run's page without its frame, for the poll of a run that is active.

    `?state=` is the state that the page shows: the log has a poll of its own and is sent only when that has changed.
    """
    if (answer := stranger(request)) is not None:
        return answer
    refuse_unless(request, VIEW_RUN, SEE_RUNS_REFUSED)
    page = run_page(unquote(object_id), withheld=withheld_from(request))
    if page is None:
        raise Http404("No run has this id.")
    context = {**run_context(request, page), "fragment": True}
    response = render(request, "admin_ext/run/live.html", context)
    response["Cache-Control"] = "no-store"
    return response


@require_safe
def live_log(request: HttpRequest, object_id: str) -> HttpResponse:
    """`…/log/?after=`: the lines that a page does not have yet, and the progress; 204 while there is nothing new."""
    if (answer := stranger(request)) is not None:
        return answer
    refuse_unless(request, VIEW_RUN, SEE_RUNS_REFUSED)
    run = Run.objects.defer("arguments").filter(task_id=unquote(object_id)).first()
    if run is None:
        raise Http404("No run has this id.")
    refuse_withheld(request, run.task_name)
    shown = Shown.of(request.GET)
    live = live_of(run)
    log = log_of(run, live, shown)
    if log.following and not has_news(live, shown):
        response = HttpResponse(status=204)
    else:
        progress = progress_card(run, live.progress) if shown.last else None
        context = {"run": run, "log": log, "progress": progress, "fragment": True}
        response = render(request, "admin_ext/run/log_more.html", context)
    if State(run.state) in FINISHED:
        # This poll is the quicker one: the page need not wait for its own to show the end.
        response["HX-Trigger"] = "oc-ended"
    response["Cache-Control"] = "no-store"
    return response
