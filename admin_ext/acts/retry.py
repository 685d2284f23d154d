"""The page that asks before a run is retried: as it was by one press, or with its form by Edit first."""

from __future__ import annotations

import uuid
from copy import copy
from typing import Any

from django.contrib import messages
from django.contrib.admin.utils import quote, unquote
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from admin_ext.frame.machinery import read_machinery
from admin_ext.parts.access import lacking, may, person, why_withheld, withheld_from
from admin_ext.parts.addresses import retry_form_address, run_address
from admin_ext.parts.asking import NOT_WHOLE, AskView, Consequence
from admin_ext.parts.not_taken import NOT_STARTED
from admin_ext.parts.words import clock, value
from admin_ext.start.guard import guard_of, why_not_confirmed
from admin_ext.start.will_happen import consequences
from admin_ext.start.wishes import WishForm
from jobs.catalog.registry import Danger, Job, RetrySafety, find_job, job_title
from jobs.errors import FormReused, InvalidArguments, UnknownJob
from jobs.ledger.lists import job_history
from jobs.ledger.readable import readable
from jobs.ledger.retry import RetryRefused, healing_retry, live_retry, retry_run, why_not
from jobs.ledger.shown_arguments import shown_arguments
from jobs.ledger.start import Wish
from jobs.ledger.verbs import RETRY_RUN, RETRY_UNSAFE, START_RUN
from jobs.models import Run
from jobs.pipeline.arguments import decode

from .retry_facts import before_you_retry


class RetryView(AskView):
    """`…/jobs/run/<task id>/retry/`: GET shows what a retry brings about, POST starts it."""

    title = "Retry"
    template_name = "admin_ext/retry/ask.html"
    elsewhere = "admin:jobs_run_changelist"
    run: Run
    job: Job | None

    def find(self, **kwargs: Any) -> str:
        task_id = unquote(kwargs["object_id"])
        found = Run.objects.select_related("failure_group").filter(task_id=task_id).first()
        if found is None:
            return f"No run has the id {task_id[:64]}. It may have been pruned, or mistyped."
        self.run = found
        try:
            self.job = find_job(found.task_name)
        except UnknownJob:
            self.job = None
        return ""

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self.ask(wishes=WishForm(self.job, like=self.run) if self.job else None, nonce=str(uuid.uuid4()))

    def act(self) -> HttpResponse:
        wishes = WishForm(self.job, self.request.POST) if self.job else None
        if not self.nonce:
            return self.again(wishes, NOT_WHOLE)
        if wishes is not None and not wishes.is_valid():
            return self.again(wishes, "Nothing was started: look at Advanced once more.", self.nonce)
        may_run = self.job is not None and may(self.request, self.job.permission)
        if may_run and (error := self.guard()):
            return self.again(wishes, f"Nothing was started. {error}", self.nonce)
        wish = Wish(reason=self.reason, nonce=f"retry:{self.nonce}")
        if wishes is not None:
            wish = wishes.wish(reason=self.reason, nonce=f"retry:{self.nonce}", based_on="")
        try:
            seen = self.request.POST.get("seen", "")[:64]
            started = retry_run(self.run, actor=person(self.request), wish=wish, confirmed=self.typed, seen=seen)
        except RetryRefused as error:
            return self.again(wishes, str(error), self.nonce, by=error.by)
        except (InvalidArguments, FormReused) as error:
            return self.again(wishes, str(error))
        run = started.run
        if started.created:
            messages.info(self.request, f"Run {self.run.short_id} is retried as run {run.short_id}.")
        else:
            messages.info(self.request, "Already retried by this form: one click, one run.")
        return redirect("admin:jobs_run_change", quote(run.task_id))

    def not_taken(self) -> HttpResponse:
        return self.again(WishForm(self.job, self.request.POST) if self.job else None, NOT_STARTED, self.nonce)

    def again(self, wishes: WishForm | None, refusal: str, nonce: str = "", by: str = "") -> HttpResponse:
        """The page once more, with why nothing was started; without its nonce it is another form."""
        more = {"wishes": wishes, "refusal": refusal, "nonce": nonce or str(uuid.uuid4())}
        return self.ask(**more, **({"refused_by": run_address(by)} if by else {}))

    @property
    def asks_to_confirm(self) -> bool:
        job = self.job
        if job is None:
            return False
        return job.retry is RetrySafety.NEVER or (job.danger is Danger.DANGER and not self._is_dry)

    @property
    def _values(self) -> dict[str, Any] | None:
        if self.job is None or self.job.parameters is None or not self.run.arguments_exact:
            return None
        try:
            return self.job.parameters.bind(*decode(self.run.arguments))
        except InvalidArguments:
            return None

    @property
    def _is_dry(self) -> bool:
        return bool(self.job and self.job.dry_run and (self._values or {}).get(self.job.dry_run) is True)

    def guard(self) -> str:
        """What stands before a dangerous run; "" when nothing does."""
        job = self.job
        if job is None or job.danger is not Danger.DANGER or self._is_dry:
            return ""
        guard = guard_of(job, self._values)
        if guard.closed:
            return f"{guard.why} Press Edit first for the dry run."
        return why_not_confirmed(job, self.typed, None) if self.request.method == "POST" else ""

    def needs(self) -> str:
        """Which permission the person lacks, in a sentence; "" when none."""
        job = self.job
        if lacks := lacking(self.request, RETRY_RUN, START_RUN.permission, *([job.permission] if job else [])):
            return lacks
        if job is not None and job.retry is RetrySafety.NEVER and not may(self.request, RETRY_UNSAFE.permission):
            return RETRY_UNSAFE.sentence
        return ""

    def blocked(self) -> tuple[str, str]:
        """Why it cannot be retried as it was, and the address of the retry that is under way."""
        if reason := why_not(self.run, self.job):
            return f"It cannot be retried as it was: {reason}", ""
        if (live := live_retry(self.run)) is not None:
            who = live.actor_label or "somebody"
            return f"Already retried by {who}: run {live.short_id}.", run_address(live.task_id)
        return "" if self.run.task_name in withheld_from(self.request) else self.guard(), ""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        run, job, wishes = readable(copy(self.run), withheld_from(self.request)), self.job, kwargs.get("wishes")
        blocked, blocked_by = self.blocked()
        healed = healing_retry(run)
        facts: list[Consequence] = before_you_retry(run, job, healed)
        if job is not None:
            queue = wishes.queue if wishes is not None else run.queue
            facts += consequences(job, job_history(job.name), read_machinery(self.request), queue=queue)
        moment = wishes.cleaned_data.get("not_before") if wishes is not None and wishes.is_bound else None
        title = job_title(run.task_name)
        self.title = f"Retry {title} {run.short_id}"
        context: dict[str, Any] = {
            "crumbs": [
                ("Runs", reverse("admin:jobs_run_changelist")),
                (f"{title} {run.short_id}", run_address(run.task_id)),
                ("Retry", ""),
            ],
            "run": run,
            "job": job,
            "job_title": title,
            "seen": healed.task_id if healed else "",
            "arguments": [(name, value(given)) for name, given in shown_arguments(run, job, run.objects_of.all())],
            "facts": facts,
            "blocked": blocked,
            "blocked_by": blocked_by,
            "edit": retry_form_address(self.request, run, job),
            "button": f"Retry at {clock(moment)}" if moment else "Retry as it was",
            "needs": self.needs(),
            "withheld": why_withheld(self.request, run.task_name) if run.withheld else "",
            "asks_to_confirm": self.asks_to_confirm,
            "reason_needed": job is not None and job.retry is RetrySafety.NEVER,
            "back": run_address(run.task_id),
            "red": job is not None and (job.danger is Danger.DANGER or job.retry is RetrySafety.NEVER),
        }
        return super().get_context_data(**context | kwargs)
