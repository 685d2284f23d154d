"""Retrying the runs of a failure group: a review of what is retried and what is left out, then one press."""

from __future__ import annotations

import uuid
from collections import Counter
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from admin_ext.frame.machinery import read_machinery
from admin_ext.parts.access import lacking, person, withheld_from
from admin_ext.parts.asking import NOT_WHOLE, AskView, Consequence
from admin_ext.parts.not_taken import NOT_ALL_STARTED
from admin_ext.parts.words import ago, clock, plural
from admin_ext.start.will_happen import consequences
from jobs.catalog.registry import Danger, Job, find_job
from jobs.errors import UnknownJob
from jobs.failures.hurting import MOST_RETRIED, retryable_runs
from jobs.failures.verbs import subject_of
from jobs.ledger.lists import job_history
from jobs.ledger.readable import readable_group
from jobs.ledger.retry import why_no_job
from jobs.ledger.retry_many import NAMED, PACES, last_start, left_out, retry_many, usual_pace
from jobs.ledger.start import Wish
from jobs.ledger.verbs import RETRY_RUN, START_RUN
from jobs.models import FailureGroup, FailureNote, Run

from .retrying import minute
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


@dataclass(frozen=True, slots=True)
class PaceChoice:
    """One pace to choose: how many a minute, 0 for all at once, and what follows from it in words."""

    pace: int
    word: str
    follows: str
    chosen: bool


class RetryGroup(AskView):
    """`…/jobs/failuregroup/<pk>/retry/`: GET reviews, POST retries what the review showed and what still can be."""

    title = "Retry"
    template_name = "admin_ext/retry/many.html"
    elsewhere = LIST
    group: FailureGroup
    job: Job | None

    def find(self, **kwargs: Any) -> str:
        group = FailureGroup.objects.filter(pk=kwargs["pk"]).first()
        if group is None:
            return "That group exists no more: the last of its runs was pruned."
        self.group = group
        try:
            self.job = find_job(group.task_name)
        except UnknownJob:
            self.job = None
        return ""

    def act(self) -> HttpResponse:
        upto, review = self._upto(), self.review()
        pace = self._pace(len(review.runs))
        if self.job is None or upto is None or pace is None or not self.nonce:
            return self.ask(refusal=NOT_WHOLE)
        # Newer failures were in no review: they are not included.
        runs = [run for run in review.runs if run.accepted_at <= upto]
        if not self._needs() and (error := self.why_blocked() or self._why_not_confirmed()):
            return self.ask(refusal=f"Nothing was started. {error}")
        wish, subject = Wish(reason=self.reason), subject_of(self.group)
        done = retry_many(
            runs, self.job, actor=person(self.request), wish=wish, subject=subject, batch_id=self.nonce, pace=pace
        )
        told = f"{plural(done.started, 'run')} of {subject.label} {'is' if done.started == 1 else 'are'} retried."
        if done.earlier:
            told += f" {plural(done.earlier, 'run')} this form had retried before."
        told += "".join(
            f" Left out, {reason}: {count:,} ({', '.join(done.named[reason])}{', …' if count > NAMED else ''})."
            for reason, count in done.left_out.items()
        )
        (messages.info if done.started else messages.warning)(self.request, told)
        return redirect(reverse(CHANGE, args=[self.group.pk]) + "?tab=runs")

    def not_taken(self) -> HttpResponse:
        return self.ask(refusal=NOT_ALL_STARTED, **({"nonce": self.nonce} if self.nonce else {}))

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
            reason = why_no_job(self.group.task_name)
            return f"{reason[:1].upper()}{reason[1:]}"
        if job.danger is Danger.DANGER and job.dry_run:
            return f"{job.title} wants a dry run before each run: retry its runs one by one."
        return ""

    def _why_not_confirmed(self) -> str:
        job = self.job
        if job is None or job.danger is not Danger.DANGER or self.typed == job.title:
            return ""
        return f"Type {job.title} to confirm."

    def _upto(self) -> Any:
        try:
            moment = parse_datetime(self.request.POST.get("upto", ""))
        except (ValueError, OverflowError):
            return None
        return moment if moment is not None and timezone.is_aware(moment) else None

    def _pace(self, count: int) -> int | None:
        """What was chosen, the usual one for `count` runs where nothing was; None for what is no choice."""
        chosen = self.request.POST.get("pace", str(usual_pace(count)))
        return int(chosen) if chosen in {str(pace) for pace in (0, *PACES)} else None

    def _paces(self, count: int, now: datetime) -> tuple[PaceChoice, ...]:
        chosen = self._pace(count)
        found = [PaceChoice(0, "All at once", "as fast as the workers take them", chosen == 0)]
        for pace in PACES:
            last = last_start(count, pace, now)
            follows = f"the last one starts about {minute(last, now)}, {ago(last, now)}"
            found.append(PaceChoice(pace, f"{pace} a minute", follows, chosen == pace))
        return tuple(found)

    def _needs(self) -> str:
        return lacking(self.request, RETRY_RUN, START_RUN.permission, *([self.job.permission] if self.job else []))

    def _facts(self, count: int) -> list[Consequence]:
        facts = [Consequence("replay", f"{plural(count, 'new run')}, with the arguments of what failed.")]
        text = "Each says again what its message said: headers, priority, time limits; an expiry counts anew."
        facts.append(Consequence("local_shipping", text))
        facts.append(Consequence("do_not_disturb_on", "What has not begun can be stopped on the group's page."))
        note = FailureNote.objects.filter(group=self.group).first()
        if note is not None:
            facts.append(Consequence("warning", f"{note.actor_label} noted: “{note.text[:140]}”", "warn"))
        if self.job is not None:
            facts += consequences(self.job, job_history(self.job.name), read_machinery(self.request))
        return facts

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        group, now = readable_group(copy(self.group), withheld_from(self.request)), timezone.now()
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
            "paces": self._paces(count, now) if count > 1 else (),
            "needs": self._needs(),
            "red": self.job is not None and self.job.danger is Danger.DANGER,
            "nonce": str(uuid.uuid4()),
            "back": reverse(CHANGE, args=[group.pk]),
        }
        return super().get_context_data(**context | kwargs)
