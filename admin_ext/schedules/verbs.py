"""What can be done with a schedule from its list and its page: switch, run now, delete. All by POST."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.contrib.admin.utils import quote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from admin_ext.frame.machinery import read_machinery
from admin_ext.parts.access import SEE_SCHEDULES_REFUSED, VIEW_RUN, VIEW_SCHEDULE, may, person, refuse_unless
from admin_ext.parts.asking import NOT_WHOLE, AskView, Consequence
from admin_ext.parts.not_taken import NOT_CHANGED, NOT_STARTED, taken
from admin_ext.parts.words import ago
from admin_ext.start.guard import guard_of, why_not_confirmed
from admin_ext.start.page import button
from admin_ext.start.will_happen import consequences
from jobs.catalog.registry import Danger, Job
from jobs.errors import InvalidArguments, JobsError, NotPermitted
from jobs.ledger.lists import job_history
from jobs.ledger.verbs import DELETE_SCHEDULE
from jobs.schedules.preview import preview
from jobs.schedules.problems import job_of, problem_of
from jobs.schedules.stored import Stored, read_one
from jobs.schedules.verbs import delete_schedule, run_now, switch_off, switch_on

from .access import readable_problem
from .form import CHANGE, LIST
from .shown import shown


@require_POST
def switch(request: HttpRequest, pk: int) -> HttpResponse:
    """`…/switch/`: on or off, as the button said; then back to where the button stood."""
    refuse_unless(request, VIEW_SCHEDULE, SEE_SCHEDULES_REFUSED)
    back = request.POST.get("back", "")
    safe = url_has_allowed_host_and_scheme(back, allowed_hosts=None) and back.startswith("/")
    where = back if safe else reverse(LIST)
    return taken(lambda: _switch(request, pk, where), lambda: _not_switched(request, where))


def _not_switched(request: HttpRequest, back: str) -> HttpResponse:
    messages.error(request, NOT_CHANGED)
    return redirect(back)


def _switch(request: HttpRequest, pk: int, back: str) -> HttpResponse:
    actor, on = person(request), request.POST.get("to") == "on"
    try:
        stored = switch_on(pk, actor=actor) if on else switch_off(pk, actor=actor)
    except NotPermitted as error:
        raise PermissionDenied(str(error)) from None
    except JobsError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, _switched(stored, on))
    return redirect(back)


def _switched(stored: Stored, on: bool) -> str:
    if not on:
        return f"{stored.row.name} is off. Runs that it has started go on."
    moments = preview(stored.plan, timezone.now(), shown=1).moments
    when = f"It fires next on {moments[0].day} at {moments[0].clock}." if moments else ""
    return f"{stored.row.name} is on. {when}".strip()


class AskSchedule(AskView):
    """A page that shows what an act on one schedule brings about, and asks."""

    title = "Schedule"
    template_name = "admin_ext/schedules/ask.html"
    elsewhere = LIST
    stored: Stored

    def look(self) -> None:
        refuse_unless(self.request, VIEW_SCHEDULE, SEE_SCHEDULES_REFUSED)

    def find(self, **kwargs: Any) -> str:
        stored = read_one(kwargs["pk"])
        if stored is None:
            return "That schedule does not exist any more. Its runs are still in the history."
        self.stored = stored
        return ""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        row = self.stored.row
        context: dict[str, Any] = {
            "crumbs": [("Schedules", reverse(LIST)), (row.name, reverse(CHANGE, args=[row.pk])), (self.title, "")],
            "stored": self.stored,
            "about": shown(self.request, self.stored, timezone.now()),
            "back": reverse(CHANGE, args=[row.pk]),
        }
        return super().get_context_data(**context | kwargs)


class DeleteSchedule(AskSchedule):
    """`…/delete/`: GET shows what stays and what goes, POST deletes."""

    title = "Delete"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        refuse_unless(request, DELETE_SCHEDULE.permission, DELETE_SCHEDULE.sentence)
        return self.ask()

    def act(self) -> HttpResponse:
        try:
            name = delete_schedule(self.stored.row.pk, actor=person(self.request), reason=self.reason)
        except NotPermitted:
            raise
        except JobsError as error:
            messages.error(self.request, str(error))
        else:
            messages.success(self.request, f"The schedule {name} is deleted. Its runs stay in the history.")
        return redirect(LIST)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        facts = [
            Consequence("event_busy", "It fires no more. A run that it has started goes on.", "warn"),
            Consequence("history", "Its runs, their files and the audit trail stay."),
            Consequence(
                "delete_forever", "The schedule itself cannot be brought back. To stop it for a while, switch it off."
            ),
        ]
        return super().get_context_data(
            **{"facts": facts, "button": f"Delete {self.stored.row.name}", "icon_name": "delete", "red": True} | kwargs
        )


class RunSchedule(AskSchedule):
    """`…/run/`: GET shows what a run now brings about, POST starts it as the run form does."""

    title = "Run now"
    no_writes = NOT_STARTED

    def act(self) -> HttpResponse:
        job = job_of(self.stored)
        if not self.nonce:
            return self.ask(refusal=NOT_WHOLE)
        if job is not None and may(self.request, job.permission) and (error := self._guard(job)):
            return self.again(f"Nothing was started. {error}")
        try:
            started = run_now(
                self.stored.row.pk,
                actor=person(self.request),
                nonce=f"schedule-form:{self.nonce}",
                reason=self.reason,
            )
        except NotPermitted:
            raise
        except InvalidArguments as error:
            return self.again(" ".join(["Nothing was started.", *error.fields.values()]))
        except JobsError as error:
            return self.again(str(error))
        run = started.run
        if started.created:
            messages.info(self.request, f"{self.stored.row.name} runs now, by hand, as run {run.short_id}.")
        else:
            messages.info(self.request, f"Already started {ago(run.accepted_at)} by this form: one click, one run.")
        if not may(self.request, VIEW_RUN):
            return redirect(CHANGE, self.stored.row.pk)
        return redirect("admin:jobs_run_change", quote(run.task_id))

    def not_taken(self) -> HttpResponse:
        return self.again(self.no_writes)

    def again(self, refusal: str) -> HttpResponse:
        """The same form once more: pressed again, it starts nothing twice."""
        return self.ask(refusal=refusal, nonce=self.nonce)

    def _guard(self, job: Job) -> str:
        """What stands before a dangerous run, also when a schedule's values are used; "" when nothing does."""
        if job.danger is not Danger.DANGER:
            return ""
        values = None
        if job.parameters is not None:
            try:
                values = job.parameters.bind(self.stored.args or [], self.stored.kwargs or {})
            except InvalidArguments:
                values = None
        guard = guard_of(job, values)
        if guard.closed:
            return f"{guard.why} Open the form of {job.title} for the dry run."
        return why_not_confirmed(job, self.typed, None)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        job = job_of(self.stored)
        facts = [Consequence("schedule", "Its own moments stay as they are: this run comes besides them.")]
        if job is not None:
            facts += consequences(job, job_history(job.name), read_machinery(self.request))
        danger = job is not None and job.danger is Danger.DANGER
        context = {
            "facts": facts,
            "job": job,
            "problem": readable_problem(self.request, self.stored.row.task, problem_of(self.stored, timezone.now())),
            "button": button(job.danger, has_dry_run=False) if job else "Run",
            "icon_name": "play_arrow",
            "red": danger,
            "asks_to_run": True,
            "asks_to_confirm": danger,
            "nonce": str(uuid.uuid4()),
            "needs": shown(self.request, self.stored, timezone.now()).run_needs,
        }
        return super().get_context_data(**context | kwargs)
