"""The inspection: what is unsafe about Redis, the clocks and the machines, written where pages read it."""

from __future__ import annotations

import logging
import time

import redis

from jobs.fleet.beacon import machine_mark, read_beacons
from jobs.fleet.entries import unreadable_lately
from jobs.fleet.hazards import Hazard, of_clocks, of_entries, of_machines, of_redis, of_settings, tell
from jobs.ledger.leases import database_now

logger = logging.getLogger(__name__)


class Inspection:
    """One instance a leading recorder; logs a hazard when it first sees it."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._known: set[str] = set()

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
        database = database_now().timestamp()
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
        ]
