"""The form of a schedule: a job, its parameters, a time, and the next moments as you type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from admin_ext.form.parameters import focus_first_wrong
from admin_ext.parts.access import (
    SEE_SCHEDULES_REFUSED,
    VIEW_RUN,
    VIEW_SCHEDULE,
    ConsoleView,
    may,
    person,
    withheld_from,
)
from admin_ext.parts.access import refuse_unless as refuse_page_unless
from admin_ext.parts.asking import CONFIRM, LONGEST_REASON
from admin_ext.parts.chips import SCHEDULE
from admin_ext.parts.not_taken import NOT_CHANGED, taken
from admin_ext.parts.rows import rows
from jobs.catalog.registry import RUN_ANY_TASK, Danger, Job, derived_jobs, find_job, job_title, listed_jobs
from jobs.errors import InvalidArguments, JobsError, NotPermitted, UnknownJob
from jobs.ledger.audit import Subject
from jobs.ledger.run_query import RunQuery
from jobs.ledger.run_slices import run_slice
from jobs.ledger.verbs import CHANGE_SCHEDULE, CREATE_SCHEDULE, START_RUN, require
from jobs.schedules.preview import preview
from jobs.schedules.problems import job_of, problem_of
from jobs.schedules.spec import InvalidSchedule
from jobs.schedules.stored import Stored, read_one
from jobs.schedules.verbs import change_schedule, create_schedule, refuse_unless, version_of

from .access import Lacking, readable_problem
from .fields import WhenForm
from .listing import schedule_state
from .sheet import ScheduleSheet, fresh_sheet, sent_sheet, why_not_schedulable
from .shown import Shown, shown

CHECK = "check"
RUNS_SHOWN = 5
LIST = "admin:django_celery_beat_periodictask_changelist"
CHANGE = "admin:django_celery_beat_periodictask_change"


@dataclass(frozen=True, slots=True)
class JobChoice:
    """One job of the list to choose from; `why_not` is why it cannot be chosen by this person."""

    name: str
    title: str
    group: str
    why_not: str


def job_choices(request: HttpRequest) -> list[JobChoice]:
    """Every job that can be started here; those that this person may not schedule say why."""
    lacking = Lacking(request)
    jobs = [*listed_jobs(), *(derived_jobs() if may(request, RUN_ANY_TASK) else [])]
    return [
        JobChoice(job.name, job.title, job.group, lacking.why_not(START_RUN, job) or why_not_schedulable(job))
        for job in jobs
    ]


class ScheduleFormView(ConsoleView):
    """What adding and changing share."""

    template_name = "admin_ext/schedules/form.html"
    http_method_names = ["get", "post", "head", "options"]
    stored: Stored | None = None

    def has_permission(self) -> bool:
        return True  # each request asks for the permission of what it does; a refused POST is recorded

    @property
    def title(self) -> str:
        """Tells the tabs of a browser apart."""
        if self.stored:
            return f"Schedule {self.stored.row.name}"
        job = self.request.GET.get("job", "")
        return f"New schedule of {job_title(job)}" if job else "New schedule"

    def page(self, sheet: ScheduleSheet | None, refusal: str = "", **more: Any) -> HttpResponse:
        """The form, fresh or with what was typed."""
        if refusal and sheet is not None:
            focus_first_wrong(sheet.details, sheet.parameters, sheet.delivery, sheet.when)
        return self.render_to_response(self.get_context_data(sheet=sheet, refusal=refusal, **more))

    def asked_job(self, name: str) -> Job:
        """The job that the address names; raises Http404."""
        try:
            return find_job(name)
        except UnknownJob as error:
            raise Http404(str(error)) from None

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        sheet: ScheduleSheet | None = kwargs.get("sheet")
        job = sheet.job if sheet else None
        here = self.stored.row.name if self.stored else "New schedule"
        choices = job_choices(self.request)
        context: dict[str, Any] = {
            "crumbs": [("Schedules", reverse(LIST)), (here, "")],
            "job": job,
            "stored": self.stored,
            "choices": choices,
            "other_job": job is not None and job.name not in {choice.name for choice in choices},
            "why_not_job": why_not_schedulable(job) if job else "",
            "confirm_name": CONFIRM,
            "longest_reason": LONGEST_REASON,
            "seen": version_of(self.stored.row) if self.stored else "",
            "danger": bool(job and job.danger is Danger.DANGER),
        }
        return super().get_context_data(**context | kwargs)

    def read_and_save(self, job: Job) -> HttpResponse:
        """Check what was sent and keep it; every refusal comes back beside its field."""
        sheet = sent_sheet(self.request, job, self.stored)
        fits = sheet.read()
        if self.request.POST.get("oc.act") == CHECK:
            return self.page(sheet)
        if not fits or not sheet.is_confirmed():
            return self.page(sheet, sheet.summary())
        try:
            return taken(lambda: self.save(sheet), lambda: self.page(sheet, NOT_CHANGED))
        except InvalidSchedule as error:
            sheet.refuse(error.fields)
        except InvalidArguments as error:
            if sheet.parameters is not None:
                sheet.parameters.refuse(error.fields)
        except NotPermitted as error:
            raise PermissionDenied(str(error)) from None
        except JobsError as error:
            return self.page(sheet, str(error))
        return self.page(sheet, sheet.summary())

    def save(self, sheet: ScheduleSheet) -> HttpResponse:
        raise NotImplementedError

    def saved(self, name: str, pk: int, sheet: ScheduleSheet) -> HttpResponse:
        """To the schedule's page, with what happens next."""
        stored = read_one(pk)
        moments = preview(stored.plan, timezone.now(), shown=1).moments if stored and stored.row.enabled else ()
        then = (
            f"It fires next on {moments[0].day} at {moments[0].clock}." if moments else "It is off: nothing runs yet."
        )
        messages.success(self.request, f"{name} is saved. {then}")
        return redirect(CHANGE, pk)


class AddSchedule(ScheduleFormView):
    """`…/periodictask/add/?job=<name>`; without a job it asks for one."""

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        refuse_page_unless(request, CREATE_SCHEDULE.permission, CREATE_SCHEDULE.sentence)
        if not (name := request.GET.get("job", "")):
            return self.page(None)
        job = self.asked_job(name)
        if needs := Lacking(request).why_not(START_RUN, job):
            raise PermissionDenied(f"You may not schedule {job.title}. {needs}.")
        return self.page(fresh_sheet(request, job, None))

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        job = self.asked_job(request.GET.get("job", ""))
        try:
            subject = Subject("schedule", "", request.POST.get("oc.name", "")[:200] or job.title)
            require(CREATE_SCHEDULE, person(request), subject, START_RUN.permission, job.permission)
        except NotPermitted as error:
            raise PermissionDenied(str(error)) from None
        if why := why_not_schedulable(job):
            return self.page(fresh_sheet(request, job, None), f"Nothing was saved. {why}")
        return self.read_and_save(job)

    def save(self, sheet: ScheduleSheet) -> HttpResponse:
        row = create_schedule(sheet.draft(), actor=person(self.request), reason=sheet.reason)
        return self.saved(row.name, row.pk, sheet)


class ChangeSchedule(ScheduleFormView):
    """`…/periodictask/<id>/change/`; read-only for who may only look, with the reason beside."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        refuse_page_unless(request, VIEW_SCHEDULE, SEE_SCHEDULES_REFUSED)
        stored = read_one(kwargs["pk"])
        if stored is None:
            messages.warning(request, "That schedule does not exist any more. Its runs are still in the history.")
            return redirect(LIST)
        self.stored = stored
        return super().dispatch(request, *args, **kwargs)

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        stored = self._known
        held = job_of(stored)
        needs = Lacking(request).why_not(CHANGE_SCHEDULE, held)
        job = self.asked_job(request.GET["job"]) if request.GET.get("job") else held
        if job is not None and not needs:
            needs = Lacking(request).why_not(CHANGE_SCHEDULE, job)
        sheet = fresh_sheet(request, job, stored) if job is not None and not needs else None
        return self.page(sheet, needs=needs)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        stored = self._known
        job = self.asked_job(request.GET.get("job", "") or stored.row.task)
        try:
            refuse_unless(CHANGE_SCHEDULE, person(request), stored)
        except NotPermitted as error:
            raise PermissionDenied(str(error)) from None
        if job.name != stored.row.task and (why := why_not_schedulable(job)):
            return self.page(fresh_sheet(request, job, stored), f"Nothing was saved. {why}")
        return self.read_and_save(job)

    def save(self, sheet: ScheduleSheet) -> HttpResponse:
        pk, seen = self._known.row.pk, self.request.POST.get("oc.seen", "")
        row = change_schedule(pk, sheet.draft(), seen=seen, actor=person(self.request), reason=sheet.reason)
        return self.saved(row.name, pk, sheet)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        stored, now = self._known, timezone.now()
        problem = problem_of(stored, now)
        about: Shown = shown(self.request, stored, now)
        may_see_runs = may(self.request, VIEW_RUN)
        query = RunQuery(schedule_id=stored.row.pk, withheld=withheld_from(self.request))
        context = {
            "problem": readable_problem(self.request, stored.row.task, problem),
            "chip": SCHEDULE[schedule_state(stored, problem)],
            "about": about,
            "held_title": job_title(stored.row.task),
            "may_see_runs": may_see_runs,
            "runs": rows(run_slice(query, limit=RUNS_SHOWN).lines) if may_see_runs else (),
        }
        return super().get_context_data(**context | kwargs)

    @property
    def _known(self) -> Stored:
        assert self.stored is not None  # noqa: S101
        return self.stored


@require_safe
def moments(request: HttpRequest) -> HttpResponse:
    """`…/periodictask/moments/`: what the time in the form means; reads nothing and changes nothing."""
    refuse_page_unless(request, VIEW_SCHEDULE, SEE_SCHEDULES_REFUSED)
    when = WhenForm(request.GET)
    when.is_valid()
    now = timezone.now()
    plan = when.plan(now)
    foretold = preview(plan, now, zone=when.chosen_zone) if plan else None
    return render(request, "admin_ext/schedules/moments.html", {"foretold": foretold, "when": when})
