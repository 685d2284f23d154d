"""The fold "Filters" of the runs list: a select for each thing that a list is narrowed by."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils import timezone

from jobs.fleet.workers import Fleet

from .asked import field_time
from .choices import PRESETS, SOURCES, Options, job_options, queue_options, worker_options
from .listing import RunListPage


@dataclass(frozen=True, slots=True)
class Select:
    """One select: its parameter, its label, what it offers, and what is chosen.

    Attributes:
        every: the words for no choice.
        problem: why what was asked for makes no sense; "" where it does.
    """

    name: str
    label: str
    every: str
    options: Options
    chosen: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """The fold. It begins open where something in it is wrong; what is set stands below it, each to be dropped.

    Attributes:
        set: how many of its filters are set.
        since, until: the times as a browser's field writes them; as given where they are none.
        zone: the zone in which they are read.
    """

    selects: tuple[Select, ...]
    open: bool
    set: int
    since: str
    until: str
    zone: str


def panel_of(page: RunListPage, fleet: Fleet) -> Panel:
    """The fold for the page; the workers are those of which `fleet` knows."""
    asked, named, problems = page.asked, page.named, page.asked.problems
    heard = tuple(beacon.worker for beacon in fleet.beacons)
    schedules = {str(pk): name for pk, name in named.schedules.items()}
    people = {"me": "Me", **named.people}
    preset = asked.since if asked.since in PRESETS else ""
    selects = (
        Select("job", "Job", "Every job", job_options(asked.job), asked.job),
        Select("queue", "Queue", "Every queue", queue_options(asked.queue), asked.queue),
        Select("worker", "Worker", "Every worker", worker_options(heard, asked.worker), asked.worker),
        Select("source", "Started by", "Whatever started it", tuple(SOURCES.items()), asked.source),
        Select("by", "Person", "Everybody", _with(people, asked.by, "person"), asked.by),
        Select("schedule", "Schedule", "Every schedule", _with(schedules, asked.schedule, "schedule"), asked.schedule),
        Select("since", "Asked for", "At any time", tuple(PRESETS.items()), preset),
    )
    given = (asked.job, asked.queue, asked.worker, asked.source, asked.by, asked.schedule, asked.since, asked.until)
    return Panel(
        selects=tuple(_told(select, problems.get(select.name, "")) for select in selects),
        open=bool(problems.keys() - {"", "q", "state"}),
        set=sum(map(bool, given)),
        since="" if preset else field_time(asked.since),
        until=field_time(asked.until),
        zone=timezone.get_current_timezone_name(),
    )


def _told(select: Select, problem: str) -> Select:
    if not problem or select.name == "since":  # a wrong time is told beside the field where it was typed
        return select
    return Select(select.name, select.label, select.every, select.options, select.chosen, problem)


def _with(names: dict[str, str], asked: str, noun: str) -> Options:
    """What is offered, and what is asked for though it is not: a person who is no longer staff, for instance."""
    return tuple((names | ({asked: f"{noun} {asked}"} if asked and asked not in names else {})).items())
