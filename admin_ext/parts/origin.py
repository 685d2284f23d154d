"""Who or what asked for a run, as lists and pages show it."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.models import Run
from jobs.states import Source

from .words import initials


@dataclass(frozen=True, slots=True)
class Origin:
    """A name with initials (a person) or a symbol (anything else).

    Attributes:
        mine: the person who looks at the page asked for it.
        verb: begins the sentence on the run's page: "Started by", …
    """

    label: str
    icon: str = ""
    initials: str = ""
    mine: bool = False
    verb: str = "Started by"


def origin_of(run: Run, viewer_key: str | None) -> Origin:
    """The origin of `run` as the user `viewer_key` sees it; reads `retry_of` of a retry."""
    mine = run.actor_id is not None and run.actor_id == viewer_key
    who = run.actor_label or "somebody unknown"
    if run.source == Source.SCHEDULE:
        return Origin(run.schedule_name or "a schedule", icon="calendar_clock", verb="Started by the schedule")
    if run.source == Source.RETRY:
        of = f", retry of {run.retry_of.short_id}" if run.retry_of else ", a retry"
        return Origin(who + of, icon="replay", mine=mine, verb="Started by")
    if run.source == Source.SYSTEM:
        return Origin("the console itself", icon="smart_toy")
    if run.source == Source.CODE:
        return Origin(run.actor_label or "code", icon="code", mine=mine, verb="Published by")
    return Origin(who, initials=initials(who), mine=mine)
