"""Facts become rows: runs, attempts, files, logs and stored results, in one transaction, safe to repeat.

What the ledger does not have yet is merged in memory and inserted once, as it is after all facts of the batch; what it
has is locked and merged, and only the columns that became different are written.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress, count
from operator import ne
from typing import Any

from celery.states import READY_STATES
from django.db import transaction

from jobs.failures.record import note_failures
from jobs.models import Attempt, Run, RunFile, RunLog
from jobs.pipeline.canvas import NOT_STARTED
from jobs.pipeline.facts import Fact, Kind
from jobs.pipeline.told import Told
from jobs.states import State

from .merge import apply_fact, moment, new_observed_run
from .results import store_groups, store_results
from .rows import Table

logger = logging.getLogger(__name__)

RUNS = Table(Run)
ATTEMPTS = Table(Attempt)
FILES = Table(RunFile)
LOGS = Table(RunLog)
#: Every list is sorted by it, so that writing it touches every index.
_PLACE = RUNS.names.index("accepted_at")
_ENDS = {State.SUCCEEDED, State.FAILED, State.LOST}
#: They make no run: a state may be set of any id, before the task is published, too.
_OF_NO_RUN = {Kind.GROUP, Kind.SET}


class _Overtaken(Exception):
    """Somebody else has inserted one of the new runs since we looked."""


@dataclass(slots=True)
class _Batch:
    """What a batch of facts comes to.

    Attributes:
        known: runs that the ledger has, by task id, each with the values that it has of them.
        new: runs that it does not have, by task id.
        counted: facts whose results are stored.
        ended: by task id, attempt and state, each run that has just come to its end and the fact that brought it.
    """

    known: dict[str, tuple[Run, tuple[Any, ...]]]
    new: dict[str, Run] = field(default_factory=dict)
    attempts: list[Attempt] = field(default_factory=list)
    files: list[RunFile] = field(default_factory=list)
    logs: list[RunLog] = field(default_factory=list)
    counted: list[Fact] = field(default_factory=list)
    groups: list[Fact] = field(default_factory=list)
    ended: dict[tuple[str, int, str], tuple[Run, Fact]] = field(default_factory=dict)

    def run(self, task_id: str) -> Run | None:
        found = self.known.get(task_id)
        return found[0] if found is not None else self.new.get(task_id)

    @property
    def failed(self) -> list[tuple[Run, Fact]]:
        """The runs that have just failed or were lost."""
        return [told for (_, _, state), told in self.ended.items() if state != State.SUCCEEDED]

    @property
    def succeeded(self) -> list[Run]:
        """The runs that have just succeeded."""
        return [run for (_, _, state), (run, _) in self.ended.items() if state == State.SUCCEEDED]


def record_facts(facts: Iterable[Fact], told: Mapping[str, Told] | None = None) -> None:
    """Merge the facts into runs, attempts, files, logs and stored results; one transaction, safe to repeat.

    Args:
        told: the lines and the progress of these runs, by task id.

    Raises:
        OperationalError: the database is away or busy.
        DataError, IntegrityError: it refuses what one of the facts says.
        ValueError, TypeError, …: what one of them says makes no sense.
    """
    facts = list(facts)
    while facts:
        try:
            with transaction.atomic():
                _write(_merged(facts, told or {}))
        except _Overtaken:
            continue
        return


def _merged(facts: Sequence[Fact], told: Mapping[str, Told]) -> _Batch:
    ids = {fact.task_id for fact in facts if fact.kind is not Kind.GROUP}
    ids |= {fact.parent_id for fact in facts if fact.note in NOT_STARTED}
    batch = _Batch({run.task_id: (run, row) for run, row in RUNS.locked("task_id", ids)})
    _expect(batch, facts)
    for fact in facts:
        if fact.kind is Kind.GROUP:
            batch.groups.append(fact)
        elif (run := batch.run(fact.task_id)) is not None:
            _merge(batch, run, fact)
        elif not fact.makes_run and fact.state in READY_STATES:
            batch.counted.append(fact)
    for task_id, one in told.items():
        if (run := batch.run(task_id)) is not None:
            if one.progress is not None:
                run.progress = one.progress
            if one.written:
                batch.logs.append(RunLog(run=run, lines=one.text, written=one.written))
    return batch


def _expect(batch: _Batch, facts: Sequence[Fact]) -> None:
    """Make the observed runs that the ledger does not have, from the fact of their publishing where it is here.

    A fact with the console's header whose row is missing belongs to a restored or foreign database: it is dropped.
    """
    for fact in facts:
        if fact.task_id in batch.known or fact.kind in _OF_NO_RUN or not fact.makes_run:
            continue
        if fact.guaranteed:
            logger.error("A fact of run %s, which this database does not know, is dropped.", fact.task_id)
        elif fact.task_id not in batch.new or fact.kind is Kind.PUBLISHED:
            if fact.note in NOT_STARTED and (parent := batch.run(fact.parent_id)) is not None:
                # Who tells it need not know the family of the run that kept it from starting.
                fact.root_id = parent.root_id or parent.task_id
            batch.new[fact.task_id] = new_observed_run(fact)


def _merge(batch: _Batch, run: Run, fact: Fact) -> None:
    before = (run.state, run.attempt)
    merged = apply_fact(run, fact)
    if merged.attempt is not None:
        batch.attempts.append(merged.attempt)
    if merged.counts:
        fact.task = fact.task or run.task_name
        batch.counted.append(fact)
    if run.state in _ENDS and (run.state, run.attempt) != before:
        batch.ended[run.task_id, run.attempt, run.state] = (run, fact)
    for file in fact.files:
        kept = RunFile(run=run, attempt=max(run.attempt, 1), created_at=moment(fact.at), **file)
        batch.files.append(kept)


def _write(batch: _Batch) -> None:
    if RUNS.insert(RUNS.values(run) for run in batch.new.values()) < len(batch.new):
        raise _Overtaken
    _change(batch.known.values())
    failed = batch.failed
    _give_keys(batch, [run.task_id for run, _ in failed])
    ATTEMPTS.insert(ATTEMPTS.values(row) for row in batch.attempts)
    FILES.insert(FILES.values(row) for row in batch.files)
    LOGS.replace((LOGS.values(row) for row in batch.logs), key="run_id")
    store_results(batch.counted)
    store_groups(batch.groups)
    note_failures(failed, batch.succeeded)


def _change(known: Iterable[tuple[Run, tuple[Any, ...]]]) -> None:
    """Write what became different, the rows whose place in the lists did so apart."""
    ends: list[tuple[set[int], tuple[Any, ...], int]] = []
    moves: list[tuple[set[int], tuple[Any, ...], int]] = []
    for run, old in known:
        new = RUNS.values(run)
        if new != old:
            changed = set(compress(count(), map(ne, old, new)))
            (moves if _PLACE in changed else ends).append((changed, new, run.pk))
    for rows in (ends, moves):
        places = sorted(set().union(*(changed for changed, _, _ in rows)))
        RUNS.change(
            ([key, *(new[place] for place in places)] for _, new, key in rows), [RUNS.names[place] for place in places]
        )


def _give_keys(batch: _Batch, more: Iterable[str]) -> None:
    """The keys of the new runs that other rows refer to; the rest do without, which saves asking for them."""
    rows: list[Attempt | RunFile | RunLog] = [*batch.attempts, *batch.files, *batch.logs]
    wanted = {*(row.run.task_id for row in rows), *more} & batch.new.keys()
    if wanted:
        for task_id, key in Run.objects.filter(task_id__in=wanted).values_list("task_id", "pk"):
            batch.new[task_id].pk = key
    for row in rows:
        row.run_id = row.run.pk
