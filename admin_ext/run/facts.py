"""What a run's page says about the run, in words. Nothing here reads the database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.admin.utils import quote
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from admin_ext.parts.chips import run_chip
from admin_ext.parts.keyset import link
from admin_ext.parts.words import duration, exact, plural, value
from jobs.ledger.based_on import BasedOn
from jobs.ledger.durations import Usual
from jobs.ledger.run_page import Outcome, RunPage
from jobs.ledger.timeline import timeline
from jobs.models import Run
from jobs.pipeline.canvas import NOT_STARTED
from jobs.states import Source, State

from .technical import GUARANTEED, OBSERVED

_SOURCES: dict[str, str] = {
    Source.CONSOLE: "started by hand in the console",
    Source.SCHEDULE: "a schedule",
    Source.RETRY: "a retry by hand",
    Source.CODE: "published by code",
    Source.SYSTEM: "the console itself",
}
_ENDED = {
    State.SUCCEEDED: "succeeded",
    State.FAILED: "failed",
    State.CANCELLED: "was cancelled",
    State.EXPIRED: "expired",
    State.LOST: "was found lost",
}


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence under the page's head that explains the state: tone warn, bad or idle; `href` leads to what helps."""

    tone: str
    icon: str
    fact: str
    text: str
    href: str = ""
    way_on: str = ""


@dataclass(frozen=True, slots=True)
class Dot:
    """One dot of the state timeline: `status` is done, now, failed or ahead; the notes stand below the clock.

    Attributes:
        about: when it is expected, for what lies ahead.
    """

    label: str
    status: str
    at: datetime | None
    note: str = ""
    so_far: str = ""
    about: datetime | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What a successful run returned: one sentence, or text to be shown as it is."""

    text: str
    is_sentence: bool


def outcome_words(run: Run) -> str:
    """The state's word, for titles."""
    return run_chip(run.state).word


def ended_words(run: Run) -> str:
    """The end as a verb of the sentence under the title; "" while the run is active."""
    return _ENDED.get(State(run.state), "")


def steps(run: Run, usual: Usual | None) -> tuple[Dot, ...]:
    """The state timeline with its waits in words."""
    now = timezone.now()
    dots = []
    for step in timeline(run):
        note = "" if step.seconds is None else f"{step.measures} {duration(step.seconds)}".strip()
        if step.measures == "late":
            note = f"{duration(step.seconds)} late"
        runs = step.status == "now" and run.state == State.RUNNING
        so_far = f"{duration(max((now - step.at).total_seconds(), 0.0))} so far" if runs and step.at else ""
        dots.append(Dot(step.label, step.status, step.at, note, so_far))
    if run.state == State.RUNNING and run.started_at and usual:
        dots[-1] = _end(run.started_at, usual, now)
    return tuple(dots)


def _end(started: datetime, usual: Usual, now: datetime) -> Dot:
    expected = started + timedelta(seconds=usual.p50)
    if now > started + timedelta(seconds=usual.p95):
        return Dot("Ends", "late", None, f"later than 95 % of its runs, usually {duration(usual.p50)}")
    return Dot("Ends", "ahead", None, f"usually {duration(usual.p50)}", about=expected if expected > now else None)


def notices(page: RunPage) -> tuple[Notice, ...]:
    """What the state alone does not say."""
    run, found = page.run, []
    if run.state == State.LOST:
        again = (
            "The job may be run again safely."
            if page.job and page.job.idempotent
            else "Look at what it should have done before you run it again."
        )
        why = f" ({run.state_note})" if run.state_note else ""
        declared = run.state_note.startswith("declared")
        words = f"D{run.state_note[1:]}" if declared else f"Its worker vanished{why}"
        found.append(Notice("warn", "sensors_off", f"{words}; it may have partly run.", again))
    elif run.state_note:
        found.append(Notice("idle", "info", f"{run.state_note[:1].upper()}{run.state_note[1:]}.", ""))
    if run.state == State.RETRYING:
        text = "It is tried again by itself; nobody needs to do anything."
        found.append(Notice("warn", "autorenew", f"Attempt {run.attempt} ended, another follows.", text))
    if run.provisional:
        text = "It may still be corrected by what the worker itself reports."
        found.append(Notice("idle", "help", "This end was not announced by the worker.", text))
    if run.resolution:
        found.append(Notice("idle", "task_alt", f"Somebody has decided: {run.resolution}.", ""))
    if run.truncated:
        text = "What is missing was cut out of the middle."
        found.append(Notice("idle", "content_cut", "Its value or traceback was too long to be kept whole.", text))
    if not run.arguments_exact and run.state_note in NOT_STARTED:
        text = "It was to get the result of what ran before it. It cannot be retried as it was; retry what failed."
        found.append(Notice("idle", "data_object", "Its parameters are not complete.", text))
    elif not run.arguments_exact:
        text = "They are too long, or hold what JSON cannot say, as pickle can. This run cannot be retried as it was."
        found.append(Notice("idle", "data_object", "The parameters could not be kept whole.", text))
    return tuple(found)


def result_of(outcome: Outcome, run: Run) -> Result | None:
    """The return value of a run that succeeded; None for any other."""
    if run.state != State.SUCCEEDED:
        return None
    if not outcome.has_result:
        return Result("It succeeded. What it returned is not kept.", is_sentence=True)
    if outcome.result is None:
        return Result("It succeeded and returned nothing.", is_sentence=True)
    text = value(outcome.result)
    return Result(text, is_sentence=isinstance(outcome.result, str) and len(text) <= 300 and "\n" not in text)


@dataclass(frozen=True, slots=True)
class FactRow:
    """One line of the Facts card; `href` leads to the runs, or the page, that the value names."""

    name: str
    text: str
    href: str = ""


def facts(page: RunPage, usual: Usual | None, schedule_href: str = "") -> list[FactRow]:
    """The Facts card: name and value, each in words."""
    run = page.run
    runs = reverse("admin:jobs_run_changelist")
    rows = [
        FactRow("Queue", run.queue or "not known", runs + link(queue=run.queue) if run.queue else ""),
        FactRow(
            "Worker",
            run.worker or ("none yet" if run.is_active else "none took it"),
            runs + link(worker=run.worker) if run.worker else "",
        ),
        FactRow("Attempt", str(run.attempt) if run.attempt else "none yet" if run.is_active else "none"),
        *([FactRow("Waited", _waited(run))] if run.attempt <= 1 else []),
        FactRow("Usually", usual_words(usual)),
        FactRow("Release", run.release if run.release and run.release != "unknown" else "not known"),
        FactRow("Source", _SOURCES.get(run.source, run.source)),
    ]
    if run.schedule_name or run.schedule_id:
        rows.append(FactRow("Schedule", run.schedule_name or f"number {run.schedule_id}", schedule_href))
    if run.due_at:
        rows.append(FactRow("Due", exact(run.due_at)))
    if run.not_before:
        rows.append(FactRow("Not before", exact(run.not_before)))
    if run.expires_at:
        rows.append(FactRow("Expires", f"{exact(run.expires_at)}, unless it has started by then"))
    if run.priority is not None:
        rows.append(FactRow("Priority", {0: "0, first", 9: "9, last"}.get(run.priority, str(run.priority))))
    if run.group_id:
        rows.append(FactRow("Group", run.group_id[:8]))
    if run.publish_count > 1:
        rows.append(FactRow("Published", plural(run.publish_count, "time")))
    rows.append(FactRow("Delivery", GUARANTEED if run.guaranteed else OBSERVED))
    return rows


def usual_words(usual: Usual | None) -> str:
    """`4 min, 95 % within 7 min`."""
    if usual is None:
        return "not known yet"
    return f"{duration(usual.p50)}, 95 % within {duration(usual.p95)}"


def schedule_address(run: Run) -> str:
    """The page of the schedule that started the run; "" where there is none."""
    if run.schedule_id is None:
        return ""
    try:
        return reverse("admin:django_celery_beat_periodictask_change", args=[quote(str(run.schedule_id))])
    except NoReverseMatch:
        return ""


def based_on_words(based_on: BasedOn) -> str:
    """How a run differs from the one that its form was filled from; completes "run 1234abcd, …"."""
    if based_on.run is None:
        return "no longer kept"
    if based_on.differing is None:
        return "its parameters cannot be compared any more"
    if not based_on.differing:
        return "no field differs"
    verb = "field differs" if len(based_on.differing) == 1 else "fields differ"
    return f"{len(based_on.differing)} {verb}: {', '.join(based_on.differing)}"


def _waited(run: Run) -> str:
    asked = max(run.accepted_at, run.not_before or run.accepted_at)
    if run.started_at is None:
        return "not started yet" if run.is_active else "never started"
    return duration(max((run.started_at - asked).total_seconds(), 0.0))
