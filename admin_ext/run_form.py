"""The form that starts a job: what will happen, the parameters, the reason, one press, one run."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.generic import TemplateView
from unfold.views import UnfoldModelAdminViewMixin

from jobs.catalog.parameters import Parameters
from jobs.catalog.registry import Job, find_job
from jobs.errors import FormReused, InvalidArguments, NotPermitted, UnknownJob
from jobs.ledger.audit import Subject
from jobs.ledger.lists import JobHistory, job_history, waiting_in_queue
from jobs.ledger.start import Started, Wish, start_run
from jobs.ledger.verbs import START_RUN, require

from .access import VIEW_RUN, may, person
from .forms import UNASKABLE, ParametersForm
from .jobs_page import needed_role
from .machinery import Machinery, read_machinery
from .words import ago, capped, duration, plural

WAITING_CAP = 1000
ACTIVE_SHOWN = 3
LONGEST_REASON = 500
LONGEST_NONCE = 64


@dataclass(frozen=True, slots=True)
class Consequence:
    """One line of "Will happen": a symbol in a tone, and a sentence."""

    icon: str
    text: str
    tone: str = ""


class RunForm(UnfoldModelAdminViewMixin, TemplateView):
    """`…/jobs/run/catalog/<job>/start/`."""

    title = "Run"
    template_name = "admin_ext/run_form.html"
    http_method_names = ["get", "post", "head", "options"]

    def has_permission(self) -> bool:
        return True  # decided below, by what the job itself asks for; a refused POST is recorded by the verb

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().setup(request, *args, **kwargs)
        try:
            self.job = find_job(kwargs["name"])
        except UnknownJob as error:
            raise Http404(str(error)) from None

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        for permission in (START_RUN.permission, self.job.permission):
            if not may(request, permission):
                raise PermissionDenied(f"You may not run {self.job.title}. {needed_role(permission)}.")
        return self._page(ParametersForm(self._parameters()))

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        actor, job = person(request), self.job
        try:
            require(START_RUN, actor, Subject("job", job.name, job.title), job.permission)
        except NotPermitted as error:
            raise PermissionDenied(str(error)) from None
        form = ParametersForm(self._parameters(), request.POST)
        reason = request.POST.get("reason", "").strip()[:LONGEST_REASON]
        nonce = request.POST.get("nonce", "")
        if not 0 < len(nonce) <= LONGEST_NONCE:
            return self._page(form, reason, "Nothing was started: this form was not whole. Press the button once more.")
        if not form.is_valid():
            return self._page(form, reason, form.summary(), nonce)
        try:
            started = start_run(job, form.arguments(), actor=actor, wish=Wish(reason=reason, nonce=f"form:{nonce}"))
        except InvalidArguments as error:
            form.refuse(error.fields)
            return self._page(form, reason, form.summary(), nonce)
        except FormReused as error:
            return self._page(form, reason, str(error))
        return self._to_the_run(started)

    def _parameters(self) -> Parameters:
        if self.job.parameters is None:
            raise Http404(f"{self.job.title} cannot be asked for by a form. {self.job.why_not}".strip())
        if files := [field.label for field in self.job.parameters.fields if field.kind in UNASKABLE]:
            raise Http404(f"{self.job.title} asks for a file ({', '.join(files)}), which this form cannot take.")
        return self.job.parameters

    def _page(self, form: ParametersForm, reason: str = "", refusal: str = "", nonce: str = "") -> HttpResponse:
        """The form, fresh or with what was typed; a new `nonce` unless one that started nothing is passed on."""
        return self.render_to_response(
            self.get_context_data(form=form, reason=reason, refusal=refusal, nonce=nonce or str(uuid.uuid4()))
        )

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        label: str = settings.ENVIRONMENT_LABEL
        history = job_history(self.job.name)
        active = history.active if may(self.request, VIEW_RUN) else ()
        context = {
            "job": self.job,
            "button": "Run" if label == "Local" else f"Run in {label}",
            "consequences": consequences(self.job, history, read_machinery(self.request)),
            "active": active[:ACTIVE_SHOWN],
            "more_active": len(active[ACTIVE_SHOWN:]),
            "longest_reason": LONGEST_REASON,
            "crumbs": [("Jobs", reverse("admin:jobs_catalog")), (self.job.title, ""), ("Run", "")],
        }
        return super().get_context_data(**kwargs, **context)

    def _to_the_run(self, started: Started) -> HttpResponseRedirect:
        run = started.run
        if started.created:
            messages.info(self.request, f"{self.job.title} is accepted as run {run.short_id}.")
        else:
            when = ago(run.accepted_at, timezone.now())
            messages.info(self.request, f"Already started {when} by this form: one click, one run.")
        if not may(self.request, VIEW_RUN):
            return redirect("admin:jobs_catalog")
        return redirect("admin:jobs_run_change", run.task_id)


def consequences(job: Job, history: JobHistory, machinery: Machinery) -> list[Consequence]:
    """What pressing the button brings about, as far as it is known now."""
    waiting = waiting_in_queue(job.queue, cap=WAITING_CAP)
    ahead = f"{capped(waiting, WAITING_CAP)} ahead of it" if waiting else "none waits ahead of it"
    facts = [Consequence("inbox", f"Goes to the queue {job.queue}: {ahead}."), _worker(job, machinery), _usual(history)]
    if not history.active:
        facts.append(Consequence("check_circle", "Nobody else is running it.", "ok"))
    if job.idempotent:
        facts.append(Consequence("undo", "It may be run again safely; if its worker vanishes, it is started again."))
    else:
        facts.append(
            Consequence("warning", "Not known to be safe to run twice: a second run may do its work again.", "warn")
        )
    facts.append(Consequence("visibility", "Everyone with the role Viewer sees the run, its parameters and its files."))
    return facts


def _worker(job: Job, machinery: Machinery) -> Consequence:
    if not machinery.fleet.known:
        return Consequence("question_mark", "Whether a worker is ready is not known: Redis does not answer.", "unknown")
    ready = [beacon for beacon in machinery.fleet.beacons if job.queue in beacon.queues]
    if not ready:
        return Consequence("person_off", "No worker is heard on this queue: the run waits until one starts.", "bad")
    slots = sum(beacon.concurrency for beacon in ready)
    free = sum(max(beacon.concurrency - len(beacon.running), 0) for beacon in ready)
    return Consequence("memory", f"{plural(len(ready), 'worker')} ready, {free:,} of {plural(slots, 'slot')} free.")


def _usual(history: JobHistory) -> Consequence:
    last = history.durations[:5]
    if not history.read:
        return Consequence("timer", "It has never run here: how long it takes is not known.")
    if not last:
        return Consequence("timer", "None of its last runs succeeded: how long it takes is not known.")
    if len(last) == 1 or duration(min(last)) == duration(max(last)):
        return Consequence("timer", f"It took {duration(last[0])} the last time.")
    return Consequence("timer", f"Its last {len(last)} runs took {duration(min(last))} to {duration(max(last))}.")
