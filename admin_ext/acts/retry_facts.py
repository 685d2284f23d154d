"""What a person should know before a retry, and the marks of retries on the pages of both runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from admin_ext.parts.addresses import run_address
from admin_ext.parts.asking import Consequence
from admin_ext.parts.words import ago, duration, plural
from jobs.catalog.registry import Job, RetrySafety
from jobs.failures.cases import case_digest
from jobs.ledger.retry import expires_within
from jobs.ledger.run_page import RunPage
from jobs.models import FailureCase, FailureNote, Run
from jobs.pipeline.canvas import CHAIN_BROKEN
from jobs.pipeline.delivery import is_limit
from jobs.states import RETRYABLE, State

#: The rest of a chain is counted up to here.
REST_CAP = 20
LONGEST_NOTE = 140


_NOW_IT = {
    State.WAITING: "waits for its time",
    State.ACCEPTED: "is accepted",
    State.QUEUED: "is queued",
    State.RUNNING: "is running",
    State.RETRYING: "is retrying by itself",
    State.SUCCEEDED: "succeeded",
    State.FAILED: "failed",
    State.LOST: "was lost",
    State.CANCELLED: "was cancelled",
    State.EXPIRED: "expired",
}


@dataclass(frozen=True, slots=True)
class Mark:
    """A line under a run's head: what it is to another run, with a link to that one."""

    icon: str
    tone: str
    words: str
    href: str
    name: str
    rest: str = ""
    at: datetime | None = None


def marks(page: RunPage) -> tuple[Mark, ...]:
    """What it retries, and who has retried it, the newest first."""
    run = page.run
    found = []
    if run.retry_of is not None:
        of = run.retry_of
        found.append(Mark("replay", "", "Retry of", run_address(of.task_id), f"run {of.short_id}"))
    if State(run.state) in RETRYABLE:
        found += map(_mark_of, page.retries)
    return tuple(found)


def _mark_of(retry: Run) -> Mark:
    who, href, name = retry.actor_label or "somebody", run_address(retry.task_id), f"run {retry.short_id}"
    if retry.state == State.SUCCEEDED:
        return Mark("healing", "ok", f"Healed: retried by {who} as", href, name, "which succeeded", retry.finished_at)
    rest = f"which {_NOW_IT[State(retry.state)]}; asked for"
    return Mark("replay", "", f"Retried by {who} as", href, name, rest, retry.accepted_at)


def before_you_retry(run: Run, job: Job | None, healed: Run | None) -> list[Consequence]:
    """What speaks for it, what against it, and what it will not do; `healed` is its newest retry that succeeded."""
    facts = []
    if healed is not None:
        who, ended = healed.actor_label or "somebody", healed.finished_at or healed.accepted_at
        text = f"Retried already: run {healed.short_id} by {who} succeeded {ago(ended)}."
        facts.append(Consequence("healing", f"{text} Another retry does its work once more.", "warn"))
    if job is not None and job.retry is RetrySafety.NEVER:
        facts.append(Consequence("shield", "Its job says: a run must never be retried.", "bad"))
    if run.state == State.LOST:
        text = "Its worker vanished: it may have done a part of its work, and may even be at work still."
        facts.append(Consequence("sensors_off", text, "warn"))
    facts += [*([] if healed else _healed(run)), *_alike(run), *_keeps(run), *_will_not(run), *_earlier(run)]
    return facts


def _healed(run: Run) -> list[Consequence]:
    if run.failure_group_id is None:
        return []
    digest = case_digest(run.task_name, run.arguments, exact=run.arguments_exact)
    case = FailureCase.objects.filter(group=run.failure_group_id, digest=digest).first() if digest else None
    if case is None:
        return []
    if case.healed_at is not None and not case.hurting:
        text = f"Already healed: run {case.healed_by[:8]} with the same arguments succeeded {ago(case.healed_at)}."
        return [Consequence("healing", text, "warn")]
    return [Consequence("history", "Not healed: no later run with these arguments has succeeded.")]


def _alike(run: Run) -> list[Consequence]:
    group = run.failure_group
    if group is None or group.hurting < 2:
        return []
    words = f"{plural(group.hurting, 'run')} failed the same way, and no later success has healed them."
    note = FailureNote.objects.filter(group=group).first()
    if note is not None:
        said = note.text if len(note.text) <= LONGEST_NOTE else note.text[:LONGEST_NOTE] + "…"
        words += f" {note.actor_label} noted: “{said}”"
    return [Consequence("warning", words, "warn")]


def _keeps(run: Run) -> list[Consequence]:
    """What its message said besides, and says again; of headers the names alone, for a value may be a token."""
    kept, facts = run.delivery or {}, []
    if (names := kept.get("headers")) and isinstance(names, dict):
        text = f"Its message's own headers are sent again: {', '.join(map(str, names))}."
        facts.append(Consequence("local_shipping", text))
    limits = kept.get("limits")
    if isinstance(limits, list) and len(limits) == 2 and all(one is None or is_limit(one) for one in limits):
        hard, soft = (f"{one:g} s" if one else "none" for one in limits)
        facts.append(Consequence("timer_off", f"Its time limits stay: {hard}, soft {soft}."))
    if (within := expires_within(run)) is not None:
        text = f"It expires anew: what no worker has begun within {duration(within.total_seconds())} is not run."
        facts.append(Consequence("hourglass_bottom", text))
    return facts


def _will_not(run: Run) -> list[Consequence]:
    facts = []
    kept = run.delivery or {}
    if lost := kept.get("lost"):
        text = f"Headers of its message that were too long, or no JSON, are not sent again: {', '.join(lost)}."
        facts.append(Consequence("link_off", text, "warn"))
    if kept.get("follows"):
        text = "What was to be called once it has succeeded or failed (link, link_error) is not called by this retry."
        facts.append(Consequence("link_off", text, "warn"))
    if run.group_id:
        text = (
            f"It was a member of the group {run.group_id[:8]}: what was to follow when the whole group had succeeded "
            "is not started by this retry."
        )
        facts.append(Consequence("link_off", text, "warn"))
    rest = Run.objects.filter(root_id=run.root_id or run.task_id, parent_id=run.task_id, state_note=CHAIN_BROKEN)
    if count := rest.order_by().values("pk")[: REST_CAP + 1].count():
        words = f"{count}" if count <= REST_CAP else f"more than {REST_CAP}"
        text = f"The rest of its chain, {words} that never started, is not started by this retry."
        facts.append(Consequence("link_off", text, "warn"))
    elif run.parent_id and not run.group_id:
        text = "Code started it from another run: what that run does with the outcome is not done again."
        facts.append(Consequence("link_off", text))
    return facts


def _earlier(run: Run) -> list[Consequence]:
    ended = Run.objects.filter(retry_of=run, state__in=RETRYABLE).order_by().values("pk")[: REST_CAP + 1]
    if not (count := ended.count()):
        return []
    words = "more than " + plural(REST_CAP, "time") if count > REST_CAP else plural(count, "time")
    return [Consequence("replay", f"It was retried {words} before, without success.", "warn")]
