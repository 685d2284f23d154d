"""Advanced: when, where and how urgently a run is wanted. Folded into one line that tells its values."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone

from admin_ext.form.fields import INPUT, SELECT, MomentField, MomentInput
from admin_ext.parts.words import clock
from jobs.catalog.registry import Job
from jobs.catalog.routing import known_queues, usual_queue
from jobs.ledger.start import Wish
from jobs.models import Run
from jobs.schedules.spec import HORIZON

PASSED = "This moment has passed; leave it empty to run now."
NO_WAY = "Its route leads to no queue that exists, or depends on its values. Choose a queue if it is refused."
TOO_FAR = "This is more than five years away. Choose a moment within five years."
PRIORITIES = {"": "Normal", "0": "0, first", **{str(n): str(n) for n in range(1, 9)}, "9": "9, last"}


class WishForm(forms.Form):
    """Not before, queue and priority; their names in the page have a dot, which no parameter can have."""

    def __init__(self, job: Job, data: Any = None, *, like: Run | None = None) -> None:
        super().__init__(data)
        self.job = job
        queues = known_queues()
        self.usual = usual_queue(job.name)
        self.fields["not_before"] = MomentField(
            label="Not before",
            required=False,
            widget=MomentInput({"class": f"{INPUT} oc-date"}),
            help_text=f"Time in {timezone.get_current_timezone_name()}. Left empty: as soon as possible.",
        )
        self.fields["queue"] = forms.ChoiceField(
            label="Queue",
            required=False,
            choices=[("", f"As its route says{f': {self.usual}' if self.usual else ''}"), *((n, n) for n in queues)],
            initial=like.queue if like and like.queue in queues else "",
            widget=forms.Select({"class": SELECT, "data-oc-usual": self.usual}),
            help_text=f"Its route leads to {self.usual}." if self.usual else NO_WAY,
            error_messages={"invalid_choice": "There is no such queue; choose one of the list."},
        )
        self.fields["priority"] = forms.ChoiceField(
            label="Priority",
            required=False,
            choices=list(PRIORITIES.items()),
            initial="" if like is None or like.priority is None else str(like.priority),
            widget=forms.Select({"class": SELECT}),
            help_text="Within its queue: 0 goes first, 9 last.",
            error_messages={"invalid_choice": "Choose a number from 0 to 9, or none."},
        )

    def add_prefix(self, field_name: str) -> str:
        return f"oc.{field_name}"

    def clean_not_before(self) -> datetime | None:
        moment: datetime | None = self.cleaned_data["not_before"]
        if moment is not None and moment <= timezone.now():
            raise ValidationError(PASSED)
        if moment is not None and moment > timezone.now() + HORIZON:
            raise ValidationError(TOO_FAR)
        return moment

    def _now(self, name: str) -> Any:
        if self.is_bound and self.is_valid():
            return self.cleaned_data[name]
        return None if self.is_bound else self.fields[name].initial

    @property
    def queue(self) -> str:
        """What is chosen, else where its route leads; "" where nobody can tell."""
        return self._now("queue") or self.usual

    @property
    def words(self) -> tuple[str, str, str]:
        """`queue finance`, `normal priority`, `as soon as possible`."""
        priority, moment = self._now("priority"), self._now("not_before")
        return (
            f"queue {self.queue}" if self.queue else "its queue cannot be told",
            f"priority {PRIORITIES.get(priority, priority)}" if priority else "normal priority",
            f"not before {clock(moment)}" if moment else "as soon as possible",
        )

    def wish(self, *, reason: str, nonce: str, based_on: str) -> Wish:
        """What a valid form asks for."""
        values = self.cleaned_data
        return Wish(
            reason=reason,
            nonce=nonce,
            not_before=values["not_before"],
            queue=values["queue"],
            priority=int(values["priority"]) if values["priority"] else None,
            based_on=based_on,
        )
