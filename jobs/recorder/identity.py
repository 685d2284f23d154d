"""Whose facts lie in this Redis. A database has an identity, Redis keeps that of the one that it serves, and a recorder
of another neither reads a fact nor publishes a run: two would take each other's.

A backup has the identity of its database, and so has a copy. What tells a copy from a database that was restored is a
recorder that goes on working on the newer one. It is looked for when a recorder begins: a copy that begins while the
original has no recorder, or within three seconds of being made, is not noticed.
"""

from __future__ import annotations

import logging
import time
import uuid
from contextlib import suppress
from datetime import timedelta

from django.db import connections, router
from django.db.migrations.recorder import MigrationRecorder
from django.db.models.functions import Now

from jobs.fleet.broker import IDENTITY_KEY, PREFIX, Redis, RedisError, RedisRefused, key_of
from jobs.fleet.entries import answers_of, read
from jobs.fleet.hazards import Clash, of_clash
from jobs.ledger.leases import CLASH, LEASE_SECONDS
from jobs.models import Lease

from .restored import CRASH, MARK_KEY, MARK_NAME, moment_of

logger = logging.getLogger(__name__)

LEADER_KEY = PREFIX + "leader"
_NAME = "identity"
_NAMESPACE = uuid.UUID("6c0d8c0e-6a0b-4c55-9b6c-3f6f4e3a2f6d")
#: How long a recorder counts as at work after its last look, in seconds.
AT_WORK = 6
#: Two recorders of one restored database may overlap for as long as a lease lasts; longer, it is a copy. In seconds.
PATIENCE = 2 * LEASE_SECONDS


def identity_of_database() -> str:
    """The identity of the database, made at the first call.

    It comes from the moment in which the console's tables were made, which no two databases share and every backup
    knows: one from before an upgrade to this release has it, too.
    """
    if known := Lease.objects.filter(name=_NAME).values_list("holder", flat=True).first():
        return known
    recorded = MigrationRecorder(connections[router.db_for_write(Lease)])
    rows = recorded.migration_qs.filter(app=Lease._meta.app_label).order_by("applied", "pk")
    first = rows.values_list("applied", flat=True).first() if recorded.has_table() else None
    made = uuid.uuid4() if first is None else uuid.uuid5(_NAMESPACE, first.isoformat())
    moments = {"since": Now(), "renewed_at": Now(), "expires_at": Now()}
    lease, _ = Lease.objects.get_or_create(name=_NAME, defaults={"holder": str(made), **moments})
    return lease.holder


class Belonging:
    """Whether this Redis serves this database. One a recorder; `holder` is the recorder's name."""

    def __init__(self, client: Redis, holder: str) -> None:
        self._client, self._holder = client, holder
        self._other_since: float | None = None
        self._clash: Clash | None = None

    def refused(self, *, leads: bool) -> bool:
        """Whether this recorder must not work here; why, is told in the log, and where pages read it.

        Args:
            leads: it does, or is about to: then it is noted in Redis that it is at work.

        Raises:
            RedisError, DatabaseError: nobody knows.
        """
        clash, waits = self._look()
        if clash is not None:
            self._tell(clash)
        elif leads and not waits:
            with suppress(RedisRefused):  # a Redis that is full
                self._client.set(key_of(LEADER_KEY), self._holder, ex=AT_WORK)
        self._clash = clash
        return clash is not None or waits

    def leave(self) -> None:
        """At a clean stop: who comes next need not wait."""
        with suppress(RedisError):
            if self._client.get(key_of(LEADER_KEY)) == self._holder:
                self._client.delete(key_of(LEADER_KEY))

    def _look(self) -> tuple[Clash | None, bool]:
        """What stands against it, and whether it has to wait until that is known."""
        ours = identity_of_database()
        keys = [key_of(name) for name in (IDENTITY_KEY, LEADER_KEY, MARK_KEY)]
        pipe = self._client.pipeline(transaction=False)
        for key in keys:
            pipe.get(key)
        found = answers_of(pipe)
        owner = read(keys[0], found[0], lambda text: str(uuid.UUID(text)), "")
        leader = read(keys[1], found[1], str, "")
        mark = read(keys[2], found[2], moment_of, None)
        if found[0] is None:
            with suppress(RedisRefused):
                self._client.set(keys[0], ours, nx=True)
        elif owner and owner != ours:
            return Clash.OTHER, False
        if self._clash is Clash.COPY:
            return Clash.COPY, False  # until it is started again: else it would take over as soon as the other rests
        if not leader or leader == self._holder or mark is None or not self._is_older(mark):
            self._other_since = None
            return None, False
        self._other_since = self._other_since or time.monotonic()
        copied = time.monotonic() - self._other_since > PATIENCE
        return (Clash.COPY if copied else None), not copied

    @staticmethod
    def _is_older(mark: float) -> bool:
        """Whether this database is older than the one that left `mark` in Redis."""
        ours = Lease.objects.filter(name=MARK_NAME).values_list("renewed_at", flat=True).first()
        return ours is None or ours.timestamp() < mark - CRASH

    def _tell(self, clash: Clash) -> None:
        if self._clash is not clash:
            hazard = of_clash(clash, key_of(IDENTITY_KEY))
            logger.error("%s: %s %s %s", hazard.id, hazard.fact, hazard.consequence, hazard.where)
        told = {"since": Now(), "renewed_at": Now(), "expires_at": Now() + timedelta(seconds=LEASE_SECONDS)}
        Lease.objects.update_or_create(name=CLASH, defaults={"holder": clash, **told})
