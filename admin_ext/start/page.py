"""The form that starts a job: what will happen, the parameters, the reason, one press, one run."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.admin.utils import quote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone

from admin_ext.form.fill import RETRY
from admin_ext.form.parameters import focus_first_wrong
from admin_ext.frame.machinery import read_machinery
from admin_ext.parts.access import VIEW_RUN, ConsoleView, may, needed_role, person
from admin_ext.parts.addresses import run_address
from admin_ext.parts.asking import CONFIRM, LONGEST_NONCE, LONGEST_REASON, NOT_WHOLE
from admin_ext.parts.not_taken import NOT_STARTED, taken
from admin_ext.parts.words import ago
from jobs.catalog.registry import Danger, find_job
from jobs.errors import FormReused, InvalidArguments, NotPermitted, UnknownJob
from jobs.ledger.audit import Subject
from jobs.ledger.lists import job_history
from jobs.ledger.retry import RetryRefused, retry_run
from jobs.ledger.start import Started, start_run, why_not_startable
from jobs.ledger.verbs import START_RUN, require
from jobs.models import Run
from jobs.states import State
from jobs.text import safe_text

from .sheet import Sheet, fresh_sheet, sent_sheet
from .sources import read_sources
from .will_happen import consequences

ACTIVE_SHOWN = 3
DRY, REAL = "dry", "run"
PRESET = "oc.preset"
NAMED = "Nothing was started: a preset has a name. Press Save preset, or clear the name and press the button again."


class JobFormView(ConsoleView):
    """What every address of a job's form shares: the job, and who may run it."""

    template_name = "admin_ext/run_form.html"

    def has_permission(self) -> bool:
        return True  # decided below, by what the job itself asks for; a refused POST is recorded by the verb

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().setup(request, *args, **kwargs)
        try:
            self.job = find_job(kwargs["name"])
        except UnknownJob as error:
            raise Http404(str(error)) from None
        if refusal := why_not_startable(self.job):
            self.job = replace(self.job, parameters=None, why_not=refusal)

    @property
    def title(self) -> str:
        """Tells the tabs of a browser apart."""
        return f"Run {self.job.title}"

    @property
    def address(self) -> str:
        """Where the form is sent: with what it was filled from, so that every answer knows it."""
        return self._with_query("admin:jobs_start")

    def _with_query(self, name: str) -> str:
        query = self.request.GET.urlencode()
        return reverse(name, args=[self.job.name]) + (f"?{query}" if query else "")

    def refuse_strangers(self) -> None:
        """Raise PermissionDenied for who may not run the job; nothing is recorded, as nothing was attempted."""
        asked = dict.fromkeys((START_RUN.permission, self.job.permission))
        # All at once: who asks for the first alone would be refused again.
        if missing := [needed_role(permission) for permission in asked if not may(self.request, permission)]:
            raise PermissionDenied(f"You may not run {self.job.title}. {'. '.join(missing)}.")

    def page(self, sheet: Sheet, refusal: str = "", nonce: str = "") -> HttpResponse:
        """The form, fresh or with what was typed; a new `nonce` unless one that started nothing is passed on."""
        if refusal:
            focus_first_wrong(sheet.form, sheet.wishes)
        return self.render_to_response(
            self.get_context_data(sheet=sheet, refusal=refusal, nonce=nonce or str(uuid.uuid4()))
        )

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        job, sheet = self.job, kwargs.get("sheet")
        context: dict[str, Any] = {
            "job": job,
            "crumbs": [("Jobs", reverse("admin:jobs_catalog")), (job.title, ""), ("Run", "")],
        }
        if sheet is not None:
            history = job_history(job.name)
            active = history.active if may(self.request, VIEW_RUN) else ()
            queue = sheet.queue
            context |= {
                "form": sheet.form,
                "wishes": sheet.wishes,
                "fill": sheet.fill,
                "clear": reverse("admin:jobs_start", args=[job.name]),
                "filled_state": state_words(sheet.fill.run.state) if sheet.fill.run else "",
                "address": self.address,
                "preset_address": self._with_query("admin:jobs_preset"),
                "targets_address": self._with_query("admin:jobs_start_targets"),
                "preset_name": self.request.POST.get(PRESET, "")[:100],
                "button": _button(sheet),
                "retried_address": run_address(self.request.GET[RETRY]) if sheet.retries else "",
                "confirm_name": CONFIRM,
                "sources": read_sources(self.request, job),
                "consequences": consequences(job, history, read_machinery(self.request), queue=queue),
                "active": active[:ACTIVE_SHOWN],
                "more_active": len(active[ACTIVE_SHOWN:]),
                "longest_reason": LONGEST_REASON,
                "may_see_runs": may(self.request, VIEW_RUN),
            }
        return super().get_context_data(**kwargs, **context)


def state_words(state: str) -> str:
    """Completes the sentence "Filled from run 3f2a91c0, which …"."""
    if state in (State.CANCELLED, State.LOST):
        return f"was {state}"
    return state if state in (State.SUCCEEDED, State.FAILED, State.EXPIRED) else f"is {state}"


def button(danger: Danger, has_dry_run: bool) -> str:
    """What the button says that starts the run; it names the environment wherever a mistake there would hurt."""
    label: str = settings.ENVIRONMENT_LABEL
    if danger is Danger.DANGER or label != "Local":
        return f"Run in {label}"
    return "Run for real" if has_dry_run else "Run"


def _button(sheet: Sheet) -> str:
    text = button(sheet.job.danger, bool(sheet.job.dry_run))
    return text.replace("Run", "Retry", 1) if sheet.retries else text


class RunForm(JobFormView):
    """`…/jobs/run/catalog/<job>/start/`."""

    http_method_names = ["get", "post", "head", "options"]

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self.refuse_strangers()
        if self.job.parameters is None:
            return self.render_to_response(self.get_context_data())
        return self.page(fresh_sheet(request, self.job, self.job.parameters))

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        actor, job = person(request), self.job
        try:
            require(START_RUN, actor, Subject("job", job.name, job.title), job.permission)
        except NotPermitted as error:
            raise PermissionDenied(str(error)) from None
        if job.parameters is None:
            return self.render_to_response(self.get_context_data())
        sheet = sent_sheet(request, job, job.parameters)
        act, nonce = request.POST.get("oc.act", REAL), request.POST.get("nonce", "")
        fits = sheet.read()
        if not 0 < len(nonce) <= LONGEST_NONCE or act not in (REAL, DRY) or (act == DRY and not job.dry_run):
            return self.page(sheet, NOT_WHOLE)
        if request.POST.get(PRESET, "").strip():  # Enter in that field presses the first button of the form
            return self.page(sheet, NAMED, nonce)
        if not sheet.wishes.is_valid() or not fits or (act == REAL and not sheet.may_run_for_real()):
            return self.page(sheet, sheet.summary(), nonce)
        return taken(lambda: self._start(sheet, act, nonce), lambda: self.page(sheet, NOT_STARTED, nonce))

    def _start(self, sheet: Sheet, act: str, nonce: str) -> HttpResponse:
        arguments = dict(sheet.arguments or {})
        if self.job.dry_run:
            arguments[self.job.dry_run] = act == DRY
        based_on = sheet.fill.run.task_id if sheet.fill.run else ""
        retries = sheet.retries and act == REAL
        prefix = "retry" if retries else "form" if act == REAL else "dry"
        wish = sheet.wishes.wish(reason=sheet.reason, nonce=f"{prefix}:{nonce}", based_on=based_on)
        actor = person(self.request)
        try:
            if retries:
                retried = self._retried()
                started = retry_run(retried, actor=actor, wish=wish, arguments=arguments, confirmed=sheet.confirm)
            else:
                started = start_run(self.job, arguments, actor=actor, wish=wish)
        except NotPermitted as error:
            raise PermissionDenied(str(error)) from None
        except RetryRefused as error:
            return self.page(sheet, str(error), nonce)
        except InvalidArguments as error:
            sheet.form.refuse(error.fields)
            return self.page(sheet, sheet.summary(), nonce)
        except FormReused as error:
            return self.page(sheet, str(error))
        return self._to_the_run(started, "dry run" if act == DRY else "retry" if retries else "run")

    def _retried(self) -> Run:
        """The run that the form retries."""
        named = Run.objects.filter(task_id=safe_text(self.request.GET[RETRY])[:255], task_name=self.job.name)
        found = named.first() if may(self.request, VIEW_RUN) else None
        if found is None:
            raise RetryRefused(f"the run to be retried is not kept any more, or is none of {self.job.title}.")
        return found

    def _to_the_run(self, started: Started, noun: str) -> HttpResponseRedirect:
        run = started.run
        if started.created:
            messages.info(self.request, f"{self.job.title} is accepted as {noun} {run.short_id}.")
        else:
            when = ago(run.accepted_at, timezone.now())
            messages.info(self.request, f"Already started {when} by this form: one click, one run.")
        if not may(self.request, VIEW_RUN):
            return redirect("admin:jobs_catalog")
        return redirect("admin:jobs_run_change", quote(run.task_id))


class TargetsFragment(JobFormView):
    """`…/start/targets/`: what the values in the form would touch. Checks and counts; keeps and changes nothing."""

    template_name = "admin_ext/form/watched.html"
    http_method_names = ["post", "options"]

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self.refuse_strangers()
        if self.job.parameters is None:
            raise Http404(f"{self.job.title} has no form.")
        sheet = sent_sheet(request, self.job, self.job.parameters, files=False)
        sheet.read()
        context = {"job": self.job, "sheet": sheet, "button": button(self.job.danger, bool(self.job.dry_run))}
        return self.render_to_response({**context, "may_see_runs": may(request, VIEW_RUN), "swapped": True})
