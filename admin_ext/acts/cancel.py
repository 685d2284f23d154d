"""The page that asks before a run is cancelled: what will happen in the state that it is in now, and what can fail."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone

from admin_ext.frame.machinery import read_machinery
from admin_ext.parts.access import lacking, person
from admin_ext.parts.addresses import run_address
from admin_ext.parts.asking import AskView
from admin_ext.parts.not_taken import NOT_ALL_CHANGED
from admin_ext.parts.words import ago, plural
from jobs.catalog.registry import job_title
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

from .cancel_facts import not_ended, silent, will_happen

CANCEL, FORCE, LOST = "cancel", "force", "lost"


class CancelView(AskView):
    """`…/jobs/run/<task id>/cancel/`: GET shows what cancelling brings about, POST does it."""

    title = "Cancel"
    template_name = "admin_ext/cancel/ask.html"
    elsewhere = "admin:jobs_run_changelist"
    run: Run

    def find(self, **kwargs: Any) -> str:
        task_id = unquote(kwargs["object_id"])
        found = Run.objects.defer("arguments").filter(task_id=task_id).first()
        if found is None:
            return f"No run has the id {task_id[:64]}. It may have been pruned, or mistyped."
        self.run = found
        return ""

    def act(self) -> HttpResponse:
        act, actor, reason = self.request.POST.get("act", CANCEL), person(self.request), self.reason
        fleet = read_machinery(self.request).fleet
        try:
            if act == FORCE:
                end_by_force_now(self.run, fleet, actor=actor, reason=reason, confirmed=self.typed)
                told = f"Run {self.run.short_id} was ended by force. What it had half done stays so."
            elif act == LOST:
                declare_lost(self.run, fleet, actor=actor, reason=reason)
                told = f"Run {self.run.short_id} is declared lost. Should its worker report after all, that counts."
            else:
                children = self.request.POST.get("children") == "on"
                told = _told(self.run, cancel_run(self.run, actor=actor, reason=reason, children=children))
        except CancelRefused as error:
            self.run.refresh_from_db()
            return self.ask(refusal=str(error))
        except NotPassedOn as error:
            messages.warning(self.request, str(error))
        else:
            messages.info(self.request, told)
        return redirect(run_address(self.run.task_id))

    def not_taken(self) -> HttpResponse:
        self.run.refresh_from_db()
        return self.ask(refusal=NOT_ALL_CHANGED)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        run, fleet, now = self.run, read_machinery(self.request).fleet, timezone.now()
        below = active_descendants(run)
        title = job_title(run.task_name)
        self.title = f"Cancel {title} {run.short_id}"
        runs = run.state == State.RUNNING
        asked = run.cancel_requested_at if run.is_active else None
        no_force = why_no_force(run, fleet) if runs else ""
        not_lost = why_not_lost(run, fleet, now)
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
            "asked": f"It was asked to stop {ago(asked)}. {not_ended(run, fleet, now)}" if asked and runs else "",
            "children": plural(len(below), "run") if below else "",
            "button": "Ask it to stop" if runs else "Cancel the run",
            "needs": lacking(self.request, CANCEL_RUN),
            "force": runs,
            "no_force": no_force[:1].upper() + no_force[1:],
            "force_needs": lacking(self.request, FORCE_CANCEL, CANCEL_RUN.permission),
            "may_be_lost": runs and not not_lost,
            "not_lost": f"To declare it lost, {not_lost}" if runs and not_lost and silent(run, fleet) else "",
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
