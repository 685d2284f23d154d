"""One queue in words: its state, its numbers, what is wrong with it. Unknown is never zero."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode

from admin_ext.parts.chart import Spark
from admin_ext.parts.chips import QUEUE, UNKNOWN, Chip
from admin_ext.parts.places import place
from admin_ext.parts.words import clock, duration, plural
from jobs.fleet.queues import Depth, Reading, steps
from jobs.fleet.samples import Latest

#: A message that has waited so long is too old, in seconds.
TOO_OLD = 600
#: What the recorder measured is unknown when it is older than this, in seconds.
RATES_KEPT = 30
PAGE = "admin:jobs_queue"
ALONE, OLD, GROWING, UNEXPECTED = "alone", "old", "growing", "unexpected"
#: A worker that is gone had received messages of it, and nobody has them now.
LEFT = "left"
#: More arrives than leaves, not for long so far; something waits, and nothing arrives or leaves.
FILLING, STILL = "filling", "still"
FLOWING, EMPTY = "flowing", "empty"
#: Nothing to look at; "" is unknown.
CALM = (FLOWING, FILLING, STILL, EMPTY, "")


@dataclass(frozen=True, slots=True)
class Count:
    """A number and, on demand, what it is made of; `known` is False for one that is grey."""

    text: str
    split: str = ""
    known: bool = True


UNKNOWN_COUNT = Count("unknown", known=False)


@dataclass(frozen=True, slots=True)
class QueueLine:
    """One queue of the list.

    Attributes:
        state: one of QUEUE's names; "" where it is unknown.
        second: what is wrong, or who consumes it.
        tone: of the row: bad, warn or "".
        old: the oldest message is too old.
        filled: it holds anything at all.
    """

    name: str
    href: str
    chip: Chip
    state: str
    tone: str
    second: str
    ready: Count
    reserved: Count
    held: Count
    running: Count
    oldest: Count
    old: bool
    rates: Count
    clears: Count
    spark: Spark | None = None
    filled: bool = True

    @property
    def cells(self) -> tuple[tuple[str, str, Count], ...]:
        """The numbers of the row: the column's word, its rank on small screens or the tone, and the number."""
        return (
            ("Ready", "first", self.ready),
            ("Reserved", "second", self.reserved),
            ("Held", "second", self.held),
            ("Running", "second", self.running),
            ("Oldest", self.tone if self.old else "first", self.oldest),
            ("In / out per min", "second", self.rates),
            ("Clears in", "first", self.clears),
        )


def queue_href(name: str) -> str:
    """The address of a queue's page: the name is a parameter, because it may hold anything."""
    return f"{place(PAGE)}?{urlencode({'name': name})}"


NOT_HEARD = "Redis takes no writes, so workers are not heard"


def unknown_line(name: str) -> QueueLine:
    """A queue that nobody could read."""
    none = UNKNOWN_COUNT
    return QueueLine(
        name, queue_href(name), UNKNOWN, "", "", "not read yet", none, none, none, none, none, False, none, none
    )


def queue_state(depth: Depth, latest: Latest | None, now: float) -> str:
    """What a queue is, worst first."""
    if depth.ready and not depth.workers:
        return ALONE if depth.configured else UNEXPECTED
    if depth.oldest is not None and now - depth.oldest > TOO_OLD:
        return OLD
    if latest is not None and now - latest.at <= RATES_KEPT and depth.queue in latest.growing:
        return GROWING
    if depth.left:
        return LEFT
    if depth.ready and (rate := rate_of(depth.queue, latest, now)):
        arrives, leaves = rate
        if arrives >= leaves:
            return FILLING if arrives > leaves else FLOWING if arrives else STILL
    return FLOWING if depth.workers or not depth.is_empty else EMPTY


def queue_line(
    depth: Depth,
    reading: Reading,
    latest: Latest | None,
    *,
    later: int = 0,
    later_more: bool = False,
    live: bool = True,
    heard: bool = True,
) -> QueueLine:
    """A queue as it was read.

    Args:
        later: runs of it that wait in the ledger; `later_more`: there are more.
        live: False shows what was read before Redis went away: nothing of it is judged.
        heard: False where no worker can say that it lives: who takes from the queue is not told.
    """
    state = queue_state(depth, latest, reading.at) if live and heard else ""
    chip = QUEUE[state] if state else UNKNOWN
    return QueueLine(
        name=depth.queue,
        href=queue_href(depth.queue),
        chip=chip,
        state=state,
        tone=chip.tone if chip.is_trouble else "",
        second=" · ".join(part for part in (_second(depth, state), left_words(depth, reading)) if part)
        if heard
        else NOT_HEARD,
        ready=Count(f"{depth.ready:,}", _by_priority(depth), live),
        reserved=_at_least(depth.reserved, reading, live),
        held=_held(depth, reading, later, later_more, live),
        running=UNKNOWN_COUNT if depth.running is None or not heard else Count(f"{depth.running:,}", known=live),
        oldest=oldest(depth, reading.at, live=live),
        old=state in (ALONE, OLD, UNEXPECTED),
        rates=_rates(depth.queue, latest, reading.at, live),
        clears=clears_in(depth, latest, reading.at, live=live) if heard else UNKNOWN_COUNT,
        filled=not depth.is_empty or later > 0,
    )


def _second(depth: Depth, state: str) -> str:
    if state == UNEXPECTED:
        return "no setting names it, and no worker takes from it"
    if not depth.workers:
        return "no worker takes from it"
    who = f"{plural(len(depth.workers), 'worker')} · {plural(depth.slots, 'slot')}"
    return who if depth.configured else f"{who} · not in this console's settings"


def left_words(depth: Depth, reading: Reading) -> str:
    """`10 with nobody, back from 15:47:02 on`; "" where a worker has each that was received."""
    if not depth.nobody:
        return ""
    more = "" if reading.whole else "+"
    if not depth.left:
        return f"{depth.nobody:,}{more} with nobody, and sent again by the console"
    return f"{depth.nobody:,}{more} with nobody, {back_words(reading.received.back[depth.queue], reading.at)}"


def back_words(back: float, now: float) -> str:
    """When messages that nobody has come back to the workers."""
    if back <= now:
        return "back once a worker looks"
    return f"back from {clock(datetime.fromtimestamp(back, UTC))} on"


def _by_priority(depth: Depth) -> str:
    """`4 of priority 0 to 2, 7 of 9`; "" where there is nothing to tell apart."""
    of_steps = steps()
    ends = [*(step - 1 for step in of_steps[1:]), 9]
    parts = [
        f"{count:,} of priority {step}" + (f" to {end}" if end > step else "")
        for count, step, end in zip(depth.by_step, of_steps, ends, strict=False)
        if count
    ]
    return ", ".join(parts)


def _at_least(count: int, reading: Reading, live: bool) -> Count:
    if reading.whole:
        return Count(f"{count:,}", known=live)
    looked = f"{reading.looked_at:,} of {reading.with_workers:,} messages with workers were looked at"
    return Count(f"{count:,}+", looked, live)


def _held(depth: Depth, reading: Reading, later: int, later_more: bool, live: bool) -> Count:
    more = "" if reading.whole and not later_more else "+"
    split = f"{depth.held:,} with workers, {later:,} not yet sent" if later else ""
    return Count(f"{depth.held + later:,}{more}", split, live)


def oldest(depth: Depth, now: float, *, live: bool = True) -> Count:
    """How long the oldest ready message has waited: "none waits", and "not stamped" where nothing tells."""
    if not depth.ready:
        return Count("none waits", known=False)
    if depth.oldest is None:
        return Count("not stamped", "Its publisher does not tell when: the console's signals are not connected.", False)
    age = duration(max(now - depth.oldest, 0.0))
    if depth.stamped:
        return Count(age, known=live)
    return Count(f"{age} or more", "Some messages do not tell when they were published.", live)


def rate_of(name: str, latest: Latest | None, now: float) -> tuple[float, float] | None:
    """Messages in and out per minute; None where they are not known, or no longer."""
    if latest is None or now - latest.at > RATES_KEPT:
        return None
    return latest.rates.get(name, (0.0, 0.0))


def _rates(name: str, latest: Latest | None, now: float, live: bool) -> Count:
    rate = rate_of(name, latest, now)
    if rate is None:
        return UNKNOWN_COUNT
    return Count(f"{_per_minute(rate[0])} / {_per_minute(rate[1])}", known=live)


def _per_minute(rate: float) -> str:
    return f"{rate:,.1f}" if 0 < rate < 10 and rate != int(rate) else f"{rate:,.0f}"


def clears_in(depth: Depth, latest: Latest | None, now: float, *, live: bool = True) -> Count:
    """When nothing will be ready any more, at the pace of the last minute."""
    if not depth.ready:
        return Count("is clear", known=False)
    if not depth.workers:
        return Count("never", "No worker takes from it.", live)
    rate = rate_of(depth.queue, latest, now)
    if rate is None:
        return UNKNOWN_COUNT
    arrives, leaves = rate
    if leaves > arrives:
        return Count(duration(depth.ready * 60 / (leaves - arrives)), known=live)
    return Count("growing" if arrives > leaves else "as many come" if arrives else "stands still", known=live)
