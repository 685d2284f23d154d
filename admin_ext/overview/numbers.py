"""The four numbers of the Overview: each with its unit, its age, its last hours, and the list that it counts."""

from __future__ import annotations

from dataclasses import dataclass

from django.urls import reverse

from admin_ext.frame.machinery import RECORDER, Machinery
from admin_ext.parts.chart import Spark, as_of
from admin_ext.parts.remembered import Remembered, age
from admin_ext.parts.words import capped, duration, plural
from admin_ext.queues.lines import TOO_OLD
from jobs.fleet.glance import Glance
from jobs.fleet.queues import Depth
from jobs.ledger.overview import Figures

from .pictures import by_hour, longest_waits, slots_in_use

UNKNOWN = "?"
#: The pictures of what only Redis knows, as they were last drawn.
_sparks: Remembered[Spark] = Remembered(2)


@dataclass(frozen=True, slots=True)
class Number:
    """One of the four numbers: a link to the list that it counts.

    Attributes:
        value: "?" where it is not known.
        tone: bad or warn, or "" for a number that is nothing to worry about.
        note: of what, since when, and how old.
        stale: it is not known, or it was recorded and may have changed since.
        spark: its last hours; None where they are not known.
    """

    label: str
    value: str
    unit: str
    note: str
    href: str
    tone: str = ""
    stale: bool = False
    spark: Spark | None = None


def numbers(figures: Figures, machinery: Machinery, glance: Glance | None, cap: int) -> tuple[Number, ...]:
    """The numbers as they are now; what only Redis knows is unknown without it."""
    return (
        _ran(figures, machinery, cap),
        _hurting(figures, cap),
        _longest_wait(figures, glance, cap),
        _slots(figures, machinery, glance, cap),
    )


def _ran(figures: Figures, machinery: Machinery, cap: int) -> Number:
    total = figures.ran.total
    waits = f", {capped(figures.accepted, cap)} accepted, not yet queued" if figures.accepted else ""
    return Number(
        "Runs, 24 h",
        capped(total, cap),
        "run" if total == 1 else "runs",
        f"asked for in the last 24 hours{waits}" if machinery.alive(RECORDER) else f"as recorded{waits}",
        reverse("admin:jobs_run_changelist") + "?since=24h",
        spark=by_hour(figures.ran.hours, "idle", "Runs asked for"),
    )


def _hurting(figures: Figures, cap: int) -> Number:
    bad, groups = figures.bad.total, figures.needing_action
    day = f"{capped(bad, cap)} failed or lost in 24 h"
    if groups:
        note = f"in {capped(groups, cap)} {'group' if groups == 1 else 'groups'}, {day}"
    else:
        note = f"{'all of the ' if bad else 'none'}{day if bad else ' failed or was lost in 24 h'}"
        note += " healed or decided" if bad else ""
    tone = "bad" if figures.hurting else ""
    return Number(
        "Failed, still hurting",
        f"{figures.hurting:,}" + ("+" if groups > cap else ""),
        "run" if figures.hurting == 1 else "runs",
        note,
        reverse("admin:jobs_failuregroup_changelist"),
        tone,
        spark=by_hour(figures.bad.hours, "bad" if bad and tone else "idle", "Failed or lost"),
    )


def _longest_wait(figures: Figures, glance: Glance | None, cap: int) -> Number:
    href = reverse("admin:jobs_queues")
    recorded = f"{capped(figures.queued, cap)} queued as last recorded"
    if glance is None:
        return _away("Longest wait now", recorded, href)
    at, depths = glance.reading.at, glance.reading.queues.values()
    ready = sum(depth.ready for depth in depths)
    waits = f"{ready:,} {'waits' if ready == 1 else 'wait'} in all"
    worst = min((depth for depth in depths if depth.oldest is not None), key=_oldest, default=None)
    if worst is None or worst.oldest is None:
        words = f"{waits}, none tells since when" if ready else "read now"
        value = UNKNOWN if ready else "none"
        spark = _kept("Longest wait now", longest_waits(glance.series, "idle"))
        return Number("Longest wait now", value, "", words, href, stale=bool(ready), spark=spark)
    seconds = max(at - worst.oldest, 0.0)
    tone = "warn" if seconds > TOO_OLD else ""
    value, _, unit = duration(seconds).partition(" ")
    if not value[:1].isdigit():
        value, unit = "0", "s"
    note = f"queue {worst.queue}; {waits}, read now"
    spark = _kept("Longest wait now", longest_waits(glance.series, tone or "idle"))
    return Number("Longest wait now", value, unit, note, href, tone, spark=spark)


def _oldest(depth: Depth) -> float:
    return depth.oldest or 0.0


def _slots(figures: Figures, machinery: Machinery, glance: Glance | None, cap: int) -> Number:
    href, fleet = reverse("admin:jobs_workers"), machinery.fleet
    recorded = f"{capped(figures.running, cap)} running as last recorded"
    if not machinery.live or glance is None:
        return _away("Slots in use", recorded, href)
    if not fleet.beacons:
        return Number("Slots in use", "none", "", f"no worker has been heard; {recorded}", href, "bad")
    gone = [one for one in glance.workers if one.condition == "gone"]
    note = f"on {plural(len(fleet.beacons), 'worker')}, heard {duration(max(fleet.oldest_beat, 0.0))} ago"
    if gone:
        lost = sum(one.beacon.concurrency for one in gone)
        note += f"; {lost:,} more unknown"
    spark = _kept("Slots in use", slots_in_use(fleet.beacons))
    return Number("Slots in use", f"{fleet.busy:,}", f"of {fleet.slots:,}", note, href, spark=spark)


def _kept(label: str, spark: Spark | None) -> Spark | None:
    return _sparks.keep(spark, name=label) if spark else None


def _away(label: str, recorded: str, href: str) -> Number:
    """A number that only Redis knows, while it is away: what it was last is drawn in grey, with its age."""
    before = _sparks.last(label)
    drawn = f"; drawn as of {age(before.at)} ago" if before else ""
    spark = as_of(before.value, before.at) if before else None
    return Number(label, UNKNOWN, "", f"unknown; {recorded}{drawn}", href, stale=True, spark=spark)
