"""The page between a selection in a list and the runs on it: what is selected, the other parameters, one press."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.utils import quote
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.text import capfirst
from unfold.widgets import RADIO_CLASSES

from admin_ext.form.clerk import Clerk
from admin_ext.form.parameters import ParametersForm, focus_first_wrong
from admin_ext.frame.machinery import read_machinery
from admin_ext.parts.access import VIEW_RUN, may, person
from admin_ext.parts.asking import LONGEST_NONCE, LONGEST_REASON, NOT_WHOLE, Consequence, posted
from admin_ext.parts.keyset import link
from admin_ext.parts.not_taken import NOT_ALL_STARTED, taken
from admin_ext.parts.words import plural
from admin_ext.start.guard import guard_of, why_not_confirmed
from admin_ext.start.will_happen import Touched, consequences
from jobs.catalog.fields import Kind, Parameter
from jobs.catalog.parameters import Parameters
from jobs.catalog.registry import Danger, Job
from jobs.errors import FormReused, InvalidArguments
from jobs.ledger.lists import job_history, was_started
from jobs.ledger.start import Wish, start_run
from jobs.ledger.start_many import MAX_RUNS, start_many

from .selection import Selection, read_selection

NAMED = 10
#: Dry runs of so many objects are looked for, one by one; a dry run must come first for each.
MOST_GUARDED = 50
#: So many are checked before it is said that what is typed does not fit.
MOST_TRIED = 100
EACH, TOGETHER = "each", "together"
DRY, REAL = "dry", "run"
ALREADY = "Already started by this form: one click, one act. Nothing new was started."


@dataclass(frozen=True, slots=True)
class Fit:
    """A job, its parameters, and the one of them that takes objects of the model."""

    job: Job
    parameters: Parameters
    parameter: Parameter

    @property
    def takes_many(self) -> bool:
        return self.parameter.kind is Kind.OBJECTS


class OthersForm(ParametersForm):
    """The job's parameters but for the one that takes the selection, and the switch that the buttons stand for."""

    def __init__(self, fit: Fit, request: HttpRequest, data: Mapping[str, Any] | None = None) -> None:
        hidden = {fit.parameter.name, fit.job.dry_run}
        super().__init__(fit.parameters, data, clerk=Clerk(fit.job, request), hidden=hidden)

    def add_prefix(self, field_name: str) -> str:
        return f"p-{field_name}"  # apart from what the list itself reads: action, index, select_across, …


def run_on_objects(
    fit: Fit, model_admin: admin.ModelAdmin[Any], request: HttpRequest, queryset: QuerySet[Any]
) -> HttpResponse:
    """An action of a list. Shows the page; started from there, starts the runs and goes back to the list.

    Args:
        queryset: what is selected, out of the ModelAdmin's own list; it may have changed since the page was shown.
    """
    many = str(model_admin.opts.verbose_name_plural)
    if (count := queryset.count()) > MAX_RUNS:
        fact = f"{count:,} {many} are selected, and one act takes at most {MAX_RUNS:,}"
        return _back(request, messages.WARNING, f"Nothing was started: {fact}. Filter the list first.")
    selection = read_selection(model_admin, request, queryset, most=MAX_RUNS)
    return _Ask(fit, model_admin, request, selection).answer()


def _back(request: HttpRequest, level: int, text: str) -> HttpResponse:
    messages.add_message(request, level, text)
    return HttpResponseRedirect(request.get_full_path())


class _Ask:
    """One request of the page."""

    def __init__(
        self, fit: Fit, model_admin: admin.ModelAdmin[Any], request: HttpRequest, selection: Selection
    ) -> None:
        self.fit, self.job, self.model_admin, self.request = fit, fit.job, model_admin, request
        self.selection, post = selection, request.POST
        self.confirmed, self.nonce, self.seen = "confirmed" in post, post.get("nonce", ""), post.get("seen", "")
        self.reason = posted(request, "reason")
        self.typed = posted(request, "confirm")
        self.how = EACH if not fit.takes_many or post.get("how") == EACH else TOGETHER
        self.act = DRY if self.job.dry_run and post.get("act") == DRY else REAL
        self.form = OthersForm(fit, request, post if self.confirmed else None)
        self.confirm_error = ""

    @property
    def batch(self) -> str:
        """What this form's runs are known by: the second press finds those of the first."""
        return f"objects{'-dry' if self.act == DRY else ''}:{self.nonce}"

    def answer(self) -> HttpResponse:
        selection = self.selection
        changed = self.confirmed and self.seen != selection.mark
        if changed and (was_started(self.batch) or was_started(f"{self.batch}:0")):
            return _back(self.request, messages.INFO, ALREADY)
        if not selection.objects:
            fact = f"none of the selected {selection.many} exists any more, or you may not see them"
            return _back(self.request, messages.WARNING, f"Nothing was started: {fact}.")
        if not self.confirmed:
            return self._page()
        if not 0 < len(self.nonce) <= LONGEST_NONCE:
            return self._page(NOT_WHOLE, fresh=True)
        if changed:
            fact = selection.changed_words(self.seen)
            return self._page(f"Nothing was started: {fact}. Look again and press the button once more.")
        if not self.form.is_valid():
            self.form.refuse_others()
            return self._page(self.form.summary())
        try:
            return self._checked(self._sets(self.form.arguments()))
        except InvalidArguments as error:
            self.form.refuse(error.fields)
            return self._page(self.form.summary())
        except FormReused as error:
            return self._page(str(error), fresh=True)

    def _sets(self, others: dict[str, Any]) -> list[dict[str, Any]]:
        """The arguments of each run."""
        name, keys = self.fit.parameter.name, self.selection.keys
        if self.job.dry_run:
            others = {**others, self.job.dry_run: self.act == DRY}
        if self.how == TOGETHER:
            return [{**others, name: keys}]
        return [{**others, name: [key] if self.fit.takes_many else key} for key in keys]

    def _checked(self, sets: list[dict[str, Any]]) -> HttpResponse:
        """Start them, once what stands before a dangerous run is done."""
        if self.act == REAL:
            self._refuse_wrong_values(sets)  # which is told before a missing dry run
            touched = Touched(self.selection.count, self.selection.many)
            self.confirm_error = why_not_confirmed(self.job, self.typed, touched)
            if self.confirm_error:
                return self._page("Nothing was started: 1 field to correct, Confirmation. Your values are kept.")
            if why := self._why_not_yet(sets):
                return self._page(f"Nothing was started: {why} Your values are kept.")
        return taken(lambda: self._start(sets), lambda: self._page(NOT_ALL_STARTED))

    def _refuse_wrong_values(self, sets: list[dict[str, Any]]) -> None:
        """Raise InvalidArguments where none of the first sets fits: then it is not about one object."""
        first: InvalidArguments | None = None
        for arguments in sets[:MOST_TRIED]:
            try:
                self.fit.parameters.check(arguments)
            except InvalidArguments as error:
                first = first or error
            else:
                return
        if first is not None:
            raise first

    def _why_not_yet(self, sets: list[dict[str, Any]]) -> str:
        """Which dry run is still missing; "" when none is, or none is asked for."""
        if not (self.job.dry_run and self.job.danger is Danger.DANGER):
            return ""
        if len(sets) > MOST_GUARDED:
            return f"a dry run comes first for each, which is looked for at most {MOST_GUARDED} times. Choose fewer."
        guards = [guard_of(self.job, arguments) for arguments in sets]
        closed = sum(guard.closed for guard in guards)
        if not closed:
            return ""
        if len(sets) == 1:
            return guards[0].why
        return f"{closed} of {len(sets)} still need a dry run of these values that succeeded. Press Dry run first."

    def _start(self, sets: list[dict[str, Any]]) -> HttpResponse:
        actor, noun, of = person(self.request), "dry run" if self.act == DRY else "run", self.selection.words
        if self.how == TOGETHER:
            started = start_run(self.job, sets[0], actor=actor, wish=Wish(reason=self.reason, nonce=self.batch))
            href = reverse("admin:jobs_run_change", args=[quote(started.run.task_id)])
            text = f"{self.job.title} is accepted as {noun} {started.run.short_id}, for {of}."
            created = started.created
        else:
            names = [str(obj) for obj in self.selection.objects]
            wish = Wish(reason=self.reason)
            done = start_many(self.job, sets, actor=actor, batch_id=self.batch, wish=wish, names=names)
            href = reverse("admin:jobs_run_changelist") + link(batch=self.batch)
            text = f"{self.job.title} is accepted: {plural(done.count, noun)}, one for each of {of}."
            if done.left_out:
                text = f"{self.job.title} is accepted: {plural(done.count, noun)}. {self._left_out(done.left_out)}"
            created = done.created
        level = messages.SUCCESS if created else messages.INFO
        if may(self.request, VIEW_RUN):
            messages.add_message(self.request, level, text if created else ALREADY)
            return redirect(href)
        return _back(self.request, level, text if created else ALREADY)

    def _left_out(self, left_out: Mapping[int, str]) -> str:
        """`Left out of 30 users: ana (…), bob (…) and 3 more.`"""
        some = list(left_out.items())[:NAMED]
        told = ", ".join(f"{self.selection.objects[place]} ({why.rstrip('.')})" for place, why in some)
        more = len(left_out) - len(some)
        return f"Left out of {self.selection.words}: {told}{f' and {more:,} more' if more else ''}."

    def _page(self, refusal: str = "", *, fresh: bool = False) -> HttpResponse:
        """The page, as it is at first or with what was typed; `fresh` gives it a new nonce."""
        if refusal:
            focus_first_wrong(self.form)
        job, selection, label = self.job, self.selection, settings.ENVIRONMENT_LABEL
        title, back = f"Run {job.title}", self.request.get_full_path()
        environment = f" in {label}" if label != "Local" or job.danger is Danger.DANGER else ""
        context = {
            **self.model_admin.admin_site.each_context(self.request),
            "title": title,
            "crumbs": [(capfirst(selection.many), back), (title, "")],
            "back": back,
            "job": job,
            "selection": selection,
            "named": [str(obj) for obj in selection.objects[:NAMED]],
            "more": f"{selection.count - NAMED:,} more" if selection.count > NAMED else "",
            "form": self.form,
            "offers_choice": self.fit.takes_many and selection.count > 1,
            "how": self.how,
            "each": plural(selection.count, "run"),
            "radio": " ".join(RADIO_CLASSES),
            "facts": self._facts(),
            "reason": self.reason,
            "longest_reason": LONGEST_REASON,
            "asks_to_confirm": job.danger is Danger.DANGER,
            "typed": self.typed,
            "confirm_error": self.confirm_error,
            "guarded": bool(job.dry_run) and job.danger is Danger.DANGER,
            "refusal": refusal,
            "nonce": str(uuid.uuid4()) if fresh or not self.confirmed else self.nonce,
            "action": f"run:{job.name}",
            "button": f"Run for {selection.words}{environment}",
        }
        return TemplateResponse(self.request, "admin_ext/object_run.html", context)

    def _facts(self) -> list[Consequence]:
        """What pressing the button brings about."""
        of, one, count = self.selection.words, self.selection.one, self.selection.count
        if count == 1:
            first = f"One new run for the {one}."
        elif self.fit.takes_many:
            first = f"One run for all {of}, or one for each: as you choose."
        else:
            first = f"{plural(count, 'new run')}, one for each {one}."
        facts = consequences(self.job, job_history(self.job.name), read_machinery(self.request))
        audit = Consequence("receipt_long", "One entry in the audit trail, with your name and the reason.")
        return [Consequence("play_arrow", first), *facts, audit]
