"""The messages that workers could not read and set aside (`jobs.pipeline.quarantine`), as pages tell of them."""

from __future__ import annotations

import json
from dataclasses import dataclass

from .broker import PREFIX

QUARANTINE_KEY = PREFIX + "quarantine"
#: So many are kept, the newest ones.
QUARANTINE_KEPT = 1000


@dataclass(frozen=True, slots=True)
class Quarantined:
    """How many there are, and of the newest: when (epoch seconds), from which queue, and why."""

    count: int
    at: float
    queue: str
    why: str


def quarantined(count: int, newest: str | None) -> Quarantined | None:
    """What the list's length and its first entry say; None where there is none."""
    if not count or newest is None:
        return None
    try:
        values = json.loads(newest)
        return Quarantined(count, float(values["at"]), str(values["queue"]), str(values["why"]))
    except (ValueError, KeyError, TypeError):
        return Quarantined(count, 0.0, "", "")
