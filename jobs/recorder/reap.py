"""The reaper: finds runs whose worker vanished, and says so within a minute.

Everything is compared on the database's clock. It judges only while Redis has taken the recorder's own writes for a
while: with Redis away every beacon looks dead.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from datetime import timedelta
from functools import partial

import redis
from django.db.models import Q

from jobs.fleet.beacon import Beacon, Heard, read_beacons
from jobs.fleet.broker import FACTS_GROUP, FACTS_KEY, PROBE_KEY, key_of
from jobs.fleet.entries import ANOTHER_TYPE, ask_entry, is_of_another_type, note_unreadable
from jobs.ledger.leases import database_now
from jobs.models import Run
from jobs.pipeline.facts import Fact, Kind
from jobs.pipeline.told import read_told
from jobs.states import State

from .merge import WORKER_GONE
from .record import record_facts

logger = logging.getLogger(__name__)

#: A claim younger than this is never judged, in seconds: its worker may not have beaten since.
CLAIM_GRACE = 15
#: Redis must have taken the probe this long without a break, in seconds.
PROBE_STEADY = 30
#: The recorder's own probe: the one of the pages tells nothing of what Redis held before.
_MARK_KEY = PROBE_KEY + ":recorder"
#: An id of the stream, comparable.
_FactId = tuple[int, int]
#: Runs looked at in one step.
BATCH = 1000


class Reaper:
    """One instance a leading recorder; forgets what it has seen when the leadership changes."""

    def __init__(self, client: redis.Redis, *, steady: float = PROBE_STEADY) -> None:
        self._client = client
        self._steady = steady
        self._probed_since: float | None = None
        #: run key and n -> the first two beats (boot, beat) that do not list it, and the last fact there was then.
        self._unlisted: dict[tuple[int, int], tuple[_FactId, set[tuple[str, int]]]] = {}

    def step(self) -> int:
        """Judge the running runs; the number declared lost or put back.

        Raises:
            RedisError, DatabaseError: nothing was judged, and the quiet time begins anew.
        """
        try:
            if self._mark() is None:
                # A new Redis, or one that was emptied: the beacons are gone with it, and their workers are not.
                self._probed_since = None
                self._unlisted.clear()
            heard = read_beacons(self._client)
            told, merged = self._facts()  # after the beacons: what a worker has told precedes a beat without the run
        except redis.RedisError:
            self._probed_since = None
            self._unlisted.clear()
            raise
        if self._probed_since is None:
            self._probed_since = time.monotonic()
        if time.monotonic() - self._probed_since < self._steady:
            return 0
        return self._judge(heard, told, merged) if told is not None else 0

    def _mark(self) -> str | None:
        """Write the mark; what was there before, None where nothing was."""
        mark = partial(self._client.set, key_of(_MARK_KEY), str(time.time()), ex=60, get=True)
        before = ask_entry(key_of(_MARK_KEY), mark, str, "")
        if before == "":  # Redis reads nothing else than a text there, and writes nothing then
            self._client.set(key_of(_MARK_KEY), str(time.time()), ex=60)
        return before or None

    def _judge(self, heard: Heard, told: _FactId, merged: _FactId) -> int:
        # By process; by name for what a worker of an older release has claimed, which does not tell its process.
        beacons: dict[str, list[Beacon]] = defaultdict(list)
        for beacon in heard.beacons:
            for which in {beacon.boot, f":{beacon.worker}"}:
                beacons[which].append(beacon)
        now = database_now()
        # One that lies in the future was written by a clock that was ahead, and is of any age.
        old = Q(claimed_at__lt=now - timedelta(seconds=CLAIM_GRACE)) | Q(claimed_at__gt=now)
        runs = Run.objects.filter(old, state=State.RUNNING)
        seen: dict[tuple[int, int], tuple[_FactId, set[tuple[str, int]]]] = {}
        lost: list[Run] = []
        for run in runs.order_by("claimed_at").only(
            *("pk", "task_id", "task_name", "attempt", "worker", "queue", "guaranteed"),
            *("started_at", "claimed_at", "claimed_by"),
        )[:BATCH]:
            those = beacons.get(run.process or f":{run.worker}", [])
            if any(_lists(one, run) for one in those) if those else not heard.knows(run.worker, run.process):
                continue
            key = (run.pk, run.attempt)
            sign = (those[0].boot, those[0].beat) if those else ("", int(time.monotonic() * 1000))
            until, signs = self._unlisted.get(key, (told, set()))
            if sign not in signs and len(signs) < 2:
                # As of the second beat: the main process stops to list what it kills a moment before it tells the end.
                until, signs = told, signs | {sign}
            seen[key] = until, signs
            if len(signs) >= 2 and merged >= until:
                lost.append(run)
        self._unlisted = seen
        record_facts([_lost(run) for run in lost], read_told([run.task_id for run in lost], self._client))
        for run in lost:
            logger.warning("Run %s, execution %s: lost, %s no longer has it.", run.task_id, run.attempt, run.worker)
        return len(lost)

    def _facts(self) -> tuple[_FactId | None, _FactId]:
        """The last fact that was ever appended, None where nobody can tell, and the last one before which all are in
        the ledger."""
        try:
            groups = self._client.xinfo_groups(key_of(FACTS_KEY))
            stream = self._client.xinfo_stream(key_of(FACTS_KEY))
        except redis.ResponseError as error:
            if is_of_another_type(error):
                note_unreadable(key_of(FACTS_KEY), ANOTHER_TYPE)
                return None, (0, 0)
            return (0, 0), (0, 0)  # no stream yet
        told = _fact_id(stream["last-generated-id"])
        group = next((g for g in groups if g["name"] == FACTS_GROUP), None)
        if group is None:
            return told, (0, 0) if stream["length"] else told
        if group["pending"]:
            first = _fact_id(self._client.xpending(key_of(FACTS_KEY), FACTS_GROUP)["min"] or "0-0")
            return told, (first[0], first[1] - 1)
        # A new group of an emptied stream has delivered nothing, and nothing is left to deliver.
        return told, _fact_id(group["last-delivered-id"]) if stream["length"] else told


def _fact_id(text: str) -> _FactId:
    milliseconds, _, number = text.partition("-")
    return int(milliseconds), int(number)


def _lists(beacon: Beacon, run: Run) -> bool:
    """Whether the worker says that it has this execution; without the console's header it knows the id alone."""
    return run.task_id in beacon.running and beacon.running[run.task_id] in {run.attempt, None}


def _lost(run: Run) -> Fact:
    began = run.claimed_at if run.guaranteed else run.started_at
    return Fact(
        kind=Kind.ENDED,
        task_id=run.task_id,
        at=time.time(),
        n=run.attempt,
        task=run.task_name,
        guaranteed=run.guaranteed,
        state="FAILURE",
        note=WORKER_GONE,
        worker=run.worker,
        started_at=began.timestamp() if began else None,
        error_type="WorkerVanished",
        error_message=f"{run.worker} stopped answering while it ran this; the work may be half done.",
    )
