"""Runs that wait in the ledger for a time of their own: no message of theirs exists yet."""

from __future__ import annotations

from collections import Counter

from jobs.models import Run
from jobs.states import State


def waiting_by_queue(cap: int) -> tuple[Counter[str], bool]:
    """How many runs of each queue are held for a later time, and whether there are more than the `cap` looked at."""
    queues = list(Run.objects.filter(state=State.WAITING).order_by().values_list("queue", flat=True)[: cap + 1])
    return Counter(queues[:cap]), len(queues) > cap
