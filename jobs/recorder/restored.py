"""A database that was restored from a backup does not know what has run since; Redis still knows a part of it.

The books bear a mark that is renewed in the database first and in Redis after it: only a database that went back in
time bears an older one than Redis. Whatever is read to be published comes with the mark of the same snapshot, since a
database may be restored under a recorder that meets no outage. Then nothing is published before each run that was open
at the backup is settled:

1. Redis holds its result: that is what became of it.
2. A worker has begun it: it is running. Were it taken for queued, a copy of its message could start it once more.
3. Redis holds a message of it, or a worker has received it: it goes on from there.
4. Otherwise it has run, or its message is lost, and nobody knows which: told as lost, and started again only if its job
   may be.

Redis forgotten along with the database leaves no mark, and nobody notices.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import redis
from celery import current_app
from celery import states as celery_states
from celery.app.task import Context
from django.db import transaction
from django.db.models import Q, Subquery
from django.db.models.functions import Now
from kombu.exceptions import KombuError

from jobs.fleet.broker import PREFIX, key_of
from jobs.fleet.entries import ask_entry, read
from jobs.fleet.executions import Begun, begun_executions, known_executions
from jobs.fleet.headers import ATTEMPT_HEADER
from jobs.models import Lease, Run
from jobs.pipeline.backend import EXECUTION, RecordingBackend, fact_of
from jobs.pipeline.facts import Fact, Kind
from jobs.states import ACTIVE, State

from .merge import RESTORED
from .record import record_facts

logger = logging.getLogger(__name__)

MARK_KEY = PREFIX + "books"
MARK_NAME = "books"
RENEW_EVERY = 2.0
#: What PostgreSQL may lose at a crash with `synchronous_commit` off, in seconds, and somewhat more.
CRASH = 3.0
#: A mark that lies so many seconds ahead nobody has made: it would have every open run settled.
_AHEAD = 366 * 86_400.0
_BATCH = 500
#: The database's mark beside what is read of it, in one snapshot.
MARK = Subquery(Lease.objects.filter(name=MARK_NAME).values("renewed_at"))
#: Numbers in a result.
_NUMBERS = (EXECUTION, "retries")


class Books:
    """Keeps the mark, and settles what was open when the database turns out to be restored. One a leading recorder."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._looked_at: float | None = None
        self._written: datetime | None = None

    def look(self) -> int:
        """Compare the marks and renew them, every RENEW_EVERY seconds; the number of runs settled.

        Call it before anything is published.

        Raises:
            RedisError, DatabaseError: nothing may be published before the next call has looked.
        """
        if self._looked_at is not None and time.monotonic() - self._looked_at < RENEW_EVERY:
            return 0
        settled = 0
        mark = ask_entry(key_of(MARK_KEY), lambda: self._client.get(key_of(MARK_KEY)), moment_of, None)
        ours = Lease.objects.filter(name=MARK_NAME).values_list("renewed_at", flat=True).first()
        if mark is not None and (ours is None or ours.timestamp() < mark - CRASH):
            settled = self._settle(datetime.fromtimestamp(mark, UTC), ours)
        # The clock of the statement: a recorder that was frozen before it must not write an older mark than the next.
        with transaction.atomic():
            values = {"holder": MARK_NAME, "since": Now(), "renewed_at": Now(), "expires_at": Now()}
            lease, _ = Lease.objects.update_or_create(name=MARK_NAME, defaults=values)
            lease.refresh_from_db()
        self._written = lease.renewed_at
        self._client.set(key_of(MARK_KEY), repr(lease.renewed_at.timestamp()))
        self._looked_at = time.monotonic()
        return settled

    def went_back(self, mark: datetime | None) -> bool:
        """Whether what was read together with this `MARK` is of an older database than the last look has left. Then
        nothing of it may be published, and the next call of `look` compares."""
        older = self._written is not None and (mark is None or mark < self._written)
        if older:
            self.forget()
        return older

    def forget(self) -> None:
        """Look again before the next publish; call it after an outage and on becoming leader."""
        self._looked_at = None

    def _settle(self, until: datetime, since: datetime | None) -> int:
        logger.error(
            "The database is as it was %s, Redis knows of %s: it was restored. What was open then is settled first.",
            since or "before the console ran",
            until,
        )
        open_then = Run.objects.filter(
            Q(not_before__isnull=True) | Q(not_before__lte=until) | ~Q(state=State.WAITING),
            guaranteed=True,
            state__in=ACTIVE,
            accepted_at__lte=until,
        )
        queues = open_then.order_by().values_list("queue", flat=True).distinct()
        known = known_executions(self._client, [queue for queue in queues if queue])
        begun = begun_executions(self._client)
        settled, last = 0, 0
        while runs := list(open_then.filter(pk__gt=last).order_by("pk")[:_BATCH]):
            settled += self._settle_some(runs, known, begun)
            last = runs[-1].pk
        logger.error("%s runs that were open at the backup are settled.", settled)
        return settled

    def _settle_some(self, runs: Sequence[Run], known: dict[str, int], begun: dict[str, Begun]) -> int:
        results = dict(_results(run.task_id for run in runs))
        facts: list[Fact] = []
        for run in runs:
            if (meta := results.get(run.task_id)) is not None and _is_news(run, meta):
                facts.append(_told_by(run, meta))
            elif (one := begun.get(run.task_id)) is not None and one.n >= known.get(run.task_id, 0):
                facts.append(_begun(run, one))
            elif run.task_id not in known:
                facts.append(_unknown(run))
            elif known[run.task_id] > run.attempt + 1:
                # An automatic retry: the executions before it were made after the backup.
                n = known[run.task_id]
                # As it was read: a second recorder may have settled it meanwhile, and a worker claimed it since.
                unchanged = Run.objects.filter(pk=run.pk, attempt=run.attempt, state=run.state)
                unchanged.update(attempt=n - 1, retries=max(run.retries, n - 1 - run.attempt))
        record_facts(facts)
        return len(facts)


def _results(task_ids: Iterable[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The results that Redis still has, of those that have ended."""
    ids = list(task_ids)
    backend: Any = current_app.backend
    keys = [backend.get_key_for_task(one) for one in ids]
    for task_id, key, payload in zip(ids, keys, backend.mget(keys), strict=True):
        meta = read(str(key), payload or None, lambda text: _checked(backend, text), None)
        if meta is not None and meta["status"] in celery_states.READY_STATES:
            yield task_id, meta


def _checked(backend: Any, text: Any) -> dict[str, Any]:
    """A result as Celery's backend writes it, of which the fields that are used here can be.

    Raises:
        ValueError, TypeError, LookupError, OverflowError: they cannot.
    """
    try:
        meta = backend.decode(text)
    except KombuError as error:
        raise ValueError("not decoded") from error
    if not isinstance(meta["status"], str) or not all(0 <= int(meta.get(one) or 0) < 2**31 for one in _NUMBERS):
        raise ValueError("no result of Celery's")
    for name in ("name", "worker"):
        if not isinstance(meta.get(name) or "", str):
            raise TypeError(name)
    if done := meta.get("date_done"):
        datetime.fromisoformat(done).timestamp()
    return dict(meta)


def _ended(run: Run) -> int:
    """How many of its executions the row knows to have ended."""
    return run.attempt - (run.state == State.RUNNING)


def _execution(run: Run, meta: dict[str, Any]) -> int:
    """Which execution a result is of; where remote control told it, which knows of none, the first it can be."""
    return int(meta.get(EXECUTION) or max(_ended(run) + 1, 1 + int(meta.get("retries") or 0)))


def _is_news(run: Run, meta: dict[str, Any]) -> bool:
    """Whether the result says more than the row knows; of an execution that was told as lost its success does."""
    n, known = _execution(run, meta), _ended(run)
    return n > known or (n == known and meta["status"] == celery_states.SUCCESS)


def _told_by(run: Run, meta: dict[str, Any]) -> Fact:
    retries = int(meta.get("retries") or 0)
    request = Context(
        {
            "id": run.task_id,
            "task": meta.get("name") or run.task_name,
            "hostname": meta.get("worker") or "",
            "retries": retries,
            ATTEMPT_HEADER: _execution(run, meta) - retries,
        }
    )
    result, backend = meta.get("result"), current_app.backend
    if isinstance(result, BaseException) and isinstance(backend, RecordingBackend):  # where results are pickled
        result = backend.description(result)
    fact = fact_of(run.task_id, result, str(meta["status"]), meta.get("traceback"), request)
    if done := meta.get("date_done"):
        fact.at = datetime.fromisoformat(done).timestamp()
    return fact


def _begun(run: Run, one: Begun) -> Fact:
    return Fact(
        Kind.STARTED,
        run.task_id,
        one.at,
        n=one.n,
        task=run.task_name,
        guaranteed=True,
        worker=one.worker,
        process=one.process,
        started_at=one.at,
    )


def _unknown(run: Run) -> Fact:
    return Fact(
        Kind.ENDED,
        run.task_id,
        time.time(),
        n=run.attempt if run.state == State.RUNNING else run.attempt + 1,
        task=run.task_name,
        guaranteed=True,
        state=celery_states.FAILURE,
        worker=run.worker,
        note=RESTORED,
        error_type="DatabaseRestored",
        error_message="The database was restored from a backup; nobody knows whether this has run since.",
    )


def moment_of(text: str) -> float:
    """The mark in Redis, epoch seconds.

    Raises:
        ValueError: no recorder wrote it: it lies further ahead than any clock of ours.
    """
    mark = float(text)
    if not 0 <= mark < time.time() + _AHEAD:
        raise ValueError("no moment that can be")
    return mark
