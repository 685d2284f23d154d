"""Retrying the runs of a failure group: a review of what is retried and what is left out, then one press."""

from __future__ import annotations

import uuid
from collections import Counter
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.views.generic import TemplateView
from unfold.views import UnfoldModelAdminViewMixin

from admin_ext.frame.machinery import read_machinery
from admin_ext.parts.access import SEE_RUNS_REFUSED, VIEW_RUN, may, needed_role, person, refuse_unless
from admin_ext.parts.words import clock, plural
from admin_ext.start.page import LONGEST_NONCE, NOT_WHOLE
from admin_ext.start.sheet import CONFIRM, LONGEST_REASON
from admin_ext.start.will_happen import Consequence, consequences
from jobs.catalog.registry import Danger, Job, find_job
from jobs.errors import NotPermitted, UnknownJob
from jobs.failures.hurting import MOST_RETRIED, retryable_runs
from jobs.failures.verbs import subject_of
from jobs.ledger.lists import job_history
from jobs.ledger.retry_many import left_out, retry_many
from jobs.ledger.start import Wish
from jobs.ledger.verbs import RETRY_RUN, START_RUN
from jobs.models import FailureGroup, FailureNote, Run

from .verbs import CHANGE, LIST

SAMPLES = 5


@dataclass(frozen=True, slots=True)
class Review:
    """What would be retried, newest first, and how many would not be, by the reason in words."""

    runs: tuple[Run, ...]
    left_out: tuple[tuple[int, str], ...]

    @property
    def total(self) -> int:
        return len(self.runs) + sum(count for count, _ in self.left_out)


class RetryGroup(UnfoldModelAdminViewMixin, TemplateView):
    """`…/jobs/failuregroup/<pk>/retry/`: GET reviews, POST retries what the review showed and what still can be."""

    title = "Retry"
    template_name = "admin_ext/retry/many.html"
    http_method_names = ["get", "post", "head", "options"]
    group: FailureGroup
    job: Job | None

    def has_permission(self) -> bool:
        return True  # who may not retry is told so beside the button; a refused POST is recorded by the verb

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        refuse_unless(request, VIEW_RUN, SEE_RUNS_REFUSED)
        group = FailureGroup.objects.filter(pk=kwargs["pk"]).first()
        if group is None:
            messages.warning(request, "That group exists no more: the last of its runs was pruned.")
            return redirect(LIST)
        self.group = group
        try:
            self.job = find_job(group.task_name)
        except UnknownJob:
            self.job = None
        return super().dispatch(request, *args, **kwargs)

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self.render_to_response(self.get_context_data())

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        batch, upto = request.POST.get("nonce", ""), self._upto()
        if self.job is None or upto is None or not 0 < len(batch) <= LONGEST_NONCE:
            return self.render_to_response(self.get_context_data(refusal=NOT_WHOLE))
        review = self.review()
        # Newer failures were in no review: they are not included.
        runs = [run for run in review.runs if run.accepted_at <= upto]
        if self._may() and (error := self.why_blocked() or self._why_not_confirmed()):
            return self.render_to_response(self.get_context_data(refusal=f"Nothing was started. {error}"))
        wish, subject = Wish(reason=self.reason), subject_of(self.group)
        try:
            done = retry_many(runs, self.job, actor=person(request), wish=wish, subject=subject, batch_id=batch)
        except NotPermitted as error:
            raise PermissionDenied(str(error)) from None
        told = f"{plural(done.started, 'run')} of {subject.label} {'is' if done.started == 1 else 'are'} retried."
        if done.earlier:
            told += f" {plural(done.earlier, 'run')} this form had retried before."
        told += "".join(f" Left out, {reason}: {count:,}." for reason, count in done.left_out.items())
        (messages.info if done.started else messages.warning)(request, told)
        return redirect(reverse(CHANGE, args=[self.group.pk]) + "?tab=runs")

    def review(self) -> Review:
        """What `retryable_runs` says, without the runs whose own arguments forbid it."""
        found = retryable_runs(self.group)
        counts, runs = Counter(found.left_out), []
        for run in found.runs:
            reason = left_out(run, self.job) if self.job else ""
            counts[reason] += bool(reason)
            if not reason:
                runs.append(run)
        return Review(tuple(runs), tuple((count, reason) for reason, count in counts.most_common() if count))

    def why_blocked(self) -> str:
        """Why nothing of the group can be retried in one act; "" when it can."""
        job = self.job
        if job is None:
            return "Its job is no longer in the catalogue."
        if job.danger is Danger.DANGER and job.dry_run:
            return f"{job.title} wants a dry run before each run: retry its runs one by one."
        return ""

    def _why_not_confirmed(self) -> str:
        job = self.job
        if job is None or job.danger is not Danger.DANGER or self.request.POST.get(CONFIRM, "").strip() == job.title:
            return ""
        return f"Type {job.title} to confirm."

    def _may(self) -> bool:
        wanted = [RETRY_RUN.permission, START_RUN.permission, *([self.job.permission] if self.job else [])]
        return all(may(self.request, permission) for permission in wanted)

    def _upto(self) -> Any:
        try:
            moment = parse_datetime(self.request.POST.get("upto", ""))
        except (ValueError, OverflowError):
            return None
        return moment if moment is not None and timezone.is_aware(moment) else None

    @property
    def reason(self) -> str:
        return self.request.POST.get("reason", "").replace("\x00", "").strip()[:LONGEST_REASON]

    def _needs(self) -> str:
        if not may(self.request, RETRY_RUN.permission):
            return RETRY_RUN.sentence
        for permission in (START_RUN.permission, *([self.job.permission] if self.job else [])):
            if not may(self.request, permission):
                return f"{needed_role(permission)}."
        return ""

    def _facts(self, count: int) -> list[Consequence]:
        facts = [Consequence("replay", f"{plural(count, 'new run')}, each with the arguments of its failed one.")]
        note = FailureNote.objects.filter(group=self.group).first()
        if note is not None:
            facts.append(Consequence("warning", f"{note.actor_label} noted: “{note.text[:140]}”", "warn"))
        if self.job is not None:
            facts += consequences(self.job, job_history(self.job.name), read_machinery(self.request))
        return facts

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        group, now = self.group, timezone.now()
        review = self.review()
        count = len(review.runs)
        label = subject_of(group).label
        context: dict[str, Any] = {
            "crumbs": [("Failures", reverse(LIST)), (label, reverse(CHANGE, args=[group.pk])), (self.title, "")],
            "group": group,
            "label": label,
            "job": self.job,
            "review": review,
            "count": count,
            "samples": review.runs[:SAMPLES],
            "upto": now.isoformat(),
            "upto_words": clock(now),
            "most": f"{MOST_RETRIED:,}",
            "facts": self._facts(count),
            "blocked": self.why_blocked(),
            "button": f"Retry {plural(count, 'run')}",
            "needs": self._needs(),
            "red": self.job is not None and self.job.danger is Danger.DANGER,
            "confirm_name": CONFIRM,
            "nonce": str(uuid.uuid4()),
            "reason": self.reason,
            "longest_reason": LONGEST_REASON,
            "back": reverse(CHANGE, args=[group.pk]),
        }
        return super().get_context_data(**context | kwargs)
