"""Nouns for the page of one failure group: the group, how often it fails, its newest failure, what its runs share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Case, CharField, Exists, F, OuterRef, TextField, Value, When
from django.db.models.functions import Cast, Length

from jobs.catalog.registry import Job, find_job, job_title
from jobs.errors import UnknownJob
from jobs.ledger.needing_action import needing_action
from jobs.ledger.nested import CountOf
from jobs.ledger.readable import NOTHING, Withheld, readable, readable_attempt, readable_events, readable_group
from jobs.ledger.redaction import hide_in_text
from jobs.ledger.shown_arguments import without_secrets
from jobs.ledger.verbs import RETRY_RUN
from jobs.models import Attempt, AuditEvent, FailureGroup, FailureNote, Run
from jobs.states import State

from .lists import CAP, HOUR_CAP, Pace, Status, in_last_hour, pace_of, status_of
from .normal import normalise

#: What failed runs share is told of so many, the newest, and not of fewer than LEAST.
LOOKED_AT = 200
LEAST = 5
#: A value that less of them have is nothing that they share.
SHARE = 0.2
#: Longer arguments are left out of it, and so are longer values.
LONGEST_ARGUMENTS, LONGEST_VALUE = 10_000, 80
SHOWN = 6
MESSAGES_SHOWN = 5
#: What is read of 200 runs: what they are compared by, and what the page says of the newest.
READ = ("task_id", "task_name", "worker", "release", "arguments_exact", "error_type", "error_message")
NOTES_SHOWN = EVENTS_SHOWN = 50
HOURS_SHOWN = 48


@dataclass(frozen=True, slots=True)
class Shared:
    """A value that many of the newest failures have.

    Attributes:
        field: what the list of runs can be asked for: "worker", or "q" with `asked` as what to type; "" for nothing.
        count, of: so many of so many have it.
        only: every one of them has it.
    """

    name: str
    value: str
    count: int
    of: int
    field: str = ""
    asked: str = ""

    @property
    def share(self) -> int:
        """In per cent; 100 only where all have it."""
        return min(round(100 * self.count / self.of), 99) if self.count < self.of else 100


@dataclass(frozen=True, slots=True)
class GroupPage:
    """A group with what stands on every tab of its page.

    Attributes:
        job: None where the catalogue has it no more.
        needing_action, running: for the badges, counted up to one more than CAP.
        withheld: the viewer may not read its runs.
        was_retried: somebody has retried its runs in one act.
        has_notes: somebody wrote about it.
    """

    group: FailureGroup
    title: str
    job: Job | None
    status: Status
    pace: Pace
    needing_action: int
    running: int
    was_retried: bool = False
    withheld: bool = False
    has_notes: bool = False


@dataclass(frozen=True, slots=True)
class WhatHappened:
    """The first tab.

    Attributes:
        run: its newest failed run, with the columns READ; None where that was pruned.
        attempt: how that run ended; None where no attempt of it is kept.
        messages: what the newest runs said, most often first; () where all said the same.
    """

    run: Run | None
    attempt: Attempt | None
    messages: tuple[Shared, ...]
    shared: tuple[Shared, ...]
    looked_at: int
    notes: tuple[FailureNote, ...]


def group_page(pk: int, now: datetime, withheld: Withheld = NOTHING) -> GroupPage | None:
    """The group; None where there is none. Two statements.

    Args:
        withheld: the tasks whose runs the viewer may not read.
    """
    running = Run.objects.filter(state=State.RUNNING).order_by()
    its_id = Cast(OuterRef("pk"), CharField())
    retries = AuditEvent.objects.filter(object_type="failure", object_id=its_id, verb=RETRY_RUN.name)
    counted = FailureGroup.objects.annotate(
        needing=CountOf(needing_action(now).values("pk")[: CAP + 1]),
        running_now=CountOf(running.values("pk")[: CAP + 1]),
        last_hour=CountOf(in_last_hour(now).filter(failure_group=OuterRef("pk")).values("pk")[: HOUR_CAP + 1]),
        was_retried=Exists(retries.order_by()),
        has_notes=Exists(FailureNote.objects.filter(group=OuterRef("pk")).order_by()),
    )
    group: Any = counted.filter(pk=pk).first()
    if group is None:
        return None
    pace = pace_of(pk, group.last_hour, now)
    try:
        job = find_job(group.task_name)
    except UnknownJob:
        job = None
    return GroupPage(
        group=readable_group(group, withheld),
        withheld=group.task_name in withheld,
        title=job_title(group.task_name),
        job=job,
        status=status_of(group, pace, now),
        pace=pace,
        needing_action=group.needing,
        running=group.running_now,
        was_retried=group.was_retried,
        has_notes=group.has_notes,
    )


def what_happened(page: GroupPage) -> WhatHappened:
    """The first tab. Three statements, two where nobody wrote a note."""
    runs = _newest(page.group)
    newest = runs[0] if runs else None
    attempts = Attempt.objects.filter(run=newest).order_by("-number", "-id") if newest else Attempt.objects.none()
    attempt, hidden = attempts.first(), frozenset({page.group.task_name}) if page.withheld else NOTHING
    return WhatHappened(
        run=readable(newest, hidden) if newest else None,
        attempt=readable_attempt(attempt, withheld=page.withheld) if attempt else None,
        messages=() if page.withheld else messages(runs),
        shared=() if page.withheld else shared(runs, page.job),
        looked_at=len(runs),
        notes=tuple(FailureNote.objects.filter(group=page.group)[:NOTES_SHOWN]) if page.has_notes else (),
    )


def trail(page: GroupPage) -> tuple[AuditEvent, ...]:
    """What people did with the group, newest first. One statement."""
    events = AuditEvent.objects.filter(object_type="failure", object_id=str(page.group.pk)).order_by("-id")
    return readable_events(events[:EVENTS_SHOWN], frozenset({page.group.task_name}) if page.withheld else NOTHING)


def shared(runs: Sequence[Run], job: Job | None) -> tuple[Shared, ...]:
    """The values that most of these runs have, the most common first; none of few runs. Nothing secret."""
    if len(runs) < LEAST:
        return ()
    values: dict[tuple[str, str], Counter[str]] = {}
    labels = {field.name: field.label for field in job.parameters.fields} if job and job.parameters else {}
    for run in runs:
        values.setdefault(("worker", "Worker"), Counter())[run.worker] += 1
        values.setdefault(("release", "Release"), Counter())[run.release] += 1
        for name, value in _arguments(run, job):
            values.setdefault((f"={name}", labels.get(name, name)), Counter())[value] += 1
    found = [one for (key, label), counter in values.items() if (one := _top(key, label, counter, len(runs)))]
    return tuple(sorted(found, key=lambda one: -one.count)[:SHOWN])


def messages(runs: Sequence[Run]) -> tuple[Shared, ...]:
    """What these runs said and how many of them: as they said it, or without what changes where that is too many."""
    said = Counter(_first_line(run.error_message) for run in runs)
    if len(said) > MESSAGES_SHOWN:
        said = Counter(normalise(run.error_message) for run in runs)
    if len(said) < 2:
        return ()
    found = [Shared("Message", hide_in_text(text), n, len(runs)) for text, n in said.most_common(MESSAGES_SHOWN)]
    return tuple(found)


def _first_line(message: str) -> str:
    return next((" ".join(line.split()) for line in message.splitlines() if line.strip()), "")


def _top(key: str, label: str, counter: Counter[str], of: int) -> Shared | None:
    [(value, count)] = counter.most_common(1)
    if not value or count < max(SHARE * of, 2):
        return None
    field = key if key == "worker" else "q" if key.startswith("=") and not key[1:].startswith("Argument ") else ""
    return Shared(label, value, count, of, field, f"{key[1:]}={value}" if field == "q" else value)


def _newest(group: FailureGroup) -> list[Run]:
    """The newest failed runs with the columns READ, without arguments that are too long to compare."""
    short = Case(
        When(short__lte=LONGEST_ARGUMENTS, then=F("arguments")),
        default=Value(""),
        output_field=TextField(),
    )
    runs = Run.objects.filter(failure_group=group).order_by("-accepted_at", "-id").only(*READ)
    return list(runs.annotate(short=Length("arguments")).annotate(compared=short)[:LOOKED_AT])


def _arguments(run: Run, job: Job | None) -> list[tuple[str, str]]:
    """Names and short values; what is secret shows as such and is left out."""
    text = getattr(run, "compared", "")
    if not text or not run.arguments_exact:
        return []
    try:
        args, kwargs = without_secrets(text, job)
    except (ValueError, TypeError):
        return []
    given = [(f"Argument {number}", value) for number, value in enumerate(args, 1)] + list(kwargs.items())
    return [(name, words) for name, value in given if (words := _words(value))]


def _words(value: Any) -> str:
    """A short value in words; "" for what cannot be compared by eye."""
    if isinstance(value, dict):
        value = value.get("__value__", "") if "__type__" in value else ""
    if value is None or isinstance(value, (dict, list)) or "•" in str(value):
        return ""
    text = {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
    return text if len(text) <= LONGEST_VALUE else ""
