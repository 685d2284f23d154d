"""The page that asks before a run is cancelled: what will happen in the state that it is in now, and what can fail."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.generic import TemplateView
from unfold.views import UnfoldModelAdminViewMixin

from admin_ext.frame.machinery import read_machinery
from admin_ext.parts.access import SEE_RUNS_REFUSED, VIEW_RUN, may, person, refuse_unless
from admin_ext.parts.addresses import run_address
from admin_ext.parts.words import ago, plural
from admin_ext.start.sheet import CONFIRM, LONGEST_REASON
from jobs.catalog.registry import job_title
from jobs.errors import NotPermitted
from jobs.ledger.cancel import (
    CancelRefused,
    How,
    NotPassedOn,
    Outcome,
    active_descendants,
    cancel_run,
    declare_lost,
    end_by_force_now,
    why_no_force,
    why_not_lost,
)
from jobs.ledger.verbs import CANCEL_RUN, FORCE_CANCEL
from jobs.models import Run
from jobs.states import State

from .cancel_facts import will_happen

CANCEL, FORCE, LOST = "cancel", "force", "lost"


class CancelView(UnfoldModelAdminViewMixin, TemplateView):
    """`…/jobs/run/<task id>/cancel/`: GET shows what cancelling brings about, POST does it."""

    title = "Cancel"
    template_name = "admin_ext/cancel/ask.html"
    http_method_names = ["get", "post", "head", "options"]
    run: Run

    def has_permission(self) -> bool:
        return True  # who may not cancel is told so beside the button; a refused POST is recorded by the verb

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        refuse_unless(request, VIEW_RUN, SEE_RUNS_REFUSED)
        task_id = unquote(kwargs["object_id"])
        found = Run.objects.defer("arguments").filter(task_id=task_id).first()
        if found is None:
            messages.warning(request, f"No run has the id {task_id[:64]}. It may have been pruned, or mistyped.")
            return redirect("admin:jobs_run_changelist")
        self.run = found
        return super().dispatch(request, *args, **kwargs)

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self.render_to_response(self.get_context_data())

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        act = request.POST.get("act", CANCEL)
        fleet, actor = read_machinery(request).fleet, person(request)
        try:
            if act == FORCE:
                typed = request.POST.get(CONFIRM, "").strip()[:LONGEST_REASON]
                end_by_force_now(self.run, fleet, actor=actor, reason=self.reason, confirmed=typed)
                told = f"Run {self.run.short_id} was ended by force. What it had half done stays so."
            elif act == LOST:
                declare_lost(self.run, fleet, actor=actor, reason=self.reason)
                told = f"Run {self.run.short_id} is declared lost. Should its worker report after all, that counts."
            else:
                children = request.POST.get("children") == "on"
                done = cancel_run(self.run, actor=actor, reason=self.reason, children=children)
                told = _told(self.run, done)
        except NotPermitted as error:
            raise PermissionDenied(str(error)) from None
        except CancelRefused as error:
            self.run.refresh_from_db()
            return self.render_to_response(self.get_context_data(refusal=str(error)))
        except NotPassedOn as error:
            messages.warning(request, str(error))
        else:
            messages.info(request, told)
        return redirect(run_address(self.run.task_id))

    @property
    def reason(self) -> str:
        return self.request.POST.get("reason", "").replace("\x00", "").strip()[:LONGEST_REASON]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        run, fleet, now = self.run, read_machinery(self.request).fleet, timezone.now()
        below = active_descendants(run)
        title = job_title(run.task_name)
        runs = run.state == State.RUNNING
        asked = run.cancel_requested_at if run.is_active else None
        no_force = why_no_force(run, fleet) if runs else ""
        context: dict[str, Any] = {
            "crumbs": [
                ("Runs", reverse("admin:jobs_run_changelist")),
                (f"{title} {run.short_id}", run_address(run.task_id)),
                ("Cancel", ""),
            ],
            "run": run,
            "job_title": title,
            "facts": will_happen(run, fleet, now),
            "over": "" if run.is_active else f"Nothing can be cancelled: it has ended {ago(run.finished_at)}.",
            "asked": f"It was asked to stop {ago(asked)} and has not ended yet." if asked and runs else "",
            "children": plural(len(below), "run") if below else "",
            "button": "Ask it to stop" if runs else "Cancel the run",
            "needs": "" if may(self.request, CANCEL_RUN.permission) else CANCEL_RUN.sentence,
            "force": runs,
            "no_force": no_force[:1].upper() + no_force[1:],
            "force_needs": "" if may(self.request, FORCE_CANCEL.permission) else FORCE_CANCEL.sentence,
            "may_be_lost": runs and not why_not_lost(run, fleet, now),
            "confirm_name": CONFIRM,
            "reason": self.reason,
            "longest_reason": LONGEST_REASON,
            "back": run_address(run.task_id),
        }
        return super().get_context_data(**context | kwargs)


_DONE = {
    How.REMOVED: "is cancelled: it was removed before a worker could see it.",
    How.SKIPPED: "is cancelled: a worker that reaches its message drops it.",
    How.ASKED: "was asked to stop. This page shows what becomes of it.",
    How.TOLD: "is to be dropped by the workers that live now.",
}


def _told(run: Run, done: Outcome) -> str:
    words = f"Run {run.short_id} {_DONE[done.how]}"
    if done.children:
        words += (
            f" {plural(done.children, 'run')} below it {'was' if done.children == 1 else 'were'} cancelled with it."
        )
    if done.untold:
        words += f" The workers could not be told of {plural(done.untold, 'run')}: Redis does not answer. Try again."
    return words
