"""How a fact changes a run: pure, so that every order of arrival can be tried.

A fact moves the state only upwards in (n, rank); what is missing is filled in whenever it comes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from celery import states as celery_states

from jobs.catalog.applications import task_of
from jobs.catalog.registry import find_job
from jobs.errors import UnknownJob
from jobs.ledger.cancel import ENDING_NOTE
from jobs.ledger.summary import summarise
from jobs.models import Attempt, Run
from jobs.pipeline.arguments import kept_arguments
from jobs.pipeline.backend import LOST_CHILD, SHUTDOWN
from jobs.pipeline.canvas import CHORD_UNSENT, NOT_STARTED
from jobs.pipeline.facts import Fact, Kind
from jobs.states import ACTIVE, Source, State, rank

from .rows import bare

#: How long after a retry's own time its message may be missing before the dispatcher looks, in seconds.
RETRY_GRACE = 30
#: An idempotent run is started at most this often on behalf of vanished workers: a poison job must stop.
MAX_LOST_ATTEMPTS = 3
#: The note of a run whose worker's beacon is gone, or no longer lists it.
WORKER_GONE = "worker vanished"
#: What the page says of a body that raised `Ignore`.
IGNORED = "the task told Celery to ignore it"
TERMINATED = "ended by force; what it was doing may be half done"
#: The note of a run of which a restored database does not know what became.
RESTORED = "database restored"
#: The note of a run whose end no worker has told.
BY_HAND = "its result was stored by hand"
#: What Celery says of an execution that is over.
_ENDS = celery_states.READY_STATES | {celery_states.RETRY, celery_states.IGNORED, celery_states.REJECTED}
#: What it stores of them.
_STORED = celery_states.READY_STATES | {celery_states.RETRY}
_LOST_NOTES = {LOST_CHILD, SHUTDOWN, WORKER_GONE, RESTORED}
#: Whose fact tells of no result that Celery has stored.
_TOLD_BY_RECORDER = {WORKER_GONE, RESTORED}
_SOURCES = frozenset(Source)
#: A run of which nothing is known.
_BLANK = {field.attname: field.get_default() for field in Run._meta.concrete_fields}


@dataclass(frozen=True, slots=True)
class Merged:
    """What a fact did: the attempt to keep, if the fact ended one without success, and whether the result counts."""

    attempt: Attempt | None = None
    counts: bool = False


def new_observed_run(fact: Fact) -> Run:
    """The row of a run that the console has not accepted and hears of for the first time."""
    run = bare(Run, _BLANK)
    run.task_id, run.task_name = fact.task_id, fact.task
    run.guaranteed, run.source, run.state = False, Source.CODE, State.QUEUED
    run.accepted_at = moment(fact.published or fact.at)
    run.published_at = moment(fact.published) if fact.published else None
    run.root_id, run.parent_id = _root(fact), fact.parent_id
    run.queue, run.arguments_exact = fact.queue, False
    return run


def apply_fact(run: Run, fact: Fact) -> Merged:
    """Merge one fact into the run (in memory; the caller holds its lock and saves it)."""
    if fact.kind is Kind.PUBLISHED and run.published_at is None and run.state_note in NOT_STARTED:
        run.attempt = 0  # it starts after all: what broke its chain or chord was delivered again
        _open_again(run, fact)
    if not run.guaranteed and (use := _use(run, fact)):
        if use < 0:
            return Merged(attempt=None if fact.kind is Kind.PUBLISHED else _fenced(run, fact, fact.retries + 1))
        _open_again(run, fact)
    if _never_began(run, fact):
        return Merged()
    if fact.kind is Kind.SET:
        if State(run.state) in ACTIVE:
            run.progress = fact.progress
        return Merged()
    if not fact.makes_run and fact.kind is Kind.ENDED and fact.state != celery_states.REVOKED:
        return _stored_by_hand(run, fact)
    _fill_in(run, fact)
    if fact.kind is Kind.PUBLISHED:
        return Merged()
    n = _number(run, fact)
    if n < run.attempt:
        return Merged(attempt=_fenced(run, fact, n))
    state = _state(fact)
    if state is State.RETRYING and run.guaranteed and run.cancel_requested_at is not None:
        state = State.CANCELLED  # nobody claims its next attempt
    provisional, note = fact.provisional, fact.note
    if state is State.LOST and run.state == State.RUNNING and run.state_note == ENDING_NOTE and n == run.attempt:
        # Its worker has said that it kills it and could not tell the end; its own word, should one come, says more.
        state, provisional, note = State.CANCELLED, True, TERMINATED
    if (n, rank(state, provisional=provisional or note in NOT_STARTED)) <= _known(run):
        return Merged(attempt=_attempt(run, fact, n, state))
    if state is State.LOST and _may_run_again(run):
        # The dispatcher publishes the next attempt; Celery's count of retries stays where it was.
        run.attempt, run.state, run.provisional, run.state_note = n, State.ACCEPTED, False, fact.note
        run.publish_after, run.claimed_by = datetime.now(UTC), ""
        return Merged(attempt=_attempt(run, fact, n, state))
    run.attempt, run.state, run.provisional, run.state_note = n, state, provisional, note
    if fact.state == celery_states.IGNORED:
        run.state_note = fact.note or IGNORED
    if fact.state == celery_states.REVOKED and fact.error_message == "terminated":
        run.state_note = TERMINATED
    run.publish_after = None
    if state is State.RUNNING:
        run.claimed_at, run.claimed_by = moment(fact.at), f"{fact.process}:" if fact.process else ""
        return Merged()
    if state is State.RETRYING:
        run.retries = fact.retries + 1
        # How long it waits is the worker's word; when that began is not: its clock may be hours off.
        wait = max(0.0, (fact.eta or fact.at) - fact.at) + RETRY_GRACE
        run.publish_after = datetime.now(UTC) + timedelta(seconds=wait) if run.guaranteed else None
    else:
        run.finished_at, run.runtime = moment(fact.at), fact.runtime
    run.error_type, run.error_message = fact.error_type, fact.error_message
    run.truncated = fact.truncated
    if fact.progress is not None:
        run.progress = fact.progress
    counts = fact.note not in _TOLD_BY_RECORDER and bool(fact.left_state or fact.state in _STORED)
    return Merged(attempt=_attempt(run, fact, n, state), counts=counts)


def _stored_by_hand(run: Run, fact: Fact) -> Merged:
    """Somebody's own code has stored a result: the last word counts, as it does for Celery, but over a success.

    A console run that has not ended goes on: the worker that has it, or will have it, tells its end.
    """
    if run.state == State.SUCCEEDED:
        return Merged()
    if run.guaranteed and run.is_active:
        return Merged(counts=True)
    run.provisional = run.provisional or run.is_active
    run.attempt, run.state, run.state_note = max(run.attempt, 1), _state(fact), BY_HAND
    run.finished_at, run.publish_after = moment(fact.at), None
    run.error_type, run.error_message, run.truncated = fact.error_type, fact.error_message, fact.truncated
    return Merged(counts=True)


def _never_began(run: Run, fact: Fact) -> bool:
    """Whether the fact tells of an execution that no worker has claimed and none will: its run was cancelled first.

    A worker's main process hears of a message before its run is claimed: what stops the worker or kills the process in
    between is told as a loss of what never began.
    """
    if not run.guaranteed or run.cancel_requested_at is None or fact.state == celery_states.SUCCESS:
        return False
    return fact.n is not None and fact.n > run.attempt


def _use(run: Run, fact: Fact) -> int:
    """Whether the fact tells of a later (1) or an earlier (-1) use of the same id than the row does; 0: of this one."""
    if fact.published is None or run.published_at is None:
        return 0
    # Two publishes lie more than a millisecond apart; the database rounds to a microsecond.
    apart = fact.published - run.published_at.timestamp()
    return 0 if abs(apart) < 0.001 else 1 if apart > 0 else -1


def _open_again(run: Run, fact: Fact) -> None:
    """The next use of an id that code publishes again and again: its attempts are numbered on.

    Nothing that the use before it was published with is left; what this one was, `_fill_in` knows.
    """
    run.attempts_before = run.attempt
    if not _continues(fact):
        run.parent_id, run.root_id, run.group_id, run.origin = "", None, "", ""
        run.source, run.schedule_name, run.actor_id, run.actor_label = Source.CODE, "", None, ""
    run.queue, run.priority, run.delivery, run.not_before, run.expires_at = "", None, None, None, None
    run.arguments, run.summary, run.arguments_exact = _BLANK["arguments"], "", False
    run.task_name = fact.task or run.task_name
    run.state, run.provisional, run.state_note = State.QUEUED, False, ""
    run.accepted_at = run.published_at = moment(fact.published or fact.at)
    run.started_at = run.finished_at = run.claimed_at = run.runtime = None
    run.error_type = run.error_message = ""
    run.progress = run.cancel_requested_at = None


def _continues(fact: Fact) -> bool:
    """Whether a run goes on as itself, by an automatic retry or as another task: Celery names it as its own parent."""
    return fact.parent_id == fact.task_id


def moment(epoch: float) -> datetime:
    return datetime.fromtimestamp(epoch, UTC)


def _known(run: Run) -> tuple[int, int]:
    """How much the run already knows, as (n, rank)."""
    state = State(run.state)
    if run.attempt and state in {State.WAITING, State.ACCEPTED, State.QUEUED}:
        # Put back after its attempt was lost: only that attempt's own end, or a person's word about it, says more.
        return run.attempt, rank(State.LOST)
    return run.attempt, rank(state, provisional=run.provisional or run.state_note in NOT_STARTED)


def _fill_in(run: Run, fact: Fact) -> None:
    run.task_name = run.task_name or fact.task
    run.worker = fact.worker or run.worker
    run.queue = run.queue or fact.queue
    run.release = fact.release or run.release
    if not _continues(fact):
        run.parent_id = run.parent_id or fact.parent_id
    run.group_id = run.group_id or fact.group_id
    run.root_id = run.root_id or _root(fact)
    if fact.started_at is not None and run.started_at is None:
        run.started_at = moment(fact.started_at)
    if run.guaranteed:
        if run.published_at is None and fact.published is not None:
            # A worker may have been faster than the dispatcher's note.
            run.published_at = moment(fact.published)
        return
    if fact.schedule_name:
        run.schedule_name, run.source = fact.schedule_name, Source.SCHEDULE
    elif fact.source in _SOURCES and not _continues(fact):
        run.source = Source(fact.source)
    if fact.kind is Kind.PUBLISHED or (fact.note in NOT_STARTED and run.published_at is None):
        run.arguments = kept_arguments(run.task_name, fact.arguments) or run.arguments
        run.summary = summarise(run.arguments, run.task_name)
        run.arguments_exact = fact.arguments_exact and bool(fact.arguments)
    if fact.kind is Kind.PUBLISHED:
        run.actor_id = fact.actor_id if run.actor_id is None else run.actor_id
        run.actor_label = run.actor_label or fact.actor_label
        run.accepted_at = run.published_at = moment(fact.published or fact.at)
        run.group_id, run.origin = fact.group_id, fact.origin
        run.priority = fact.priority
        run.delivery = _delivery(run.task_name, fact)
        run.not_before = moment(fact.eta) if fact.eta else None
        run.expires_at = moment(fact.expires) if fact.expires else None


def _delivery(task_name: str, fact: Fact) -> dict[str, Any] | None:
    """Without time limits that the task itself has: a retry gets those that it has then."""
    task = task_of(task_name)
    own = [getattr(task, "time_limit", None), getattr(task, "soft_time_limit", None)]
    told = {name: value for name, value in fact.delivery.items() if name != "limits" or value != own}
    return told or None


def _root(fact: Fact) -> str | None:
    return fact.root_id if fact.root_id and fact.root_id != fact.task_id else None


def _number(run: Run, fact: Fact) -> int:
    if fact.n is not None:
        return fact.n
    # Without the header: an observed run counts Celery's retries; of a console run (Task.replace() drops headers, and
    # remote control knows none) it can only be the attempt that we know of.
    return run.attempt if run.guaranteed else run.attempts_before + fact.retries + 1


def _state(fact: Fact) -> State:
    if fact.kind is Kind.STARTED or fact.state not in _ENDS:
        return State.RUNNING  # what a release before this one told as an end, too: a state that was set by hand
    if fact.state == celery_states.SUCCESS:
        return State.SUCCEEDED
    if fact.state == celery_states.RETRY:
        # Told by a worker that was stopped while the task ran: under early acknowledgement nobody delivers it again.
        return State.LOST if fact.provisional else State.RETRYING
    if fact.state == celery_states.REVOKED:
        return State.EXPIRED if "expired" in fact.error_message else State.CANCELLED
    if fact.state == celery_states.IGNORED or fact.note in NOT_STARTED - {CHORD_UNSENT}:
        return State.CANCELLED
    return State.LOST if fact.note in _LOST_NOTES else State.FAILED


def _may_run_again(run: Run) -> bool:
    if not run.guaranteed or run.cancel_requested_at is not None:
        return False
    try:
        return find_job(run.task_name).idempotent and run.attempt < MAX_LOST_ATTEMPTS
    except UnknownJob:
        return False


_OUTCOMES = {
    State.FAILED: Attempt.Outcome.FAILED,
    State.RETRYING: Attempt.Outcome.RETRIED,
    State.LOST: Attempt.Outcome.LOST,
    State.CANCELLED: Attempt.Outcome.CANCELLED,
}


def _attempt(run: Run, fact: Fact, n: int, state: State) -> Attempt | None:
    outcome = _OUTCOMES.get(state)
    if outcome is None or (state is State.CANCELLED and fact.started_at is None):
        return None
    return _ended(run, fact, n, outcome)


def _fenced(run: Run, fact: Fact, n: int) -> Attempt | None:
    """A fact of an earlier attempt: its failure or retry is history; its success came too late to count."""
    state = _state(fact)
    if state is State.SUCCEEDED:
        return _ended(run, fact, n, Attempt.Outcome.FENCED)
    return _attempt(run, fact, n, state)


def _ended(run: Run, fact: Fact, n: int, outcome: Attempt.Outcome) -> Attempt:
    finished = moment(fact.at)
    started = moment(fact.started_at) if fact.started_at else None
    if started is None and fact.runtime is not None:
        started = finished - timedelta(seconds=fact.runtime)
    return Attempt(
        run=run,
        number=max(n, 1),
        outcome=outcome,
        worker=fact.worker,
        started_at=started,
        finished_at=finished,
        runtime=fact.runtime,
        error_type=fact.error_type,
        error_message=fact.error_message,
        traceback=fact.traceback,
    )
