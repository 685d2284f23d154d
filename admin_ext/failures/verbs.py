"""What people can do with a group of failures: snooze, resolve, open again, write a note. All by POST."""

from __future__ import annotations

from copy import copy
from datetime import datetime, timedelta
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_POST

from admin_ext.parts.access import SEE_RUNS_REFUSED, VIEW_RUN, lacking, person, refuse_unless, withheld_from
from admin_ext.parts.asking import AskView, Consequence
from admin_ext.parts.not_taken import NOT_CHANGED, taken
from admin_ext.parts.words import ago, clock, plural
from jobs.catalog.registry import job_title
from jobs.errors import JobsError, NotPermitted
from jobs.failures.verbs import InvalidSnooze, note, reopen, resolve, snooze, subject_of
from jobs.ledger.readable import readable_group
from jobs.ledger.verbs import REOPEN_FAILURE, RESOLVE_FAILURE, SNOOZE_FAILURE, Verb
from jobs.models import FailureGroup

LIST = "admin:jobs_failuregroup_changelist"
CHANGE = "admin:jobs_failuregroup_change"
_SPANS = {"1h": timedelta(hours=1), "1d": timedelta(days=1), "1w": timedelta(weeks=1)}
CHOICES = (("1h", "1 hour"), ("1d", "1 day"), ("1w", "1 week"), ("until", "Until a time"))


@require_POST
def write_note(request: HttpRequest, pk: int) -> HttpResponse:
    """`…/note/`: keep what was written, and back to the group."""
    refuse_unless(request, VIEW_RUN, SEE_RUNS_REFUSED)
    return taken(lambda: _write(request, pk), lambda: _not_written(request, pk))


def _not_written(request: HttpRequest, pk: int) -> HttpResponse:
    messages.error(request, NOT_CHANGED)
    return redirect(CHANGE, pk)


def _write(request: HttpRequest, pk: int) -> HttpResponse:
    try:
        note(pk, request.POST.get("text", ""), actor=person(request))
    except NotPermitted as error:
        raise PermissionDenied(str(error)) from None
    except JobsError as error:
        messages.error(request, str(error))
    return redirect(CHANGE, pk)


class AskGroup(AskView):
    """A page that shows what an act on one group brings about, and asks."""

    title = "Failure"
    template_name = "admin_ext/failures/ask.html"
    elsewhere = LIST
    verb: Verb
    icon_name: str
    button: str
    done: str
    group: FailureGroup

    def find(self, **kwargs: Any) -> str:
        group = FailureGroup.objects.filter(pk=kwargs["pk"]).first()
        if group is None:
            return "That group exists no more: the last of its runs was pruned."
        self.group = group
        return ""

    def act(self) -> HttpResponse:
        try:
            group = self.change()
        except InvalidSnooze as error:
            return self.ask(refusal=str(error))
        except NotPermitted:
            raise
        except JobsError as error:
            messages.error(self.request, str(error))
            return redirect(CHANGE, self.group.pk)
        messages.success(self.request, f"{self.label_of(group)}: {self.told(group)}")
        return redirect(CHANGE, group.pk)

    def change(self) -> FailureGroup:
        """Do it, on the version that the form showed."""
        raise NotImplementedError

    def told(self, group: FailureGroup) -> str:
        """What the person is told afterwards."""
        return self.done

    def label_of(self, group: FailureGroup) -> str:
        """The group's name, as far as the person may read it."""
        return subject_of(readable_group(copy(group), withheld_from(self.request))).label

    def facts(self) -> list[Consequence]:
        """What it brings about."""
        raise NotImplementedError

    @property
    def seen(self) -> int:
        """A form that does not tell its version changes nothing."""
        text = self.request.POST.get("seen", "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        group = readable_group(copy(self.group), withheld_from(self.request))
        label = self.label_of(self.group)
        context: dict[str, Any] = {
            "crumbs": [("Failures", reverse(LIST)), (label, reverse(CHANGE, args=[group.pk])), (self.title, "")],
            "group": group,
            "label": label,
            "about": [
                ("Job", job_title(group.task_name)),
                ("Message", group.sample_message or "none"),
                ("Last seen", ago(group.last_seen)),
                ("Still hurting", plural(group.hurting, "run")),
            ],
            "facts": self.facts(),
            "button": self.button,
            "icon_name": self.icon_name,
            "needs": lacking(self.request, self.verb),
            "back": reverse(CHANGE, args=[group.pk]),
        }
        return super().get_context_data(**context | kwargs)


class SnoozeGroup(AskGroup):
    """`…/snooze/`: put it aside until a time."""

    title = "Snooze"
    verb = SNOOZE_FAILURE
    icon_name = "snooze"
    button = "Snooze it"

    def change(self) -> FailureGroup:
        return snooze(
            self.group.pk, until=self._until(), seen=self.seen, actor=person(self.request), reason=self.reason
        )

    def told(self, group: FailureGroup) -> str:
        return f"snoozed until {clock(group.snoozed_until)}."

    def _until(self) -> datetime:
        chosen = self.request.POST.get("for", "")
        if chosen in _SPANS:
            return timezone.now() + _SPANS[chosen]
        try:
            moment = parse_datetime(self.request.POST.get("until", ""))
            if moment is not None:
                return timezone.make_aware(moment) if timezone.is_naive(moment) else moment
        except (ValueError, OverflowError):
            pass
        raise InvalidSnooze("Nothing was changed: give a date and a clock time.")

    def facts(self) -> list[Consequence]:
        return [
            Consequence(
                "visibility_off", "It leaves “Needs action” and the badge until then, and comes back by itself."
            ),
            Consequence("history", "Its runs go on being counted; none is retried, cancelled or removed."),
            Consequence("undo", "It can be opened again at any time."),
        ]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = {
            "choices": CHOICES,
            "chosen": self.request.POST.get("for", "1d"),
            "until": self.request.POST.get("until", "")[:40],
            "zone": timezone.get_current_timezone_name(),
        }
        return super().get_context_data(**context | kwargs)


class ResolveGroup(AskGroup):
    """`…/resolve/`: call it done."""

    title = "Resolve"
    verb = RESOLVE_FAILURE
    icon_name = "task_alt"
    button = "Resolve it"
    done = "resolved. If a later run fails like this, it opens as regressed."

    def change(self) -> FailureGroup:
        return resolve(self.group.pk, seen=self.seen, actor=person(self.request), reason=self.reason)

    def facts(self) -> list[Consequence]:
        hurting = self.group.hurting
        facts = [
            Consequence("undo", "A run that begins after this and fails again opens it, marked Regressed."),
            Consequence("history", "Its runs stay as they are: none is retried, cancelled or removed."),
        ]
        if hurting:
            words = f"{hurting:,} of it still {'hurts' if hurting == 1 else 'hurt'}: no equal run has succeeded since."
            facts.append(Consequence("warning", words, "warn"))
        return facts


class ReopenGroup(AskGroup):
    """`…/reopen/`: bring it back."""

    title = "Open again"
    verb = REOPEN_FAILURE
    icon_name = "undo"
    button = "Open it again"
    done = "open again."

    def change(self) -> FailureGroup:
        return reopen(self.group.pk, seen=self.seen, actor=person(self.request), reason=self.reason)

    def facts(self) -> list[Consequence]:
        if self.group.hurting:
            return [Consequence("error", "It comes back under “Needs action”, with its count in the badge.")]
        return [Consequence("healing", "Nothing of it hurts now: it comes back under “Healed”.")]
