"""How the runs of a schedule are delivered: into which queue, how urgently, and until when they may start."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from admin_ext.form.fields import INPUT, SELECT, DurationField
from admin_ext.form.values import duration_text
from admin_ext.start.wishes import NO_WAY, PRIORITIES
from jobs.catalog.registry import Job
from jobs.catalog.routing import LAST_PRIORITY, known_queues, usual_queue
from jobs.schedules.stored import Stored

#: What the column of django-celery-beat takes, in seconds.
LONGEST = 2**31 - 1


class DeliveryForm(forms.Form):
    """Queue, priority and expiry; in the page their names begin with `oc.`, which no parameter can."""

    def __init__(self, job: Job, data: Mapping[str, Any] | None, stored: Stored | None) -> None:
        super().__init__(data, initial=initial_of(stored))
        self.usual = usual_queue(job.name)
        held = str(self.initial["queue"])
        names = known_queues()
        self.fields["queue"] = forms.ChoiceField(
            label="Queue",
            required=False,
            choices=[
                ("", f"As its route says{f': {self.usual}' if self.usual else ''}"),
                *((name, name) for name in names),
                # Shown so that whoever saves sees what was wrong; it is refused.
                *([(held, f"{held}, which does not exist")] if held and held not in names else []),
            ],
            widget=forms.Select({"class": SELECT}),
            help_text=f"Its route leads to {self.usual}." if self.usual else NO_WAY,
            error_messages={"invalid_choice": "There is no such queue; choose one of the list."},
        )
        self.fields["priority"] = forms.ChoiceField(
            label="Priority",
            required=False,
            choices=list(PRIORITIES.items()),
            widget=forms.Select({"class": SELECT}),
            help_text="Within its queue: 0 goes first, 9 last.",
            error_messages={"invalid_choice": "Choose a number from 0 to 9, or none."},
        )
        self.fields["expire_seconds"] = DurationField(
            label="Expires after",
            required=False,
            widget=forms.TextInput({"class": INPUT}),
            help_text="Such as 10 min: a run that no worker has started by then is not run. Left empty: it waits.",
        )

    def add_prefix(self, field_name: str) -> str:
        return f"oc.{field_name}"

    def clean_priority(self) -> int | None:
        text = self.cleaned_data["priority"]
        return int(text) if text else None

    def clean_expire_seconds(self) -> int | None:
        length: timedelta | None = self.cleaned_data["expire_seconds"]
        if length is None:
            return None
        if length.microseconds or not 1 <= length.total_seconds() <= LONGEST:
            raise ValidationError("Enter whole seconds, 1 or more.")
        return int(length.total_seconds())

    @property
    def words(self) -> str:
        """`queue finance, normal priority, expires after 10 min`."""
        queue, priority, expires = (str(self[name].value() or "") for name in ("queue", "priority", "expire_seconds"))
        return ", ".join(
            (
                f"queue {queue or self.usual}" if queue or self.usual else "its queue cannot be told",
                f"priority {PRIORITIES.get(priority, priority)}" if priority else "normal priority",
                f"expires after {expires}" if expires else "does not expire",
            )
        )


def initial_of(stored: Stored | None) -> dict[str, Any]:
    """What the row holds, as the fields write it."""
    row = stored.row if stored else None
    return {
        "queue": (row.queue or "") if row else "",
        "priority": str(min(row.priority, LAST_PRIORITY)) if row and row.priority is not None else "",
        "expire_seconds": _expiry(row.expire_seconds) if row and row.expire_seconds else "",
    }


def _expiry(seconds: int) -> str:
    try:
        return duration_text(timedelta(seconds=seconds))
    except OverflowError:  # a column holds more than Python can count
        return f"{seconds} s"


def delivery_words(stored: Stored) -> list[tuple[str, str]]:
    """What a schedule says of it, by labels; what it leaves to its route is not among them."""
    row = stored.row
    return [
        *([("Queue", str(row.queue))] if row.queue else []),
        *([("Priority", str(min(row.priority, LAST_PRIORITY)))] if row.priority is not None else []),
        *([("Expires after", _expiry(row.expire_seconds))] if row.expire_seconds else []),
    ]
