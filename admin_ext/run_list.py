"""The runs list: what its address asks for, and everything that the page shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from jobs.catalog.registry import job_title, listed_jobs
from jobs.ledger.lists import RunCounts, RunQuery, run_counts, run_slice
from jobs.states import State

from .chips import Chip, run_chip
from .keyset import PER_PAGE, NotAPosition, Position, link
from .rows import Row, rows
from .words import capped

#: Counting stops here: "10,000+".
COUNT_CAP = 10_000
SHORTEST_ID = 4
#: Always shown, in this order; the others when they have runs or are asked for.
_FIRST_STATES = (State.RUNNING, State.QUEUED, State.RETRYING, State.FAILED, State.LOST, State.SUCCEEDED)


@dataclass(frozen=True, slots=True)
class Asked:
    """The parameters of the address, as given. `problem` says which of them makes no sense."""

    state: str = ""
    job: str = ""
    by: str = ""
    q: str = ""
    problem: str = ""

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> Asked:
        """Read and check them."""
        asked = cls(*(parameters.get(name, "").strip()[:255] for name in ("state", "job", "by", "q")))
        problem = ""
        if asked.state and asked.state not in tuple(State):
            problem = f"No state is called “{asked.state}”."
        elif asked.by not in ("", "me"):
            problem = f"by={asked.by} is not known; by=me shows your own runs."
        elif 0 < len(asked.q) < SHORTEST_ID:
            problem = f"Type at least {SHORTEST_ID} characters of the id; “{asked.q}” could be too many runs."
        return replace(asked, problem=problem)

    def query(self, viewer_id: int | None) -> RunQuery:
        """What to read; only when there is no problem."""
        return RunQuery(
            state=State(self.state) if self.state else None,
            task_name=self.job,
            actor_id=viewer_id if self.by else None,
            id_prefix=self.q,
        )

    def link(self, **changes: str) -> str:
        """The address of this view with some parameters changed, from its top."""
        kept = {"state": self.state, "job": self.job, "by": self.by, "q": self.q} | changes
        return link(**kept)

    def filters(self) -> list[tuple[str, str]]:
        """Each filter in words, with the address of the view without it."""
        named = [
            ("q", f"id {self.q}…" if self.q else ""),
            ("state", f"state {run_chip(self.state).word}" if self.state else ""),
            ("job", f"job {job_title(self.job)}" if self.job else ""),
            ("by", "by me" if self.by else ""),
        ]
        return [(words, self.link(**{name: ""})) for name, words in named if words]


@dataclass(frozen=True, slots=True)
class Pill:
    """A filter chip: a link with icon, word and capped count."""

    word: str
    href: str
    current: bool
    count: str = ""
    chip: Chip | None = None
    icon: str = ""


@dataclass(frozen=True, slots=True)
class RunListPage:
    """Everything that the runs list shows."""

    asked: Asked
    rows: tuple[Row, ...]
    pills: tuple[Pill, ...]
    jobs: tuple[tuple[str, str], ...]
    matching: str
    newer: str
    older: str
    running: int | None


def run_list_page(parameters: Mapping[str, str], viewer_id: int | None) -> RunListPage:
    """Read the list that the address asks for. Two queries; three when a page of newer runs turns out empty."""
    asked = Asked.of(parameters)
    try:
        position = Position.of(parameters)
    except NotAPosition:
        asked, position = replace(asked, problem="The address names a position in the list that does not exist."), None
    if asked.problem or position is None:
        return RunListPage(asked, (), _pills(asked, None), _jobs(asked), "", "", "", None)
    query = asked.query(viewer_id)
    counts = run_counts(query, cap=COUNT_CAP)
    shown = run_slice(query, before=position.before, after=position.after, limit=PER_PAGE)
    if not shown.lines and position.after is not None:
        shown = run_slice(query, limit=PER_PAGE)
    lines = shown.lines
    return RunListPage(
        asked=asked,
        rows=rows(lines),
        pills=_pills(asked, counts),
        jobs=_jobs(asked),
        matching=_matching(query, counts),
        newer=f"{asked.link()}&after={lines[0].run.pk}" if lines and shown.newer else "",
        older=f"{asked.link()}&before={lines[-1].run.pk}" if lines and shown.older else "",
        running=counts.running,
    )


def _pills(asked: Asked, counts: RunCounts | None) -> tuple[Pill, ...]:
    pills = [Pill("Any state", asked.link(state=""), current=not asked.state)]
    for state in (*_FIRST_STATES, *(s for s in State if s not in _FIRST_STATES)):
        current = asked.state == state
        number = counts.by_state[state] if counts else 0
        if current or number or state in _FIRST_STATES:
            words = _counted(counts, number) if counts else ""
            pills.append(Pill(run_chip(state).word, asked.link(state=state.value), current, words, run_chip(state)))
    pills.append(Pill("Mine", asked.link(by="" if asked.by else "me"), current=bool(asked.by), icon="person"))
    return tuple(pills)


def _counted(counts: RunCounts, number: int) -> str:
    return f"{number:,}+" if counts.partial else capped(number, counts.cap)


def _matching(query: RunQuery, counts: RunCounts) -> str:
    if query.state is not None:
        return _counted(counts, counts.by_state[query.state])
    total = sum(counts.by_state.values())
    return f"{total:,}+" if counts.partial else capped(total, counts.cap)


def _jobs(asked: Asked) -> tuple[tuple[str, str], ...]:
    choices = {job.name: job.title for job in listed_jobs()}
    if asked.job:
        choices.setdefault(asked.job, job_title(asked.job))
    return tuple(choices.items())
