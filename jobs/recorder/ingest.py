"""Ingest: read a batch of facts, merge them into the ledger in one transaction, acknowledge, trim."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any, cast

import redis
from celery import states as celery_states
from django.db import transaction

from jobs.fleet.broker import FACTS_GROUP, FACTS_KEY
from jobs.models import Attempt, Run, RunFile, RunLog
from jobs.pipeline.facts import Fact, Kind, read_entry
from jobs.pipeline.told import Told, log_key, progress_key, read_told

from .merge import apply_fact, moment, new_observed_run
from .results import store_results

logger = logging.getLogger(__name__)

BATCH = 200
#: Entries that cannot be read: kept for a person to look at, at most this many.
DEAD_KEY = FACTS_KEY + ":dead"
DEAD_KEPT = 10_000
#: One consumer name for whoever leads: a successor finds what its predecessor read and did not acknowledge.
_CONSUMER = "leader"
#: What a merge never changes.
_GIVEN = {"id", "task_id", "guaranteed", "reason", "nonce", "schedule_id", "due_at", "retry_of", "based_on", "priority",
          "resolution", "publish_count", "cancel_requested_at"}  # fmt: skip
_MERGED_FIELDS = [field.name for field in Run._meta.concrete_fields if field.name not in _GIVEN]


class Ingest:
    """The way up. One instance a process; `step` is called again and again by the recorder's thread."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._catching_up = True

    def step(self, *, wait: float) -> int:
        """Record at most BATCH facts, waiting up to `wait` seconds for the first; the number of entries read.

        What a predecessor had read without acknowledging comes first. Everything here may be repeated: a crash
        between commit and acknowledgement merges the same facts once more, to no effect.

        Raises:
            RedisError, DatabaseError: nothing is acknowledged; the next step reads the same batch.
        """
        entries = self._read(wait)
        if not entries:
            return 0
        facts: list[Fact] = []
        for entry_id, fields in entries:
            try:
                facts.append(read_entry(fields))
            except (ValueError, TypeError) as error:
                logger.error("Fact %s is set aside: %s", entry_id, error)
                self._client.xadd(DEAD_KEY, _with_reason(entry_id, fields, error), maxlen=DEAD_KEPT)
        record_facts(facts, self._told(facts))
        ids = [entry_id for entry_id, _ in entries]
        pipe = self._client.pipeline(transaction=True)
        pipe.xack(FACTS_KEY, FACTS_GROUP, *ids)
        pipe.xdel(FACTS_KEY, *ids)
        for fact in facts:
            if _may_have_told(fact) and fact.state != celery_states.RETRY:
                pipe.delete(log_key(fact.task_id), progress_key(fact.task_id))
        pipe.execute()
        return len(entries)

    def _told(self, facts: list[Fact]) -> dict[str, Told]:
        return read_told({fact.task_id for fact in facts if _may_have_told(fact)}, self._client)

    def _read(self, wait: float) -> list[tuple[str, dict[str, str]]]:
        start = "0" if self._catching_up else ">"
        try:
            answer = self._client.xreadgroup(
                FACTS_GROUP,
                _CONSUMER,
                {FACTS_KEY: start},
                count=BATCH,
                block=None if self._catching_up else max(1, int(wait * 1000)),
            )
        except redis.ResponseError as error:
            if "NOGROUP" not in str(error):
                raise
            # A new or emptied Redis: from the beginning, so that nothing already there is skipped.
            self._client.xgroup_create(FACTS_KEY, FACTS_GROUP, id="0", mkstream=True)
            return []
        # One stream was asked for: [[its name, [(id, fields), …]]], or nothing.
        entries = cast("list[tuple[str, dict[str, str]]]", next(iter(answer))[1] if answer else [])
        if self._catching_up and not entries:
            self._catching_up = False
        return entries

    def catch_up(self) -> None:
        """Begin with what is read but not acknowledged; call it after an error and on becoming leader."""
        self._catching_up = True


def _with_reason(entry_id: str, fields: dict[str, str], error: Exception) -> dict[Any, Any]:
    return {**fields, "id": entry_id, "why": str(error)}


def _may_have_told(fact: Fact) -> bool:
    """Whether lines or progress of it wait in Redis; of a child that was killed its parent cannot know."""
    return fact.kind is Kind.ENDED and (fact.told or fact.started_at is None)


def record_facts(facts: Iterable[Fact], told: Mapping[str, Told] | None = None) -> None:
    """Merge the facts into runs, attempts, files, logs and stored results; one transaction, safe to repeat.

    Args:
        told: the lines and the progress of these runs, by task id.
    """
    facts = list(facts)
    if not facts:
        return
    with transaction.atomic():
        runs = _locked_runs(facts)
        attempts: list[Attempt] = []
        files: list[RunFile] = []
        counted: list[Fact] = []
        for fact in facts:
            run = runs.get(fact.task_id)
            if run is None:
                continue
            merged = apply_fact(run, fact)
            if merged.attempt is not None:
                attempts.append(merged.attempt)
            if merged.counts:
                counted.append(fact)
            files += [
                RunFile(run=run, attempt=max(run.attempt, 1), created_at=moment(fact.at), **file) for file in fact.files
            ]
        logs = [_keep_told(runs[task_id], one) for task_id, one in (told or {}).items() if task_id in runs]
        Run.objects.bulk_update(sorted(runs.values(), key=lambda run: run.pk), _MERGED_FIELDS, batch_size=50)
        Attempt.objects.bulk_create(attempts, ignore_conflicts=True)
        RunFile.objects.bulk_create(files, ignore_conflicts=True)
        RunLog.objects.bulk_create(
            [log for log in logs if log is not None],
            update_conflicts=True,
            unique_fields=["run"],
            update_fields=["lines", "written"],
        )
        store_results(counted)


def _keep_told(run: Run, told: Told) -> RunLog | None:
    """Note the last progress on the run; its log as a row, None where it wrote nothing."""
    if told.progress is not None:
        run.progress = told.progress
    return RunLog(run=run, lines=told.text, written=told.written) if told.written else None


def _locked_runs(facts: list[Fact]) -> dict[str, Run]:
    """The rows that the facts speak of, locked in key order; rows of observed runs are made where missing.

    A fact with the console's header whose row is missing belongs to a restored or foreign database: it is dropped.
    """
    ids = {fact.task_id for fact in facts}
    known = set(Run.objects.filter(task_id__in=ids).values_list("task_id", flat=True))
    missing: dict[str, Run] = {}
    for fact in facts:
        if fact.task_id in known:
            continue
        if fact.guaranteed:
            logger.error("A fact of run %s, which this database does not know, is dropped.", fact.task_id)
        elif fact.task_id not in missing or fact.kind is Kind.PUBLISHED:
            missing[fact.task_id] = new_observed_run(fact)
    Run.objects.bulk_create(missing.values(), ignore_conflicts=True)
    rows = Run.objects.select_for_update().filter(task_id__in=ids).order_by("pk")
    return {run.task_id: run for run in rows}
