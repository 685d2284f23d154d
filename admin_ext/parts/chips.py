"""One table of states: tone, icon and word of each. Every chip on every page comes from here."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.catalog.registry import Danger
from jobs.models import Attempt, AuditEvent
from jobs.states import State


@dataclass(frozen=True, slots=True)
class Chip:
    """How a state looks.

    Attributes:
        tone: ok, bad, warn, caution (warn without its fill), live, idle or unknown.
        icon: a Material Symbol that Unfold ships.
    """

    tone: str
    icon: str
    word: str

    @property
    def is_trouble(self) -> bool:
        """Trouble has fill, calm has none."""
        return self.tone in {"bad", "warn"}


RUN: dict[str, Chip] = {
    State.WAITING: Chip("idle", "hourglass_empty", "Waiting"),
    State.ACCEPTED: Chip("idle", "outbox", "Accepted"),
    State.QUEUED: Chip("idle", "stacks", "Queued"),
    State.RUNNING: Chip("live", "progress_activity", "Running"),
    State.RETRYING: Chip("warn", "autorenew", "Retrying"),
    State.SUCCEEDED: Chip("ok", "check_circle", "Succeeded"),
    State.FAILED: Chip("bad", "error", "Failed"),
    State.CANCELLED: Chip("idle", "do_not_disturb_on", "Cancelled"),
    State.EXPIRED: Chip("idle", "timer_off", "Expired"),
    State.LOST: Chip("warn", "sensors_off", "Lost"),
}

ATTEMPT: dict[str, Chip] = {
    Attempt.Outcome.FAILED: Chip("bad", "error", "Failed"),
    Attempt.Outcome.RETRIED: Chip("idle", "replay", "Retried"),
    Attempt.Outcome.LOST: Chip("warn", "sensors_off", "Lost"),
    Attempt.Outcome.FENCED: Chip("warn", "shield", "Came too late"),
    Attempt.Outcome.CANCELLED: Chip("idle", "do_not_disturb_on", "Cancelled"),
}

AUDIT: dict[str, Chip] = {
    AuditEvent.Outcome.DONE: Chip("ok", "check_circle", "Done"),
    AuditEvent.Outcome.DENIED: Chip("bad", "block", "Refused"),
}

#: Beside the state of a run that only tells what it would do.
DRY_RUN = Chip("idle", "science", "Dry run")

#: How much a job can harm; most can do none, and have no mark.
DANGER: dict[str, Chip] = {
    Danger.CAUTION: Chip("caution", "warning", "Caution"),
    Danger.DANGER: Chip("bad", "shield", "Danger"),
}

SCHEDULE: dict[str, Chip] = {
    "broken": Chip("bad", "heart_broken", "Broken"),
    "on": Chip("ok", "check_circle", "On"),
    "off": Chip("idle", "toggle_off", "Off"),
}

QUEUE: dict[str, Chip] = {
    "flowing": Chip("ok", "check_circle", "Flowing"),
    "filling": Chip("idle", "trending_up", "Filling"),
    "still": Chip("idle", "pause", "Stands still"),
    "empty": Chip("idle", "inbox", "Empty"),
    "growing": Chip("warn", "trending_up", "Growing"),
    "left": Chip("warn", "hourglass_empty", "Left behind"),
    "old": Chip("warn", "schedule", "Too old"),
    "alone": Chip("bad", "person_off", "Nobody consumes"),
    "unexpected": Chip("warn", "help", "Unexpected"),
}

WORKER: dict[str, Chip] = {
    "gone": Chip("bad", "sensors_off", "Gone"),
    "wedged": Chip("bad", "running_with_errors", "Wedged"),
    "silent": Chip("unknown", "signal_disconnected", "No news"),
    "stopping": Chip("idle", "hourglass_bottom", "Stopping"),
    "deaf": Chip("live", "bolt", "Busy, no answer"),
    "busy": Chip("live", "bolt", "Busy"),
    "ready": Chip("ok", "check_circle", "Ready"),
    "quiet": Chip("idle", "bedtime", "Quiet"),
    "stopped": Chip("idle", "power_settings_new", "Stopped"),
    "shared": Chip("warn", "group", "Name shared"),
    "skewed": Chip("warn", "difference", "Other release"),
}

FAILURE: dict[str, Chip] = {
    "escalating": Chip("bad", "trending_up", "Escalating"),
    "regressed": Chip("bad", "undo", "Regressed"),
    "new": Chip("bad", "new_releases", "New"),
    "ongoing": Chip("warn", "local_fire_department", "Ongoing"),
    "healed": Chip("ok", "healing", "Healed"),
    "snoozed": Chip("idle", "snooze", "Snoozed"),
    "resolved": Chip("ok", "task_alt", "Resolved"),
}

UNKNOWN = Chip("unknown", "question_mark", "Unknown")


def run_chip(state: str) -> Chip:
    """The chip of a run's state; UNKNOWN for a text that is no state."""
    return RUN.get(state, UNKNOWN)


def attempt_chip(outcome: str) -> Chip:
    """The chip of an attempt's outcome."""
    return ATTEMPT.get(outcome, UNKNOWN)


def audit_chip(outcome: str) -> Chip:
    """The chip of an audit event's outcome."""
    return AUDIT.get(outcome, UNKNOWN)


def danger_chip(danger: str) -> Chip | None:
    """The mark of a job that can do harm; None for any other."""
    return DANGER.get(danger)


@dataclass(frozen=True, slots=True)
class Pill:
    """A filter chip: a link with icon, word and capped count."""

    word: str
    href: str
    current: bool
    count: str = ""
    chip: Chip | None = None
    icon: str = ""
