"""The runs list: everything that the page shows for what its address asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.utils import timezone

from admin_ext.parts.chips import Pill, run_chip
from admin_ext.parts.keyset import PER_PAGE, NotAPosition, RunPosition, place_text
from admin_ext.parts.rows import Row, rows
from admin_ext.parts.words import capped, clock
from jobs.ledger.durations import usual
from jobs.ledger.export import MOST_ROWS
from jobs.ledger.needing_action import NEEDING, needing_statement
from jobs.ledger.readable import Withheld
from jobs.ledger.run_counts import RunCounts, run_counts
from jobs.ledger.run_query import Place, RunQuery, search_is_indexed
from jobs.ledger.run_slices import RunSlice, run_slice
from jobs.states import State

from .asked import Asked
from .choices import Named, named, statements

#: Counting stops here: "10,000+".
COUNT_CAP = 10_000
#: Always shown, in this order; the others when they have runs or are asked for.
_FIRST_STATES = (State.RUNNING, State.QUEUED, State.RETRYING, State.FAILED, State.LOST, State.SUCCEEDED)


@dataclass(frozen=True, slots=True)
class Looked:
    """How far a search came that stopped before the end of the history.

    Attributes:
        sentence: what was looked through.
        href: the address that goes on from there; "" where nothing can.
    """

    sentence: str
    href: str
    way_on: str


@dataclass(frozen=True, slots=True)
class RunListPage:
    """Everything that the runs list shows.

    Attributes:
        drops: each filter in words, with the address of the view without it.
        newer_than: asks for the runs newer than the first row; "" on older pages.
        matching: how many runs match, "+" where there may be more.
    """

    asked: Asked
    position: RunPosition
    rows: tuple[Row, ...]
    pills: tuple[Pill, ...]
    drops: tuple[tuple[str, str], ...]
    named: Named
    matching: str = ""
    newer: str = ""
    older: str = ""
    oldest: str = ""
    newer_than: str = ""
    looked: Looked | None = None
    running: int | None = None
    needing_action: int | None = None

    @property
    def export_rows(self) -> str:
        return f"{MOST_ROWS:,}"


def run_list_page(
    parameters: Mapping[str, Any], viewer_key: str | None, withheld: Withheld, *, link_schedules: bool = False
) -> RunListPage:
    """Read the list that the address asks for.

    Two queries, one more where what jobs usually take has to be read anew, one where words are looked for in errors,
    and one where the index of words is asked.
    """
    asked, position = _asked(parameters)
    besides = statements()
    if asked.problems:
        names = named((), read=False)
        return RunListPage(asked, position, (), _pills(asked, None), _drops(asked, names), names)
    query = asked.query(viewer_key, withheld)
    shown = run_slice(query, limit=PER_PAGE, place=position.place, backwards=position.backwards)
    counts = run_counts(
        query,
        cap=COUNT_CAP,
        shown=shown,
        place=position.place,
        backwards=position.backwards,
        besides=[*besides, needing_statement(cap=COUNT_CAP)],
    )
    if position.after and not shown.lines and counts.end is None:
        # Nothing is newer than what was the top.
        position = RunPosition()
        shown = run_slice(query, limit=PER_PAGE)
    lines = shown.lines
    top = lines[0].place if lines else Place(timezone.now(), 0)
    usually = usual(line.run.task_name for line in lines) if lines else {}
    names = named(counts.besides, read=bool(besides))
    return RunListPage(
        asked=asked,
        position=position,
        rows=rows(lines, usually, link_schedules=link_schedules),
        pills=_pills(asked, counts, len(lines)),
        drops=_drops(asked, names),
        named=names,
        matching=_matching(query, counts, shown, position),
        newer_than=asked.link(after=place_text(top)) if position.is_top else "",
        running=counts.running,
        needing_action=next(number for kind, _, number in counts.besides if kind == NEEDING),
        looked=_looked(asked, query, shown, counts, position, names),
        **_ways(asked, shown, counts, position),
    )


def _asked(parameters: Mapping[str, Any]) -> tuple[Asked, RunPosition]:
    asked = Asked.of(parameters)
    try:
        return asked, RunPosition.of(parameters)
    except NotAPosition:
        problem = "The address names a position in the list that does not exist."
        return replace(asked, problems={**asked.problems, "": problem}), RunPosition()


def _ways(asked: Asked, shown: RunSlice, counts: RunCounts, position: RunPosition) -> dict[str, str]:
    """The addresses of the pages beside this one; "" where there is none."""
    lines, place = shown.lines, position.place
    older = newer = None
    if position.backwards:
        newer = lines[0].place if shown.more else counts.end
        older = None if position.last else lines[-1].place if lines else place
    else:
        older = lines[-1].place if shown.more else None
        newer = None if place is None else lines[0].place if lines else place
    at_the_end = position.last or (older is None and counts.end is None)
    return {
        "newer": asked.link(after=place_text(newer)) if newer else "",
        "older": asked.link(before=place_text(older)) if older else "",
        "oldest": "" if at_the_end else asked.link(last="1"),
    }


def _looked(
    asked: Asked, query: RunQuery, shown: RunSlice, counts: RunCounts, position: RunPosition, names: Named
) -> Looked | None:
    pool = shown.pool
    if counts.end is None:
        return None
    what = asked.words_of(names).get(_PARAMETERS.get(pool.lead, pool.lead), "")
    runs = f"{pool.size:,} runs" + (f" with {what}" if what else "")
    if position.backwards:
        start = "oldest" if position.last else "next newer"
        sentence = f"Looked through the {start} {runs}, up to {clock(counts.end.at)}."
        return Looked(sentence, asked.link(after=place_text(counts.end)), "Look further on")
    start = "newest" if position.before is None else "next older"
    sentence = f"Looked through the {start} {runs}, back to {clock(counts.end.at)}."
    if query.words and not search_is_indexed():
        sentence += " This database has no index of arguments."
    return Looked(sentence, asked.link(before=place_text(counts.end)), "Look further back")


#: The parameter of the address that a leading condition comes from, where its name is another.
_PARAMETERS = {"task_name": "job", "schedule_id": "schedule", "actor_id": "by", "id_prefix": "q", "words": "q"}
_PARAMETERS["failure_group_id"] = "group"


def _pills(asked: Asked, counts: RunCounts | None, found: int = 0) -> tuple[Pill, ...]:
    """The states with their counts; `found` runs of the state that is asked for are on the page."""
    pills = [Pill("Any state", asked.link(state=""), current=not asked.state)]
    for state in (*_FIRST_STATES, *(s for s in State if s not in _FIRST_STATES)):
        current = asked.state == state
        number = counts.by_state[state] if counts else 0
        number = max(number, found) if current else number
        if current or number or state in _FIRST_STATES:
            words = _counted(counts, number) if counts else ""
            pills.append(Pill(run_chip(state).word, asked.link(state=state.value), current, words, run_chip(state)))
    mine = asked.by == "me"
    pills.append(Pill("Mine", asked.link(by="" if mine else "me"), current=mine, icon="person"))
    return tuple(pills)


def _counted(counts: RunCounts, number: int) -> str:
    return f"{number:,}+" if counts.partial else capped(number, counts.cap)


def _matching(query: RunQuery, counts: RunCounts, shown: RunSlice, position: RunPosition) -> str:
    if position.is_top and not shown.more and counts.end is None:
        return f"{len(shown.lines):,}"
    number = counts.by_state[query.state] if query.state is not None else sum(counts.by_state.values())
    if number < len(shown.lines):  # the page has looked further than the counts
        return f"{len(shown.lines):,}+"
    return _counted(counts, number)


def _drops(asked: Asked, names: Named) -> tuple[tuple[str, str], ...]:
    return tuple((words, asked.link(**{name: ""})) for name, words in asked.words_of(names).items())
