"""The watch: finds the observed runs that workers are at now.

No task reports its own start, which would cost each one a round trip; what lasts longer than a beat is seen in the
beacons.
"""

from __future__ import annotations

import redis

from jobs.fleet.beacon import Beacon, read_beacons
from jobs.models import Run
from jobs.pipeline.facts import Fact, Kind
from jobs.states import State

from .record import record_facts

#: What a run may be in before it is seen at work.
_BEFORE = (State.QUEUED, State.RETRYING)


class Watch:
    """One instance a leading recorder; remembers nothing."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def step(self) -> int:
        """Mark the observed runs that beacons show at work as running; how many were.

        Raises:
            RedisError, DatabaseError: nothing was marked.
        """
        heard = read_beacons(self._client)
        seen = {
            task_id: _started(task_id, beacon, began, retries, heard.at)
            for beacon in heard.beacons
            for task_id, (began, retries) in beacon.started.items()
            if beacon.running.get(task_id) is None
        }
        if not seen:
            return 0
        waiting = Run.objects.filter(task_id__in=seen, guaranteed=False, state__in=_BEFORE)
        facts = [seen[task_id] for task_id in waiting.values_list("task_id", flat=True)]
        record_facts(facts)
        return 0  # nothing waits to be done: the next beat is soon enough


def _started(task_id: str, beacon: Beacon, began: float, retries: int, now: float) -> Fact:
    return Fact(
        Kind.STARTED, task_id, now, worker=beacon.worker, process=beacon.boot, started_at=began, retries=retries
    )
