"""The inspection: what is unsafe about Redis, the clocks and the machines, written where pages read it."""

from __future__ import annotations

import logging
import time
from datetime import datetime, timedelta

import redis

from jobs.fleet.beacon import machine_mark, read_beacons
from jobs.fleet.entries import unreadable_lately
from jobs.fleet.hazards import Hazard, of_clocks, of_entries, of_machines, of_other_beats, of_redis, of_settings, tell
from jobs.ledger.leases import database_now
from jobs.models import Run
from jobs.states import Source

logger = logging.getLogger(__name__)

#: For so long another beat is told after its last schedule, and looked for when the recorder begins.
OTHER_BEAT = timedelta(hours=1)
#: An observed run may be recorded so long after it was published.
_LATE = timedelta(minutes=1)


class Inspection:
    """One instance a leading recorder; logs a hazard when it first sees it."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._known: set[str] = set()
        self._others: dict[str, datetime] = {}
        self._looked_until: datetime | None = None

    def step(self) -> int:
        """Look, and tell; always 0, because nothing waits to be done.

        Raises:
            RedisError, DatabaseError: nothing was told; the last word fades after `BELIEVED` seconds.
        """
        found = self.look()
        for hazard in [*of_settings(), *found]:
            if hazard.id not in self._known:
                logger.warning("%s: %s %s %s", hazard.id, hazard.fact, hazard.consequence, hazard.where)
        self._known = {hazard.id for hazard in found} | {hazard.id for hazard in of_settings()}
        tell(found, self._client)
        return 0

    def look(self) -> list[Hazard]:
        """Every hazard that the settings alone do not show."""
        heard = read_beacons(self._client)
        asked = time.time()
        now = database_now()
        database = now.timestamp()
        here = (asked + time.time()) / 2
        # A beacon says how far its worker is ahead of Redis; the recorder knows itself, Redis and the database.
        redis_behind = database - heard.at - (here - asked)
        ahead = {beacon.worker: beacon.clock - redis_behind for beacon in heard.beacons if beacon.clock is not None}
        ahead["the recorder"] = here - database
        return [
            *of_redis(self._client),
            *of_clocks(ahead),
            *of_machines(heard.beacons, machine_mark()),
            *of_entries(unreadable_lately()),
            *of_other_beats(self._other_beats(now)),
        ]

    def _other_beats(self, now: datetime) -> list[str]:
        """Names of schedules whose runs were observed only: the console's own beat accepts a row for each moment."""
        since = now - OTHER_BEAT if self._looked_until is None else self._looked_until - _LATE
        found = Run.objects.filter(accepted_at__gte=since, source=Source.SCHEDULE, guaranteed=False)
        for name, at in found.order_by("-accepted_at").values_list("schedule_name", "accepted_at")[:1000]:
            self._others[name] = max(at, self._others.get(name, at))
        self._looked_until = now
        self._others = {name: at for name, at in self._others.items() if at > now - OTHER_BEAT}
        return sorted(name or "without a name" for name in self._others)
