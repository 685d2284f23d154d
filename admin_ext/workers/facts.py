"""What the page of one worker says of it, in words."""

from __future__ import annotations

from celery import current_app

from admin_ext.parts.words import duration, file_size, plural
from jobs.fleet.conditions import Condition, Judged

from .lines import heard_words, left_by, memory_of, process_words, said

#: So many of its executions are listed: its beacon names no more.
SHOWN = 50


def others_words(one: Judged) -> str:
    """What it means that others bear its name, up to their names."""
    if not one.others:
        return ""
    here = f"This is {process_words(one.beacon)}."
    if one.shared:
        return (
            f"{here} Remote commands to this name reach every process that bears it. "
            f"Start each with a name of its own: celery -A {current_app.main} worker -n <name>@%h. "
            "The name is shared with"
        )
    return f"{here} The name was also borne by"


def heard(one: Judged, live: bool) -> str:
    if not live:
        return "not known now"
    parts = [f"heard {heard_words(one)}"]
    if one.beacon.up is not None:
        parts.append(f"{'up' if one.alive else 'was up'} {duration(one.beacon.up)}")
    if one.beacon.release not in ("", "unknown"):
        parts.append(f"release {one.beacon.release}")
    return " · ".join(parts)


def condition_words(one: Judged) -> str:
    """What its condition means, and what to do."""
    if one.condition is Condition.GONE:
        return f"{said(one)}. {left_by(one)}"
    if one.condition is Condition.WEDGED:
        return f"{said(one)}. If this lasts, stop it from outside and start it again."
    if one.condition is Condition.SILENT:
        return "A beat is missing. It may be late, or the worker is gone: that is certain 8 s after its last beat."
    if one.condition is Condition.DEAF:
        return "It runs in its main process, so it answers no command until that has ended. It still tells of itself."
    return f"{said(one)}." if said(one) else ""


def heading(one: Judged, now_known: bool) -> str:
    beacon = one.beacon
    if not now_known:
        return f"Slots unknown, it had {beacon.concurrency:,}"
    return f"{beacon.at_once:,} of {plural(beacon.concurrency, 'slot')} in use"


def working_words(count: int) -> str:
    if not count:
        return "none"
    shown = f"the longest {SHOWN} of {count:,}" if count > SHOWN else f"{count:,}"
    return f"{shown}, longest first"


def memory_words(one: Judged) -> str:
    beacon = one.beacon
    if beacon.memory is None:
        return "unknown: its system does not tell"
    total = memory_of(beacon)
    if not beacon.children:
        return f"{total}, one process"
    count = plural(len(beacon.children), "process", "processes")
    return f"{total} with {count} of its pool; what they share is counted in each"


def facts(one: Judged) -> tuple[tuple[str, str], ...]:
    beacon = one.beacon
    units = {"prefork": "process", "thread": "thread", "threads": "thread", "solo": "slot"}
    unit = units.get(beacon.pool, "slot")
    slots = plural(beacon.concurrency, unit, "processes" if unit == "process" else "")
    prefetch = "prefetch unknown" if beacon.prefetch is None else f"prefetch {beacon.prefetch:,}"
    if beacon.prefetch == 0:
        prefetch = "prefetch without a bound"
    return (
        ("Host", f"{beacon.host or 'unknown'}, process {beacon.pid}"),
        ("Pool", beacon.pool),
        ("Concurrency", f"{slots}, {prefetch}"),
        ("Reserved", f"{plural(beacon.reserved, 'message')}, received and not begun"),
        ("Held", "unknown" if beacon.holds is None else f"{plural(beacon.holds, 'message')} until their time"),
        ("Runs begun", "unknown" if beacon.processed is None else f"{beacon.processed:,} since its start"),
        ("Last movement", "unknown" if beacon.moved is None else f"{duration(beacon.moved + one.age)} ago"),
        ("Main process", "unknown" if beacon.memory is None else file_size(beacon.memory)),
        ("Load", _load(beacon.load, beacon.cpus)),
        ("Clock", _clock(beacon.clock)),
        ("Main loop", _loop(beacon.quiet)),
        ("Release", beacon.release if beacon.release not in ("", "unknown") else "not known"),
    )


def _load(load: float | None, cpus: int | None) -> str:
    if load is None:
        return "unknown"
    return f"{load:.1f} in the last minute" + (f", on {plural(cpus, 'core')}" if cpus else "")


def _clock(ahead: float | None) -> str:
    if ahead is None:
        return "unknown"
    return f"{abs(ahead) * 1000:,.0f} ms {'ahead of' if ahead >= 0 else 'behind'} Redis'"


def _loop(quiet: float | None) -> str:
    if quiet is None:
        return "this pool has none"
    return "turns" if quiet < 3 else f"has not turned for {duration(quiet)}"
