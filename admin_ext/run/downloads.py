"""What leaves a run's page as a file: what the run produced, its log, its traceback."""

from __future__ import annotations

import re

from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_safe

from admin_ext.parts.access import SEE_RUNS_REFUSED, VIEW_RUN, person, refuse_unless, refuse_withheld
from jobs.errors import NotPermitted
from jobs.ledger.files import FileGone, open_file
from jobs.ledger.live import live_of
from jobs.ledger.preview import is_page
from jobs.ledger.readable import readable_attempt
from jobs.ledger.run_page import outcome, run_page
from jobs.models import Run, RunFile

from .log import log_text

_CONTENT_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+", re.ASCII)
_SANDBOX = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox; default-src 'none'"}


#: What a page that a run has made may do in its frame: have looks, and nothing else.
_FRAMED = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "frame-ancestors 'self'",
    "Cache-Control": "no-store",
}


@require_safe
@xframe_options_sameorigin
def frame_file(request: HttpRequest, object_id: str, pk: int) -> HttpResponseBase:
    """`…/files/<pk>/page/`: a page that the run has made, for the frame of its preview."""
    refuse_unless(request, VIEW_RUN, SEE_RUNS_REFUSED)
    run_file = RunFile.objects.filter(pk=pk).first()
    if run_file is None or not is_page(run_file):
        raise Http404("This run has no such page.")
    response = download_file(request, object_id, pk)
    if not isinstance(response, FileResponse):
        return response
    for name, value in _FRAMED.items():
        response[name] = value
    response["Content-Type"], response["Content-Disposition"] = "text/html; charset=utf-8", "inline"
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
        headers=_SANDBOX,
    )


@require_safe
def download_log(request: HttpRequest, object_id: str) -> HttpResponse:
    """`…/log.txt`: every line that is kept."""
    refuse_unless(request, VIEW_RUN, SEE_RUNS_REFUSED)
    run = Run.objects.filter(task_id=unquote(object_id)).first()
    if run is None:
        raise Http404("No run has this id.")
    refuse_withheld(request, run.task_name)
    return _text(log_text(live_of(run)), f"run-{run.short_id}-log.txt")


@require_safe
def download_traceback(request: HttpRequest, object_id: str) -> HttpResponse:
    """`…/traceback.txt`: the whole traceback of the last attempt, or of `?attempt=`."""
    refuse_unless(request, VIEW_RUN, SEE_RUNS_REFUSED)
    page = run_page(unquote(object_id))
    asked = request.GET.get("attempt", "")
    if page is None:
        raise Http404("No run has this id.")
    refuse_withheld(request, page.run.task_name)
    if asked.isascii() and asked.isdigit() and len(asked) < 10:
        attempt = page.run.attempts.filter(number=int(asked)).order_by("-pk").first()
        text = readable_attempt(attempt, withheld=False).traceback if attempt else ""
    else:
        text = outcome(page).traceback
    if not text:
        raise Http404("There is no traceback.")
    return _text(text, f"run-{page.run.short_id}-traceback.txt")


def _text(text: str, name: str) -> HttpResponse:
    response = HttpResponse(text.encode(errors="replace"), content_type="text/plain; charset=utf-8", headers=_SANDBOX)
    safe = re.sub(r"[^\w.-]", "_", name, flags=re.ASCII)
    response["Content-Disposition"] = f'attachment; filename="{safe}"'
    response["Cache-Control"] = "no-store"
    return response
