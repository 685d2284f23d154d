"""The way of a run from asked to ended, with the waits between."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from jobs.models import Run
from jobs.states import State

#: A pick-up that the start follows sooner than this, in seconds, is no step of its own.
_AT_ONCE = 0.05


@dataclass(frozen=True, slots=True)
class Step:
    """One dot of the state timeline.

    Attributes:
        status: "done", "now", "failed" or "ahead".
        seconds: the wait before it or the time it took; None where there is nothing to say.
        measures: what `seconds` measures: "waited", "late" or "took".
    """

    label: str
    status: str
    at: datetime | None = None
    seconds: float | None = None
    measures: str = ""


def timeline(run: Run) -> tuple[Step, ...]:
    """The run's way; what lies ahead of an active run is named, too."""
    state = State(run.state)
    steps = [Step("Due", "done", run.due_at)] if run.due_at else []
    late = _seconds(run.due_at, run.accepted_at)
    steps.append(Step("Asked for", "done", run.accepted_at, late, "late" if run.due_at else ""))
    if state is State.WAITING:
        ahead = (Step("Queued", "ahead"), Step("Running", "ahead"), Step("Ends", "ahead"))
        return (*steps, Step("Waits until", "now", run.not_before), *ahead)
    steps += [*_queued(run, state), *_running(run, state)]
    if not run.is_finished:
        return (*steps, Step("Ends", "ahead"))
    bad = state in {State.FAILED, State.LOST}
    ended = Step(state.value.capitalize(), "failed" if bad else "done", run.finished_at, run.runtime, "took")
    return (*steps, ended)


def _queued(run: Run, state: State) -> list[Step]:
    if run.published_at is None:
        return [Step("To be queued", "now")] if state is State.ACCEPTED else []
    status = "now" if state in {State.QUEUED, State.ACCEPTED} else "done"
    if status == "now" and run.publish_count > 1:
        return [Step(f"Queued, try {run.publish_count}", status, run.published_at)]
    return [Step("Queued", status, run.published_at, _seconds(run.accepted_at, run.published_at), "waited")]


def _running(run: Run, state: State) -> list[Step]:
    started = run.started_at
    if started is None or state in {State.ACCEPTED, State.QUEUED}:
        return [Step("Running", "ahead")] if run.is_active else []
    steps = []
    before = run.published_at or run.accepted_at
    lag = _seconds(run.claimed_at, started) or 0.0
    if run.claimed_at and lag > _AT_ONCE:
        steps.append(Step("Picked up", "done", run.claimed_at, _seconds(before, run.claimed_at), "waited"))
        before = run.claimed_at
    status = "now" if state is State.RUNNING else "done"
    # A later attempt did not wait since the message was first published: that time holds its predecessors.
    waited = _seconds(before, started) if run.attempt <= 1 else None
    label = "Running" if run.attempt <= 1 else f"Running, attempt {run.attempt}"
    steps.append(Step(label, status, started, waited, "waited"))
    return [*steps, Step("Retrying", "now")] if state is State.RETRYING else steps


def _seconds(earlier: datetime | None, later: datetime | None) -> float | None:
    # Two clocks may be involved: a wait is never shown as negative.
    return max((later - earlier).total_seconds(), 0.0) if earlier and later else None
