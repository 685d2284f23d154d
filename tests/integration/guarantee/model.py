"""The model in plain Python: what the console answered, what was executed, and how each run may end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from django.utils import timezone

from jobs.ledger.cancel import How
from jobs.ledger.start import Started
from jobs.models import AuditEvent, Run
from jobs.pipeline.facts import Fact
from jobs.recorder.merge import MAX_LOST_ATTEMPTS, apply_fact
from jobs.states import FINISHED, RETRYABLE, State
from tests import jobs_under_test as under_test

QUEUE = "default"
#: What is run: a job that must not start twice, one that may, one that asks for automatic retries itself.
ONCE, AGAIN, RETRIES = under_test.add.name, under_test.hold_again.name, under_test.retry_twice.name
ARGUMENTS: dict[str, dict[str, Any]] = {
    ONCE: {"a": 1},
    AGAIN: {"flag": "x"},
    RETRIES: {"day": "2026-11-22", "amount": "1.5", "mode": "a"},
}
T = TypeVar("T")
_TOLD = {"success": State.SUCCEEDED, "failure": State.FAILED}


@dataclass(slots=True)
class Execution:
    """One that began: a worker claimed it. `end` is what its worker told, "" while it told nothing."""

    task_id: str
    n: int
    retries: int
    worker: str
    end: str = ""
    #: Its worker is gone, or the telling was lost with Redis.
    silent: bool = False


@dataclass(slots=True)
class Accepted:
    """What the console answered to a click, and what came of it so far.

    Attributes:
        retry_of: the id of the run that staff retried by it, "" for none.
        cancelled: what cancelling it did; None while nobody has.
        revoked: remote control has said that it was, while it ran.
        facts: what workers told of it and Redis did not forget before the recorder took it.
    """

    task_id: str
    job: str
    retry_of: str = ""
    executions: list[Execution] = field(default_factory=list)
    cancelled: How | None = None
    revoked: bool = False
    state: State = State.ACCEPTED
    provisional: bool = False
    facts: list[Fact] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        return self.state in FINISHED

    @property
    def never_begins(self) -> bool:
        """Whether it was cancelled before a worker began its next execution, so that it has ended by that."""
        return self.cancelled in {How.REMOVED, How.SKIPPED}

    def may_have_begun(self) -> int:
        """How often it may have been started, at most."""
        if self.job == ONCE:
            return 1
        if self.job == RETRIES:
            return 1 + sum(execution.end == "retry" for execution in self.executions)
        return MAX_LOST_ATTEMPTS

    def may_end_as(self) -> set[State]:
        """The end of its highest execution; lost where nobody could tell it; cancelled where nothing more begins."""
        if self.never_begins:
            return {State.CANCELLED}
        if not self.executions:
            return set()
        last = max(self.executions, key=lambda execution: execution.n)
        if last.end == "retry" and not last.silent and self.cancelled:
            return {State.CANCELLED}
        ends = {State.LOST} if last.silent or last.end not in _TOLD else {_TOLD[last.end]}
        if self.revoked and (last.silent or last.end not in _TOLD):
            ends.add(State.CANCELLED)
        return ends

    def ends_in_any_order(self) -> set[tuple[State, int, bool]]:
        """What its facts come to, in several orders and twice; one element, if the order does not matter."""
        ends = set()
        claimed = max((execution.n for execution in self.executions), default=0)
        state = State.CANCELLED if self.never_begins else State.RUNNING
        asked = timezone.now() if self.cancelled else None
        for facts in (self.facts, self.facts[::-1], self.facts[1:] + self.facts[:1], self.facts + self.facts):
            run = Run(task_id=self.task_id, task_name=self.job, guaranteed=True, state=state, attempt=claimed)
            run.cancel_requested_at = asked
            for fact in facts:
                apply_fact(run, fact)
            ends.add((State(run.state), run.attempt, run.provisional))
        return ends


class Books:
    """All that was answered, executed and audited."""

    def __init__(self) -> None:
        self.accepted: dict[str, Accepted] = {}
        self.started: Counter[tuple[str, int]] = Counter()
        self.audited = Counter(AuditEvent.objects.values_list("outcome", flat=True))
        #: Every form that was sent and every moment that was due, to be sent once more.
        self.forms: list[Callable[[], Started]] = []

    def one(self, which: int) -> Accepted:
        return list(self.accepted.values())[which % len(self.accepted)]

    def open_one(self, which: int) -> Accepted:
        """One that has not ended, while there is any."""
        return _choose([one for one in self.accepted.values() if not one.ended], which) or self.one(which)

    def retryable_one(self, which: int) -> Accepted:
        """One that has ended without success, while there is any."""
        return _choose([one for one in self.accepted.values() if one.state in RETRYABLE], which) or self.one(which)

    def at_work(self) -> list[Execution]:
        return [one for run in self.accepted.values() for one in run.executions if not one.end]

    def working(self, which: int, job: str = "") -> Execution | None:
        """One at work; of this job, if it is named."""
        return _choose([one for one in self.at_work() if job in {"", self.accepted[one.task_id].job}], which)

    def live_retry(self, task_id: str) -> Accepted | None:
        return next((one for one in self.accepted.values() if one.retry_of == task_id and not one.ended), None)


def _choose(among: list[T], which: int) -> T | None:
    return among[which % len(among)] if among else None
