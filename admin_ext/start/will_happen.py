"""What pressing the button brings about: what would be touched, the queue, the worker, how long it usually takes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from admin_ext.frame.machinery import Machinery
from admin_ext.parts.asking import Consequence
from admin_ext.parts.words import capped, duration, plural
from jobs.catalog.registry import Danger, Job, Targets
from jobs.catalog.routing import usual_queue
from jobs.ledger.lists import JobHistory, waiting_in_queue
from jobs.ledger.readable import own_permission

WAITING_CAP = 1000
FILES_TOO = "the run, its parameters and its files"
LONGEST_WHY = 200
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Touched:
    """What a run with these values would touch.

    Attributes:
        count: None where it is not known; `why_not` says why.
    """

    count: int | None
    noun: str = ""
    sample: str = ""
    why_not: str = ""

    @property
    def words(self) -> str:
        """`214 customers`, `no customers`."""
        return f"{self.count:,} {self.noun}" if self.count else f"no {self.noun}"


def touched(job: Job, typed: Mapping[str, Any]) -> Touched | None:
    """Ask the job what these typed values would touch; None for a job that cannot tell."""
    if job.targets is None:
        return None
    try:
        found: object = job.targets(**typed)
        if isinstance(found, Targets):
            return Touched(found.count, found.noun, _sample(found))
        why = f"the job told {type(found).__name__} instead of its targets."
    except Exception as error:  # whatever the author's function raises, the form must stand
        logger.exception("The targets of %s could not be told", job.name)
        secret = job.parameters is not None and job.parameters.secrets
        why = type(error).__name__ if secret else f"{type(error).__name__}: {error}"[:LONGEST_WHY]
    return Touched(None, why_not=why.rstrip(".") + ".")


def _sample(found: Targets) -> str:
    names = ", ".join(str(name)[:100] for name in found.sample[:5])
    more = found.count - len(found.sample[:5])
    return f"{names} and {more:,} more" if names and more > 0 else names


def consequences(job: Job, history: JobHistory, machinery: Machinery, *, queue: str = "") -> list[Consequence]:
    """What pressing the button brings about, as far as it is known now; `queue` where its route does not decide."""
    facts = [*_way(queue or usual_queue(job.name), machinery), _usual(history)]
    if not history.active:
        facts.append(Consequence("check_circle", "Nobody else is running it.", "ok"))
    if job.danger is Danger.CAUTION:
        facts.append(Consequence("warning", "It changes something that people notice.", "warn"))
    elif job.danger is Danger.DANGER:
        facts.append(Consequence("shield", "No button undoes what it does: look twice.", "bad"))
    if job.idempotent:
        facts.append(Consequence("undo", "It may be run again safely; if its worker vanishes, it is started again."))
    else:
        facts.append(
            Consequence("warning", "Not known to be safe to run twice: a second run may do its work again.", "warn")
        )
    seen = "that it ran; what it was given and says, who may run it" if own_permission(job) else FILES_TOO
    facts.append(Consequence("visibility", f"Everyone with the role Viewer sees {seen}."))
    return facts


def _way(queue: str, machinery: Machinery) -> list[Consequence]:
    if not queue:
        return [Consequence("alt_route", "Its route leads to no queue that exists, or its values decide.", "warn")]
    waiting = waiting_in_queue(queue, cap=WAITING_CAP)
    ahead = f"{capped(waiting, WAITING_CAP)} ahead of it" if waiting else "none waits ahead of it"
    return [Consequence("inbox", f"Goes to the queue {queue}: {ahead}."), _worker(queue, machinery)]


def _worker(queue: str, machinery: Machinery) -> Consequence:
    if not machinery.fleet.known:
        return Consequence("question_mark", "Whether a worker is ready is not known: Redis does not answer.", "unknown")
    ready = [beacon for beacon in machinery.fleet.beacons if queue in beacon.queues]
    if not ready:
        return Consequence("person_off", "No worker is heard on this queue: the run waits until one starts.", "bad")
    slots = sum(beacon.concurrency for beacon in ready)
    free = sum(max(beacon.concurrency - len(beacon.running), 0) for beacon in ready)
    return Consequence("memory", f"{plural(len(ready), 'worker')} ready, {free:,} of {plural(slots, 'slot')} free.")


def _usual(history: JobHistory) -> Consequence:
    last = history.durations[:5]
    if not history.read:
        return Consequence("timer", "It has never run here: how long it takes is not known.")
    if not last:
        return Consequence("timer", "None of its last runs succeeded: how long it takes is not known.")
    if len(last) == 1 or duration(min(last)) == duration(max(last)):
        return Consequence("timer", f"It took {duration(last[0])} the last time.")
    return Consequence("timer", f"Its last {len(last)} runs took {duration(min(last))} to {duration(max(last))}.")
