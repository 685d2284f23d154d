"""Nouns for the Overview: its figures, as parts of the one statement that reads the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from jobs.states import State

from .needing_action import needing_action
from .run_query import RunQuery, pool_of
from .together import Part, Told, number_of, numbers_since, rows_of

#: The small pictures have a point for each of so many hours.
HOURS = 24
DAY = timedelta(hours=HOURS)
#: So many groups are told at most, those that failed last.
MOST_GROUPS = 30
_RAN, _BAD = "ran", ("failed", "lost")
_NOW = {"running": State.RUNNING, "queued": State.QUEUED, "accepted": State.ACCEPTED}


@dataclass(frozen=True, slots=True)
class ByHour:
    """Runs asked for within the last 24 hours.

    Attributes:
        total: counted up to one more than the cap.
        hours: of each hour, oldest first; None for the hours that counting did not reach.
    """

    total: int
    hours: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Figures:
    """How many runs there are; each number stops at one more than the cap.

    Attributes:
        bad: failed or lost.
        needing_action: groups of failures; `hurting`: failures of those groups that no success has healed.
    """

    ran: ByHour
    bad: ByHour
    running: int
    queued: int
    accepted: int
    needing_action: int
    hurting: int


def figure_parts(now: datetime, *, cap: int) -> list[Part]:
    """What to ask for `figures_of`, and the rows of the groups that need action, under "groups"."""
    begins = [now - DAY + timedelta(hours=hour) for hour in range(HOURS)]
    lists = {_RAN: RunQuery(since=begins[0])}
    lists |= {name: RunQuery(state=State(name), since=begins[0]) for name in _BAD}
    groups = needing_action(now)
    parts = [rows_of("groups", groups.order_by("-last_seen", "-id"), MOST_GROUPS)]
    for name, query in lists.items():
        found = pool_of(query).from_place(None).values("accepted_at")[: cap + 1]
        parts.append(numbers_since(name, found, "accepted_at", begins))
    for name, state in _NOW.items():
        parts.append(number_of(name, pool_of(RunQuery(state=state)).from_place(None).values("id")[: cap + 1]))
    needing = groups.values("pk", "hurting")[: cap + 1]
    parts += [number_of("needing_action", needing), number_of("hurting", needing, "SUM(hurting)")]
    return parts


def figures_of(told: Mapping[str, Sequence[Told]], *, cap: int) -> Figures:
    """The figures out of the answers."""
    single = {name: told[name][0].number for name in (*_NOW, "needing_action", "hurting")}
    return Figures(
        ran=_by_hour(told.get(_RAN, ()), cap),
        bad=_by_hour([row for name in _BAD for row in told.get(name, ())], cap),
        **single,
    )


def _by_hour(rows: Sequence[Told], cap: int) -> ByHour:
    hours: list[int | None] = [0] * HOURS
    for row in rows:
        hours[row.place] = (hours[row.place] or 0) + row.number
    total = sum(row.number for row in rows)
    if total > cap and rows:
        # The newest were counted: the oldest hour among them is not whole, and those before it are not known.
        reached = min(row.place for row in rows)
        hours[: reached + 1] = [None] * (reached + 1)
    return ByHour(total, tuple(hours))
