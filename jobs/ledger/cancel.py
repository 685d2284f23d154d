"""The verb *cancel*, and its two sisters for a run that does not stop: *end by force* and *declare lost*.

The database row says that a run is cancelled, so that no restart forgets it. What has not begun never begins, because
the claim asks that row; what runs is asked to stop, and only its own end says what became of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from django.db import transaction
from django.utils import timezone

from jobs.catalog.registry import job_title
from jobs.errors import JobsError
from jobs.fleet.stopping import NotTold, drop_when_it_comes, end_by_force
from jobs.fleet.workers import Fleet
from jobs.models import AuditEvent, Run
from jobs.states import ACTIVE, State

from .audit import Actor, Subject, record
from .since import since
from .verbs import CANCEL_RUN, DECLARE_LOST, FORCE_CANCEL, Verb, require

#: A run that was asked to stop gets so long to answer before it can be declared lost.
ANSWER_WITHIN = timedelta(seconds=30)
#: So many descendants of a run are looked at.
MOST_RELATIVES = 5000
_UNPUBLISHED = {State.WAITING, State.ACCEPTED}
REMOVED_NOTE = "removed before a worker could see it"
#: Of a run whose worker has said that it kills it: whatever is found of it afterwards, a person ended it.
ENDING_NOTE = "being ended by force"
SKIPPED_NOTE = "cancelled before a worker began it; its message is dropped when one reaches it"


class How(StrEnum):
    """What cancelling did."""

    #: It will never begin, and no message of it is on the way.
    REMOVED = "removed"
    #: It will never begin: its message is dropped when a worker reaches it.
    SKIPPED = "skipped"
    #: It runs and was asked to stop.
    ASKED = "asked"
    #: An observed run that waits: the workers that live now were told to drop it.
    TOLD = "told"


class CancelRefused(JobsError):
    """Nothing was cancelled; the text says why."""

    def __init__(self, sentence: str) -> None:
        super().__init__(f"Nothing was cancelled: {sentence}")


class NotPassedOn(JobsError):
    """It is noted as cancelled, and the workers could not be told."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one act did.

    Attributes:
        children: so many of its descendants were cancelled with it.
        untold: so many of those, and itself, could not be passed on to the workers.
    """

    how: How
    children: int = 0
    untold: int = 0


def cancel_run(run: Run, *, actor: Actor, reason: str = "", children: bool = False) -> Outcome:
    """Cancel a run that has not finished, in whatever state it is now.

    Args:
        children: also what it has published, directly or not, and what has not finished.

    Raises:
        NotPermitted, CancelRefused: nothing was cancelled; the refusal is in the audit trail.
    """
    subject = subject_of(run)
    require(CANCEL_RUN, actor, subject)
    below = active_descendants(run) if children else ()
    try:
        how = _cancel(run.pk, actor, reason)
    except CancelRefused as refusal:
        # Its children may still be at work when it has ended itself.
        if not below:
            _note_refusal(CANCEL_RUN, actor, subject, reason, refusal)
            raise
        how = How.REMOVED
    untold = _pass_on(run, how)
    cancelled = 0
    for child in below:
        try:
            done = _cancel(child.pk, actor, reason, because_of=run.task_id)
        except CancelRefused:
            continue  # it has ended meanwhile, or was asked before
        cancelled += 1
        untold += _pass_on(child, done)
    return Outcome(how, cancelled, untold)


def _cancel(pk: int, actor: Actor, reason: str, because_of: str = "") -> How:
    with transaction.atomic():
        run = Run.objects.select_for_update().defer("arguments").filter(pk=pk).first()
        if run is None:
            raise CancelRefused("this run is not kept any more.")
        state = State(run.state)
        if state not in ACTIVE:
            raise CancelRefused(f"too late, run {run.short_id} has {_ended(state)} {since(run.finished_at)}.")
        now = timezone.now()
        if run.cancel_requested_at is not None and (state is State.RUNNING or not run.guaranteed):
            raise CancelRefused(f"that was asked for {since(run.cancel_requested_at)} already; it has not ended yet.")
        run.cancel_requested_at, how = now, _how(run, state)
        changed = ["cancel_requested_at"]
        if how in {How.REMOVED, How.SKIPPED}:
            run.state, run.provisional, run.finished_at, run.publish_after = State.CANCELLED, False, now, None
            run.state_note = REMOVED_NOTE if how is How.REMOVED else SKIPPED_NOTE
            changed += ["state", "provisional", "finished_at", "publish_after", "state_note"]
        run.save(update_fields=changed)
        details = {"how": how.value, "was": state.value} | ({"because_of": because_of} if because_of else {})
        record(CANCEL_RUN.name, actor, subject_of(run), reason=reason, details=details)
    return how


def _how(run: Run, state: State) -> How:
    if state is State.RUNNING:
        return How.ASKED
    if not run.guaranteed:
        return How.TOLD
    # One that was put back after its worker vanished has been published, and so may be one whose publish was not noted.
    return How.REMOVED if state in _UNPUBLISHED and not run.publish_count else How.SKIPPED


def _pass_on(run: Run, how: How) -> int:
    """Tell the workers of an observed run that waits; 1 where that failed."""
    if how is not How.TOLD:
        return 0
    try:
        drop_when_it_comes(run.task_id)
    except NotTold:
        return 1
    return 0


def end_by_force_now(run: Run, fleet: Fleet, *, actor: Actor, reason: str = "", confirmed: str = "") -> None:
    """Kill the worker's process that runs it. What the job had half done stays half done.

    Args:
        fleet: what the beacons say now.
        confirmed: what the person typed; must be the job's title.

    Raises:
        NotPermitted, CancelRefused: nothing was killed; the refusal is in the audit trail.
        NotPassedOn: the worker did not answer.
    """
    subject = subject_of(run)
    require(FORCE_CANCEL, actor, subject, CANCEL_RUN.permission)
    try:
        with transaction.atomic():
            locked = Run.objects.select_for_update().defer("arguments").filter(pk=run.pk).first()
            if locked is None or locked.state != State.RUNNING:
                raise CancelRefused(f"run {run.short_id} does not run any more.")
            if why := why_no_force(locked, fleet):
                raise CancelRefused(why)
            if confirmed != job_title(run.task_name):
                raise CancelRefused(f"type {job_title(run.task_name)} to confirm.")
            if locked.cancel_requested_at is None:
                locked.cancel_requested_at = timezone.now()
                locked.save(update_fields=["cancel_requested_at"])
            record(FORCE_CANCEL.name, actor, subject, reason=reason, details={"worker": locked.worker})
    except CancelRefused as refusal:
        _note_refusal(FORCE_CANCEL, actor, subject, reason, refusal)
        raise
    try:
        processes = sum(beacon.worker == locked.worker for beacon in fleet.beacons)
        known = end_by_force(run.task_id, locked.worker, processes)
    except NotTold as error:
        raise NotPassedOn(f"Run {run.short_id} was not ended: {error}. It stays marked as to be cancelled.") from None
    if not known:
        raise NotPassedOn(
            f"{locked.worker} says that it does not run {run.short_id} any more. Its end will show here within "
            "seconds, or it will be found lost."
        )
    # Not before the answer: a worker that is frozen has killed nothing, and may still come to an end of its own.
    killed = Run.objects.filter(pk=locked.pk, state=State.RUNNING, attempt=locked.attempt)
    killed.update(state_note=ENDING_NOTE)


def why_no_force(run: Run, fleet: Fleet) -> str:
    """Why this run cannot be ended by force; "" when it can."""
    if not fleet.known:
        return "Redis does not answer, so no worker can be told."
    beacon = next(iter(fleet.having(run.worker, run.process)), None)
    if beacon is None:
        return f"its worker {run.worker or 'is not known'} is not heard; if it is gone, the run will be found lost."
    if beacon.pool != "prefork":
        return (
            f"{run.worker} runs its work in {_POOLS.get(beacon.pool, beacon.pool)}, which nobody can end from outside. "
            "The job itself must look whether it should stop, or the worker must be ended."
        )
    return ""


_POOLS = {"solo": "its only process", "thread": "threads", "gevent": "greenlets", "eventlet": "greenlets"}


def declare_lost(run: Run, fleet: Fleet, *, actor: Actor, reason: str = "") -> None:
    """Call a run lost that was asked to stop and whose worker does not answer; a late end of it still counts.

    Raises:
        NotPermitted, CancelRefused: nothing was changed; the refusal is in the audit trail.
    """
    subject = subject_of(run)
    require(DECLARE_LOST, actor, subject)
    try:
        with transaction.atomic():
            locked = Run.objects.select_for_update().defer("arguments").filter(pk=run.pk).first()
            if locked is None:
                raise CancelRefused("this run is not kept any more.")
            if why := why_not_lost(locked, fleet, timezone.now()):
                raise CancelRefused(why)
            locked.state, locked.finished_at = State.LOST, timezone.now()
            locked.state_note = f"declared lost by {actor.label}"[:255]
            locked.save(update_fields=["state", "finished_at", "state_note"])
            record(DECLARE_LOST.name, actor, subject, reason=reason, details={"worker": locked.worker})
    except CancelRefused as refusal:
        _note_refusal(DECLARE_LOST, actor, subject, reason, refusal)
        raise


def why_not_lost(run: Run, fleet: Fleet, now: datetime) -> str:
    """Why nobody may call this run lost yet; "" when one may."""
    if run.state != State.RUNNING:
        return f"run {run.short_id} does not run any more."
    if run.cancel_requested_at is None or now - run.cancel_requested_at < ANSWER_WITHIN:
        return f"first cancel it, and give it {ANSWER_WITHIN.seconds} s to answer."
    if not fleet.known:
        return "Redis does not answer, so whether its worker lives is not known."
    if any(run.task_id in beacon.running for beacon in fleet.having(run.worker, run.process)):
        return f"{run.worker} lives and says that it still has it."
    return ""


def active_descendants(run: Run) -> tuple[Run, ...]:
    """What the run has published, directly or not, and what has not finished; among the first MOST_RELATIVES of the
    family. One query."""
    members = Run.objects.filter(root_id=run.root_id or run.task_id).defer("arguments", "progress").order_by("id")
    below, parents = [], {run.task_id}
    for one in members[:MOST_RELATIVES]:
        if one.parent_id in parents and one.task_id != run.task_id:
            parents.add(one.task_id)
            if one.is_active:
                below.append(one)
    return tuple(below)


def subject_of(run: Run) -> Subject:
    """How the audit trail names a run."""
    return Subject("run", run.task_id, f"{job_title(run.task_name)} {run.short_id}")


def _ended(state: State) -> str:
    return {State.LOST: "been lost", State.CANCELLED: "been cancelled"}.get(state, state.value)


def _note_refusal(verb: Verb, actor: Actor, subject: Subject, reason: str, refusal: CancelRefused) -> None:
    outcome = AuditEvent.Outcome.DENIED
    record(verb.name, actor, subject, reason=reason, outcome=outcome, details={"refused": str(refusal)})
