"""The rows of an invented history, as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from jobs.states import Source, State

from .invented_words import Kind


@dataclass(slots=True)
class InventedRun:
    """The values of a run that differ from run to run; every other column has its default."""

    id: int
    task_id: str
    task_name: str
    arguments: str
    summary: str
    queue: str
    accepted: float
    source: str = Source.CODE.value
    guaranteed: bool = False
    actor_id: str | None = None
    actor_label: str = ""
    reason: str = ""
    nonce: str | None = None
    schedule_id: int | None = None
    schedule_name: str = ""
    due_at: str | None = None
    retry_of_id: int | None = None
    root_id: str | None = None
    parent_id: str = ""
    group_id: str = ""
    origin: str = ""
    state: str = State.QUEUED.value
    state_note: str = ""
    attempt: int = 0
    retries: int = 0
    claimed_at: str | None = None
    accepted_at: str = ""
    published_at: str | None = None
    publish_count: int = 0
    started_at: str | None = None
    finished_at: str | None = None
    runtime: float | None = None
    worker: str = ""
    release: str = ""
    error_type: str = ""
    error_message: str = ""
    failure_group_id: int | None = None
    failed_attempt: int | None = None
    traceback: str = ""
    #: Its keyword arguments as Celery's extended results keep them.
    kwargs_text: str = '"{}"'


#: What is on an InventedRun and no column of the ledger.
_NO_COLUMN = {"accepted", "traceback", "kwargs_text"}
RUN_COLUMNS = tuple(name for name in InventedRun.__slots__ if name not in _NO_COLUMN)
run_row = attrgetter(*RUN_COLUMNS)


@dataclass(frozen=True, slots=True)
class InventedAttempt:
    """A try that did not succeed."""

    run_id: int
    number: int
    outcome: str
    worker: str
    started_at: str | None
    finished_at: str
    runtime: float
    error_type: str
    error_message: str
    traceback: str


ATTEMPT_COLUMNS = InventedAttempt.__slots__
attempt_row = attrgetter(*ATTEMPT_COLUMNS)


@dataclass(slots=True)
class Chunk:
    """Runs in the order of their keys, with what belongs to them."""

    runs: list[InventedRun] = field(default_factory=list)
    attempts: list[InventedAttempt] = field(default_factory=list)
    #: Key of the run, lines as `RunLog` keeps them, how many.
    logs: list[tuple[int, str, int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class World:
    """Who and what the runs refer to.

    Attributes:
        people: key and label of each.
        schedules: their keys by name.
    """

    kinds: Sequence[Kind]
    people: Sequence[tuple[str, str]]
    schedules: dict[str, int]
    queues: Sequence[str]
