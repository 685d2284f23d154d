"""What cancelling a run means in the state that it is in, and afterwards what it has come to, in sentences."""

from __future__ import annotations

from datetime import datetime

from admin_ext.parts.asking import Consequence
from admin_ext.parts.words import ago, exact
from jobs.fleet.workers import Fleet
from jobs.ledger.cancel import ANSWER_WITHIN
from jobs.ledger.verbs import CANCEL_RUN, DECLARE_LOST, FORCE_CANCEL
from jobs.models import AuditEvent, Run
from jobs.states import State


def will_happen(run: Run, fleet: Fleet, now: datetime) -> list[Consequence]:
    """The lines of "Will happen"."""
    if not run.is_active:
        return []
    if run.state == State.RUNNING and run.cancel_requested_at is not None:
        return [
            Consequence("pan_tool", "It has been asked already: it ends where its job looks for that, or by itself."),
            Consequence("undo", "Nothing that it has done so far is undone."),
        ]
    facts = _of_state(run, fleet)
    facts.append(Consequence("history", "The run, its log and its files stay in the history, marked as cancelled."))
    if run.group_id:
        text = "It is a member of a group: what was to follow when the whole group has succeeded will not start."
        facts.append(Consequence("link_off", text, "warn"))
    return facts


def _of_state(run: Run, fleet: Fleet) -> list[Consequence]:
    state = State(run.state)
    if state is State.RUNNING:
        return _of_running(run, fleet)
    if not run.guaranteed:
        return [
            Consequence(
                "visibility", "Code published it, so only the workers can drop it: each that lives now is told."
            ),
            Consequence(
                "warning",
                "A worker keeps that in its memory: one that starts later, or starts again, may still run it.",
                "warn",
            ),
        ]
    if state is State.WAITING:
        return [Consequence("check_circle", f"It will never start. It waits until {exact(run.not_before)}.", "ok")]
    if state is State.ACCEPTED and not run.publish_count:
        return [Consequence("check_circle", "It will never start: it is removed before it is published.", "ok")]
    facts = [
        Consequence("check_circle", "It will never start: a worker that reaches its message drops it.", "ok"),
        Consequence("restart_alt", "That is kept in the database, so that no restart of a worker forgets it."),
    ]
    if state is State.RETRYING:
        facts.insert(0, Consequence("autorenew", f"Attempt {run.attempt} has ended; the next one will not be made."))
    return facts


def _of_running(run: Run, fleet: Fleet) -> list[Consequence]:
    facts = [
        Consequence("pan_tool", "It is asked to stop. A job that looks for that ends at its next look, in a second."),
        Consequence("warning", "A job that never looks goes on to its end, and then its own outcome counts.", "warn"),
        Consequence("undo", "Nothing that it has done so far is undone."),
    ]
    if not fleet.known:
        facts.append(
            Consequence("question_mark", "Whether its worker lives is not known: Redis does not answer.", "unknown")
        )
    elif silent(run, fleet):
        text = (
            f"Its worker {run.worker or ''} is not heard. If it is gone, the run is found lost within a minute or two."
        )
        facts.append(Consequence("sensors_off", text, "warn"))
    if not run.guaranteed:
        facts.append(Consequence("visibility", "Code published it; it can be asked to stop all the same."))
    return facts


def cancel_words(run: Run, fleet: Fleet, now: datetime) -> tuple[str, str]:
    """What the run's page says of a cancel that was asked for: the fact, and what to expect. "" where there is none.
    One query where there was one."""
    if run.cancel_requested_at is None:
        return "", ""
    done = AuditEvent.objects.filter(object_type="run", object_id=run.task_id, verb__in=_ACTS, outcome="done")
    event = done.order_by("-id").first()
    who = f"{event.actor_label}" if event else "Somebody"
    because = f" because “{event.reason}”" if event and event.reason else ""
    at = event.at if event and event.verb != CANCEL_RUN.name else run.cancel_requested_at
    return f"{who} {_act(run, event)} {ago(at, now)}{because}.", _came_to(run, event, fleet, now)


_ACTS = (CANCEL_RUN.name, FORCE_CANCEL.name, DECLARE_LOST.name)


def _act(run: Run, event: AuditEvent | None) -> str:
    if event is not None and event.verb == DECLARE_LOST.name:
        return "declared it lost"
    if event is not None and event.verb == FORCE_CANCEL.name:
        return "ended it by force" if run.is_finished else "wanted it ended by force"
    if run.state == State.RUNNING:
        return "asked it to stop"
    return "wanted it cancelled" if run.state in (State.SUCCEEDED, State.FAILED, State.LOST) else "cancelled it"


def _came_to(run: Run, event: AuditEvent | None, fleet: Fleet, now: datetime) -> str:
    if run.state == State.RUNNING:
        return f"{not_ended(run, fleet, now)} Press Cancel to see what else can be done."
    if run.is_active:
        return "The workers that live now were told to drop it."
    declared = event is not None and event.verb == DECLARE_LOST.name
    if run.state == State.LOST:
        words = "Its worker has not said what became of it; it may have partly run."
        return f"{words} Should the worker report after all, that counts." if declared else words
    if declared:
        ended = "been cancelled" if run.state == State.CANCELLED else run.state
        return f"Its worker has answered after all: it has {ended}."
    if run.state == State.SUCCEEDED:
        return "That came too late: it succeeded."
    if run.state == State.FAILED:
        return "It failed before it could be stopped, or while it stopped."
    return ""


def not_ended(run: Run, fleet: Fleet, now: datetime) -> str:
    """What there is to say of a run that was asked to stop and still runs."""
    if run.cancel_requested_at is None or now - run.cancel_requested_at < ANSWER_WITHIN:
        return "It has not ended yet."
    if not fleet.known:
        return "No answer: Redis does not answer, so whether its worker lives is not known."
    if silent(run, fleet):
        gone = "If it stays silent, the run is found lost within a minute or two."
        return f"No answer: its worker {run.worker} is not heard. {gone}"
    return "It has not stopped: its job may not look for that."


def silent(run: Run, fleet: Fleet) -> bool:
    """Whether the worker that has the run is not heard, as far as is known."""
    return fleet.known and not fleet.having(run.worker, run.process)
