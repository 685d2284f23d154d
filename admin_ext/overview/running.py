"""What runs, on the Overview: its rows, how many, and what is said where there are none."""

from __future__ import annotations

from collections.abc import Sequence

from admin_ext.frame.machinery import RECORDER, Machinery
from admin_ext.parts.rows import Row, rows
from admin_ext.parts.words import capped, plural
from jobs.fleet.conditions import Condition, Judged
from jobs.ledger.durations import usual
from jobs.ledger.lists import running_lines, unknown_of
from jobs.ledger.overview import Figures
from jobs.ledger.readable import Withheld

RUNNING_SHOWN = 8


def unknown_of_gone(workers: Sequence[Judged]) -> int:
    """How many runs were at work on workers that are gone, of which nobody knows how they stand."""
    gone = [one.beacon.started for one in workers if one.condition is Condition.GONE]
    return unknown_of({task_id: began for started in gone for task_id, (began, _) in started.items()})


def longest_running(withheld: Withheld) -> tuple[Row, ...]:
    """The runs that have been running longest, those that are late first."""
    lines = running_lines(limit=RUNNING_SHOWN, withheld=withheld)
    found = rows(lines, usual({line.run.task_name for line in lines}))
    return tuple(sorted(found, key=lambda row: row.bar is None or not row.bar.late))


def running_words(figures: Figures | None, machinery: Machinery, unknown: int, cap: int) -> str:
    """How many run, for the card's head; counting stops at `cap`."""
    # Without Redis or a recorder nobody hears what starts and ends.
    recorded = "" if machinery.live and machinery.alive(RECORDER) else ", as last recorded"
    if unknown:
        return f"{unknown:,} not known{recorded}"
    if figures is None or not figures.running:
        listed = " listed" if machinery.live and machinery.fleet.busy else ""
        return f"none{listed}{recorded}"
    number = "1 run" if figures.running == 1 else f"{capped(figures.running, cap)} runs"
    return f"{number}, most late first{recorded}" if figures.running > 1 else f"{number}{recorded}"


def nothing_runs(machinery: Machinery, unknown: int) -> str:
    """What stands in place of the runs; what code starts and ends between two beats is never seen at work.

    Args:
        unknown: so many runs were at work on a worker that is gone, and nobody has told of them since.
    """
    if unknown:
        had = "1 run was" if unknown == 1 else f"{unknown:,} runs were"
        return (
            f"{had} at work on a worker that is gone; how {'it stands' if unknown == 1 else 'they stand'} is not known."
        )
    busy = machinery.fleet.busy if machinery.live else 0
    if not busy:
        return "Nothing is running."
    if not machinery.alive(RECORDER):
        return f"{plural(busy, 'slot')} {'is' if busy == 1 else 'are'} in use; what runs there, no recorder records."
    if busy == 1:
        return "1 slot was in use a moment ago, by a run that has ended or is too short to be listed."
    return f"{busy:,} slots were in use a moment ago, by runs that have ended or are too short to be listed."
