"""Why a run does not run: one sentence with the link to what would change it. What cannot be told is said to be so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from admin_ext.frame.machinery import RECORDER, Machinery, read_machinery
from admin_ext.parts.words import duration, exact, plural
from admin_ext.queues.lines import clears_in, queue_href
from admin_ext.workers.lines import worker_href
from jobs.fleet.beacon import Beacon
from jobs.fleet.breaker import ask
from jobs.fleet.broker import Redis
from jobs.fleet.conditions import Condition, Judged, judge, judge_gone, read_gone
from jobs.fleet.position import MOST_LOOKED_AT, Position, position_of
from jobs.fleet.queues import Reading, read_queues
from jobs.fleet.samples import Latest, read_latest
from jobs.models import Run
from jobs.states import State

from .facts import Notice

#: A run that began so lately may not be in any beacon yet, in seconds.
_JUST_BEGUN = 10
#: A message that was published so long ago is missed where it is nowhere, in seconds.
_MISSED_AFTER = 60
_WAITS = frozenset({State.WAITING, State.ACCEPTED, State.QUEUED, State.RETRYING})


@dataclass(frozen=True, slots=True)
class Seen:
    """What Redis says of a run's queue at this moment."""

    position: Position
    reading: Reading
    latest: Latest | None
    gone: tuple[Beacon, ...]


def why_waiting(request: HttpRequest, run: Run) -> Notice | None:
    """The first of its causes that holds; None for a run that has ended, or is at work with a worker that is heard.

    One round trip for its place, one for the queues, one for what was measured; none for a run that has no message yet.
    """
    machinery, now = read_machinery(request), timezone.now()
    if run.state == State.RUNNING:
        return _worker_gone(run, machinery, now)
    if run.state not in _WAITS or run.cancel_requested_at:
        return None
    if run.not_before and run.not_before > now:
        return Notice("idle", "hourglass_empty", f"Not before {exact(run.not_before)}.", _recorder_text(machinery))
    if run.state in (State.WAITING, State.ACCEPTED):
        return _not_sent(machinery)
    return _in_queue(run, machinery)


def _recorder_text(machinery: Machinery) -> str:
    return "" if machinery.alive(RECORDER) else "No recorder is alive, and without one it stays where it is."


def _not_sent(machinery: Machinery) -> Notice:
    """It is in the database alone: the recorder brings it into its queue."""
    if not machinery.alive(RECORDER):
        fact = f"No recorder is alive ({machinery.last_seen(RECORDER)}), which would put it into its queue."
        return Notice("bad", "history_toggle_off", fact, "It is safe.", reverse("admin:index"), "See the machinery")
    if not machinery.live:
        return Notice("bad", "cloud_off", "Its queue is in Redis, which does not answer.", "It is safe and follows.")
    return Notice("idle", "outbox", "It is accepted and safe.", "The recorder puts it into its queue within seconds.")


def _in_queue(run: Run, machinery: Machinery) -> Notice | None:
    fleet = machinery.fleet

    def read(client: Redis) -> Seen:
        consumed = any(run.queue in beacon.queues for beacon in fleet.beacons)
        return Seen(
            position_of(client, run.queue, run.task_id),
            read_queues(client, fleet.beacons, [run.queue]),
            read_latest(client),
            () if consumed else read_gone(client),
        )

    seen = ask(read) if machinery.live else None
    if seen is None:
        fact = f"It is in the queue {run.queue}; how far is not known: Redis does not answer."
        return Notice("warn", "question_mark", fact, "", queue_href(run.queue), "See the queue")
    if gone := _message_gone(run, seen, machinery):
        return gone
    takes = [judge(beacon, fleet.read_at, seen.reading) for beacon in fleet.beacons if run.queue in beacon.queues]
    if run.state == State.RETRYING:  # another sentence says that it is tried again
        return _nobody(run, seen, fleet.read_at) if not takes else _all_stuck(run, takes)
    return (
        _held_by_worker(run, fleet.beacons)
        or _received(run, seen)
        or (None if takes else _nobody(run, seen, fleet.read_at))
        or _all_stuck(run, takes)
        or _behind(run, takes, seen)
    )


def _held_by_worker(run: Run, beacons: Sequence[Beacon]) -> Notice | None:
    """A worker has received it and has not begun."""
    holder = next((one for one in beacons if run.task_id in one.running and run.task_id not in one.started), None)
    if holder is None:
        return None
    if holder.at_once >= holder.concurrency:
        fact = f"{holder.worker} has received it and runs others in {plural(holder.concurrency, 'slot')}."
        text = "It begins there when one is free; no other worker can take it."
        return Notice("warn", "memory", fact, text, worker_href(holder.worker), "See what it runs")
    fact = f"{holder.worker} has received it and begins at once, or at the time that its publisher asked for."
    return Notice("idle", "memory", fact, "", worker_href(holder.worker), "See the worker")


def _message_gone(run: Run, seen: Seen, machinery: Machinery) -> Notice | None:
    """Its message is nowhere in Redis, for longer than a worker and the recorder need to tell what became of it."""
    position, reading = seen.position, seen.reading
    looked_everywhere = position.whole and reading.whole and not position.found
    listed = any(run.task_id in beacon.running for beacon in machinery.fleet.beacons)
    since = run.published_at or run.accepted_at
    if not looked_everywhere or listed or run.task_id in reading.received.unnamed:
        return None
    if since is None or (timezone.now() - since).total_seconds() < _MISSED_AFTER:
        return None
    # One that a worker took since its last beat is told of by nobody yet.
    taken = any(run.queue in beacon.queues for beacon in machinery.fleet.beacons)
    causes = "Redis lost it, somebody removed it, or a worker that is gone had it"
    fact = f"Its message is no longer in the queue: {'a worker has just taken it, ' if taken else ''}{causes}."
    if not machinery.alive(RECORDER):
        text = "Or it has run: no recorder is alive, which would know."
        return Notice("warn", "question_mark", fact, text, reverse("admin:index"), "See the machinery")
    if run.guaranteed:
        return Notice("warn", "help", fact, "The recorder publishes it again by itself.", queue_href(run.queue), "See")
    text = "Nobody publishes it again. If this stays, cancel it, or start it anew."
    return Notice("bad", "unknown_document", fact, text, queue_href(run.queue), "See the queue")


def _received(run: Run, seen: Seen) -> Notice | None:
    """A worker had received its message, and no living one names it."""
    one = seen.reading.received.unnamed.get(run.task_id)
    if one is None:
        return None
    if not one.missed:
        fact = "A worker has just received it, and begins at once, or at the time that its publisher asked for."
        return Notice("idle", "memory", fact, "", queue_href(run.queue), "See the queue")
    back = datetime.fromtimestamp(one.back, UTC)
    when = f"from {exact(back)} on" if one.back > seen.reading.at else "once a worker looks"
    again = " The recorder publishes it again before." if run.guaranteed else ""
    if one.certain:
        fact = "The worker that had received it is gone, or has lost its connection; nobody has it now."
        text = f"Redis gives it to another worker {when}.{again}"
        return Notice("warn", "hourglass_empty", fact, text, queue_href(run.queue), "See the queue")
    fact = "A worker holds it until the time that its publisher asked for, or one that is gone had it."
    text = f"In that case Redis gives it to another worker {when}.{again}"
    return Notice("idle", "hourglass_empty", fact, text, queue_href(run.queue), "See the queue")


def _nobody(run: Run, seen: Seen, now: float) -> Notice:
    fact = f"No worker takes from the queue {run.queue}."
    before = next((one for one in seen.gone if run.queue in one.queues), None)
    if before is None:
        text = "It waits until one starts that does."
        return Notice("bad", "person_off", fact, text, queue_href(run.queue), "See the queue")
    judged = judge_gone(before, now)
    word = "has stopped" if judged.condition is Condition.STOPPED else "is gone"
    text = f"The last one that did, {before.worker}, {word}, {duration(judged.age)} ago."
    return Notice("bad", "person_off", fact, text, worker_href(before.worker), "See that worker")


def _all_stuck(run: Run, takes: Sequence[Judged]) -> Notice | None:
    """Each worker of its queue is in a condition in which it takes nothing."""
    words = {
        Condition.WEDGED: "is wedged",
        Condition.SILENT: "has not been heard for a moment",
        Condition.STOPPING: "is stopping",
    }
    if any(one.condition not in words for one in takes):
        return None
    worst = min(takes, key=lambda one: list(Condition).index(one.condition))
    name = worst.beacon.worker
    others = f", and so on for {plural(len(takes) - 1, 'other')}" if len(takes) > 1 else ""
    tone = "bad" if worst.condition is Condition.WEDGED else "warn"
    fact = f"{name}, which takes from the queue {run.queue}, {words[worst.condition]}{others}."
    return Notice(tone, "running_with_errors", fact, "", worker_href(name), "See the worker")


def _behind(run: Run, takes: Sequence[Judged], seen: Seen) -> Notice:
    position, href = seen.position, queue_href(run.queue)
    if not position.found and position.whole:
        fact = "Its message is in no list of its queue: a worker has just taken it, or it is lost."
        text = "The recorder looks, and publishes it again where it is lost." if run.guaranteed else ""
        return Notice("idle", "help", fact, text, href, "See the queue")
    slots = sum(one.beacon.concurrency for one in takes)
    used = sum(one.beacon.at_once for one in takes)
    busy = f"{used:,} of {plural(slots, 'slot')} of its queue's {plural(len(takes), 'worker')} in use."
    if not position.ahead:
        return Notice("idle", "stacks", f"It is the next one of the queue {run.queue}.", busy, href, "See the queue")
    count = f"{position.ahead:,}" if position.found else f"at least {MOST_LOOKED_AT:,}"
    others = "other" if position.found and position.ahead == 1 else "others"
    depth = seen.reading.queues.get(run.queue)
    clears = clears_in(depth, seen.latest, seen.reading.at) if depth else None
    pace = _pace(clears.text) if clears is not None and clears.known else ""
    return Notice(
        "idle", "stacks", f"It waits in the queue {run.queue} behind {count} {others}{pace}.", busy, href, "See"
    )


def _pace(clears: str) -> str:
    return {"growing": "; the queue grows", "stands still": "; the queue stands still"}.get(
        clears, f", clears in {clears}"
    )


def _worker_gone(run: Run, machinery: Machinery, now: datetime) -> Notice | None:
    """It should be at work, and nobody hears its worker."""
    begun = run.claimed_at or run.started_at
    if not machinery.live or not run.worker or begun is None or (now - begun).total_seconds() < _JUST_BEGUN:
        return None
    if machinery.fleet.having(run.worker, run.process):
        return None
    text = "The recorder declares it lost, or puts it back where it may run again, within a minute."
    if not machinery.alive(RECORDER):
        text = "No recorder is alive, which would declare it lost."
    return Notice(
        "bad",
        "sensors_off",
        f"{run.worker}, which ran it, is gone.",
        text,
        worker_href(run.worker, run.process),
        "See it",
    )
