"""How long runs are kept: the rule of the setting RETENTION. Pure; the settings read it before there are models."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from jobs.states import ACTIVE, FINISHED, State

#: What the setting calls everything that no other part names.
RUNS = "runs"
EXAMPLE = "runs 90 d, failed 1 y, jobs.library.diagnostics.self_check 7 d"
_UNITS = {"d": 1, "w": 7, "y": 365}
_PART = re.compile(r"(\S+)\s+(\d{1,5})\s*([dwy])")
_FOREVER = re.compile(r"(\S+)\s+forever")


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long finished runs are kept, by job, else by state, else in general. None stands for ever.

    Attributes:
        states: lost runs count as failed ones unless they are named.
        tasks: by task name, whatever the state of the run.
    """

    runs: timedelta | None
    states: Mapping[State, timedelta | None] = field(default_factory=dict)
    tasks: Mapping[str, timedelta | None] = field(default_factory=dict)

    def of_state(self, state: State) -> timedelta | None:
        """How long a run of no named job is kept when it ended like that."""
        if state is State.LOST and State.LOST not in self.states:
            state = State.FAILED
        return self.states.get(state, self.runs)

    @property
    def longest(self) -> timedelta | None:
        """How long the longest-kept runs are kept."""
        times = [self.runs, *self.states.values(), *self.tasks.values()]
        return None if None in times else max(time for time in times if time is not None)


def parse_keeping(text: str) -> Keeping:
    """The rule that `text` writes, such as EXAMPLE.

    Raises:
        ValueError: one sentence that says which part is wrong and how to write it.
    """
    times: dict[str, timedelta | None] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, time = _part(part)
        if name in times:
            raise ValueError(f"names {name} twice; say once how long it is kept.")
        times[name] = time
    if RUNS not in times:
        raise ValueError(f"must say how long {RUNS} are kept; write for instance: {EXAMPLE}.")
    return Keeping(
        runs=times.pop(RUNS),
        states={State(name): time for name, time in times.items() if "." not in name},
        tasks={name: time for name, time in times.items() if "." in name},
    )


def _part(part: str) -> tuple[str, timedelta | None]:
    if found := _FOREVER.fullmatch(part):
        return _known(found[1]), None
    found = _PART.fullmatch(part)
    if found is None:
        raise ValueError(
            f"says {part!r}, which is no name with a time in days (d), weeks (w) or years (y), or with forever; "
            f"write for instance: {EXAMPLE}."
        )
    days = int(found[2]) * _UNITS[found[3]]
    if not 1 <= days <= 36_500:
        raise ValueError(f"says {part!r}; the time must be from 1 day to 100 years.")
    return _known(found[1]), timedelta(days=days)


def _known(name: str) -> str:
    if name == RUNS or "." in name or name in set(FINISHED):
        return name
    if name in set(ACTIVE):
        raise ValueError(f"names {name}, but only finished runs are ever removed; leave it out.")
    raise ValueError(
        f"names {name!r}, which is neither {RUNS} nor the full name of a task nor a state "
        f"({', '.join(sorted(FINISHED))})."
    )
