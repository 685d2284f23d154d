"""What a schedule's page says of it to everybody who may look: its arguments without secrets, what may be done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.http import HttpRequest

from admin_ext.parts.access import why_withheld
from admin_ext.parts.words import value
from jobs.catalog.registry import job_title
from jobs.catalog.routing import usual_queue
from jobs.ledger.redaction import hide_call, redact
from jobs.ledger.verbs import CHANGE_SCHEDULE, DELETE_SCHEDULE, START_RUN, SWITCH_OFF, SWITCH_ON
from jobs.schedules.preview import Preview, preview
from jobs.schedules.problems import job_of
from jobs.schedules.spec import BrokenSchedule
from jobs.schedules.stored import Stored
from jobs.text import read_json

from .access import Lacking
from .delivery import delivery_words
from .listing import told_time


@dataclass(frozen=True, slots=True)
class Shown:
    """One schedule in words.

    Attributes:
        title: of its job.
        foretold: of the time that is stored; None where none can be read.
        arguments: label and value; secrets are hidden.
        withheld: why the viewer may not read the arguments; "" for who may.
        delivery: label and value, where the queue that its route says stands too.
        run_needs, switch_needs, change_needs, delete_needs: what the viewer lacks; "" when nothing.
    """

    title: str
    sentence: str
    foretold: Preview | None
    arguments: tuple[tuple[str, str], ...]
    delivery: tuple[tuple[str, str], ...]
    run_needs: str
    switch_needs: str
    change_needs: str
    delete_needs: str
    job_known: bool
    withheld: str


def shown(request: HttpRequest, stored: Stored, now: datetime) -> Shown:
    """The schedule as its page and its questions tell it."""
    lacking, job, withheld = Lacking(request), job_of(stored), why_withheld(request, stored.row.task)
    try:
        foretold = preview(stored.plan, now)
    except BrokenSchedule:
        foretold = None
    return Shown(
        title=job_title(stored.row.task),
        sentence=told_time(stored),
        foretold=foretold,
        arguments=() if withheld else tuple(told_arguments(stored)),
        withheld=withheld,
        delivery=tuple(_delivery(stored)),
        run_needs=lacking.why_not(START_RUN, job),
        switch_needs=lacking.why_not(SWITCH_OFF if stored.row.enabled else SWITCH_ON, job),
        change_needs=lacking.why_not(CHANGE_SCHEDULE, job),
        delete_needs=lacking.why_not(DELETE_SCHEDULE, job),
        job_known=job is not None,
    )


def _delivery(stored: Stored) -> list[tuple[str, str]]:
    told = delivery_words(stored)
    if not stored.row.queue and (usual := usual_queue(stored.row.task)):
        return [("Queue", f"{usual}, as its route says"), *told]
    return told


def told_arguments(stored: Stored) -> list[tuple[str, str]]:
    """The stored arguments by their labels; the raw text where it is no JSON that a job could take."""
    if stored.args is None or stored.kwargs is None:
        raw = [("Positional", stored.row.args), ("Named", stored.row.kwargs)]
        return [(label, _without_secrets(text)) for label, text in raw if text]
    job = job_of(stored)
    fields = {f.name: f for f in job.parameters.fields} if job and job.parameters else {}
    names = list(fields)
    args, kwargs = hide_call(stored.row.task, stored.args, stored.kwargs)
    told = []
    for number, item in enumerate(args):
        name = names[number] if number < len(names) else ""
        told.append((fields[name].label if name else f"argument {number + 1}", value(item)))
    told += [(fields[name].label if name in fields else name, value(item)) for name, item in kwargs.items()]
    return told


def _without_secrets(text: str) -> str:
    try:
        return value(redact(read_json(text)))
    except ValueError:
        return "cannot be read"
