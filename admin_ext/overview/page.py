"""The Overview, which is the admin's index: trouble first, then what runs, what comes, what was done by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from admin_ext.audit.sentences import Sentence, sentences
from admin_ext.frame.machinery import RECORDER, Machinery, read_machinery
from admin_ext.frame.sidebar import remember_failures, remember_looks, remember_running
from admin_ext.parts.access import VIEW_AUDIT, VIEW_RUN, VIEW_SCHEDULE, may, withheld_from
from admin_ext.parts.rows import Row
from admin_ext.parts.trouble import Part, Trouble
from admin_ext.parts.words import capped, clock, duration, local_time, plural
from admin_ext.schedules.access import readable_problem
from jobs.catalog.registry import job_title
from jobs.fleet.glance import Glance
from jobs.ledger.readable import readable_events, readable_group
from jobs.ledger.verbs import REREAD_FACTS, RETRY_RUN
from jobs.schedules.planned import Planned, planned
from jobs.schedules.problems import problems

from . import troubles
from .alerts import alerts_part, undelivered
from .first_steps import KEY as FIRST_STEPS
from .first_steps import Step, first_steps
from .numbers import Number, numbers
from .pictures import Day, next_day
from .read import Read, read_database, read_redis
from .running import longest_running, nothing_runs, running_words, unknown_of_gone

NEXT_SHOWN = 6
ACTS_SHOWN = 8
#: So many troubles are shown; the others behind a link.
TROUBLES_SHOWN = 8
#: Counting stops here: "10,000+".
COUNT_CAP = 10_000
#: For how long a trouble can be put aside.
SNOOZES = (("1h", "1 hour"), ("tomorrow", "Until tomorrow"), ("1w", "1 week"))


@dataclass(frozen=True, slots=True)
class Coming:
    """One schedule of the next 24 hours, at its next moment."""

    at: datetime
    clock: str
    name: str
    job: str
    href: str
    relative: str


@dataclass(frozen=True, slots=True)
class NextDay:
    """The next 24 hours.

    Attributes:
        lines: the first schedules; `more` tells of the others.
        words: how many runs are planned.
    """

    lines: tuple[Coming, ...]
    day: Day
    words: str
    more: str


@dataclass(frozen=True, slots=True)
class Asleep:
    """A trouble that the viewer has put aside, and until when."""

    trouble: Trouble
    until: str


@dataclass(frozen=True, slots=True)
class OverviewPage:
    """Everything that the Overview shows.

    Attributes:
        troubles: what needs a look and no banner says; `more`: so many others behind a link.
        asleep: troubles that the viewer has put aside; `show_asleep`: they are shown.
        count: how many things need a look, those of the banners included.
        well: nothing needs a look, nothing is put aside, everything could be looked at, and there was something.
        proof: why one may believe that all is well.
        steps: what a new console still lacks; () once it lacks nothing, or the viewer has put them aside.
        nothing_runs: said where there are no rows of what runs.
        coming: None for who may not see schedules.
        last_act: the newest act by hand when there was none today.
        all_acts: True where everybody's acts are shown, False where only the viewer's own are.
        aside: where the facts are that could not be read; "" for who may not see them.
        alerts: to whom troubles are told outside; it ends the machinery line.
        live_url: where the page asks for itself again.
    """

    may_see_runs: bool
    well: bool
    troubles: tuple[Trouble, ...]
    more: int
    asleep: tuple[Asleep, ...]
    show_asleep: bool
    count: int
    proof: str
    steps: tuple[Step, ...]
    numbers: tuple[Number, ...]
    running: tuple[Row, ...]
    running_words: str
    nothing_runs: str
    coming: NextDay | None
    acts: tuple[Sentence, ...]
    last_act: Sentence | None
    all_acts: bool
    aside: str
    alerts: Part
    live_url: str

    @property
    def title(self) -> str:
        return f"({self.count}) Overview" if self.count else "Overview"


def overview(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Unfold's dashboard callback: adds `page` to the context of the admin's index."""
    page = overview_page(request)
    return {**context, "page": page, "snoozes": SNOOZES, "title": page.title, "crumbs": [("Overview", "")]}


def overview_page(request: HttpRequest) -> OverviewPage:
    """Read the page that the address asks for: `all` shows every trouble, `snoozed` those that were put aside.

    Three statements, a fourth at most once in a minute, one more while nothing is recorded as running and a worker is
    gone that had work, and one round trip to Redis besides those of every page.
    Without the right to see runs only the machinery and one's own acts are shown.
    """
    machinery, now = read_machinery(request), timezone.now()
    midnight = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    all_acts, may_see_runs = may(request, VIEW_AUDIT), may(request, VIEW_RUN)
    read = read_database(
        request,
        now,
        acts=ACTS_SHOWN,
        every_act=all_acts,
        runs=may_see_runs,
        schedules=may(request, VIEW_SCHEDULE),
        cap=COUNT_CAP,
    )
    glance = read_redis(machinery) if may_see_runs else None
    if read.figures:
        remember_running(request, read.figures.running)
        remember_failures(request, read.figures.needing_action)
    # Whether the objects that schedules name exist is asked on their own page: here it would be a query more.
    wrong = problems(read.schedules or (), now, objects=False)
    found = _troubles(request, machinery, read, wrong, glance, now)
    awake = [trouble for trouble in found if trouble.key not in read.asleep]
    everything, show_asleep = bool(request.GET.get("all")), bool(request.GET.get("snoozed"))
    shown = awake if everything else awake[:TROUBLES_SHOWN]
    whole = [one for one in read.schedules or () if one.row.pk not in wrong]
    coming = planned(whole, now) if read.schedules is not None else None
    acts = readable_events(read.acts, withheld_from(request))
    today = [act for act in acts if act.at >= midnight]
    steps = _steps(request, read)
    unknown = unknown_of_gone(glance.workers) if glance and read.figures and not read.figures.running else 0
    remember_looks(request, len(awake) + len(machinery.banners))
    return OverviewPage(
        may_see_runs=may_see_runs,
        # Over four zeros it says nothing: there the first steps are all that there is to say.
        well=not (found or machinery.banners or (steps and read.figures and not read.figures.ran.total))
        and (glance is not None or not may_see_runs),
        troubles=tuple(shown),
        more=len(awake) - len(shown),
        asleep=tuple(Asleep(one, clock(read.asleep[one.key], now)) for one in found if one.key in read.asleep),
        show_asleep=show_asleep,
        count=len(awake) + len(machinery.banners),
        proof=_proof(read, glance),
        steps=steps,
        numbers=numbers(read.figures, machinery, glance, COUNT_CAP) if read.figures else (),
        running=longest_running(withheld_from(request)) if read.figures and read.figures.running else (),
        running_words=running_words(read.figures, machinery, unknown, COUNT_CAP),
        nothing_runs=nothing_runs(machinery, unknown),
        coming=_next_day(coming, read, now) if coming is not None else None,
        acts=sentences(today),
        last_act=sentences(acts[:1])[0] if acts and not today else None,
        all_acts=all_acts,
        aside=reverse("admin:jobs_facts_set_aside") if may(request, REREAD_FACTS.permission) else "",
        alerts=alerts_part(read.channels, now, recorder=machinery.alive(RECORDER)),
        live_url=reverse("admin:jobs_overview_live") + ("?" + request.GET.urlencode() if request.GET else ""),
    )


def _troubles(
    request: HttpRequest,
    machinery: Machinery,
    read: Read,
    wrong: Mapping[int, str],
    glance: Glance | None,
    now: datetime,
) -> list[Trouble]:
    found = troubles.of_machinery(machinery, banners=False, may_reread=may(request, REREAD_FACTS.permission))
    found += undelivered(read.channels, now)
    if read.schedules is not None:
        tasks = {one.row.pk: one.row.task for one in read.schedules}
        wrong = {pk: readable_problem(request, tasks[pk], problem) for pk, problem in wrong.items()}
        found += troubles.of_schedules(read.schedules, wrong, machinery, now)
    if glance is not None:
        found += troubles.of_workers(glance.workers, now) + troubles.of_queues(glance)
    groups = [readable_group(group, withheld_from(request)) for group in read.groups]
    found += troubles.of_groups(groups, now, may_retry=may(request, RETRY_RUN.permission))
    if read.figures and read.figures.needing_action > len(read.groups):
        found.append(_other_groups(read.figures.needing_action - len(read.groups)))
    return troubles.by_gravity(found)


def _other_groups(count: int) -> Trouble:
    way = (reverse("admin:jobs_failuregroup_changelist"), "Failures")
    fact = f"{capped(count, COUNT_CAP)} more groups of failures need action."
    return Trouble("warn", "error", fact, "They failed longer ago.", "", key="groups", ways=(way,))


def _next_day(found: Sequence[Planned], read: Read, now: datetime) -> NextDay:
    total, more = sum(len(one.moments) for one in found), any(one.more for one in found) or read.more
    left = len(found) - NEXT_SHOWN
    return NextDay(
        lines=tuple(_coming(one, now) for one in found[:NEXT_SHOWN]),
        day=next_day(found, now),
        words=f"{total:,}{'+' if more else ''} {'run' if total == 1 else 'runs'} planned"
        if total
        else "nothing planned",
        more=f"and {plural(left, 'more schedule')}" if left > 0 else "",
    )


def _coming(one: Planned, now: datetime) -> Coming:
    row, at = one.stored.row, one.moments[0]
    return Coming(
        at=at,
        clock=f"{local_time(at):%H:%M}",
        name=row.name,
        job=job_title(row.task),
        href=reverse("admin:django_celery_beat_periodictask_change", args=[row.pk]),
        relative=f"in {duration(max((at - now).total_seconds(), 0.0))}",
    )


def _steps(request: HttpRequest, read: Read) -> tuple[Step, ...]:
    if FIRST_STEPS in read.asleep:
        return ()
    # django-celery-beat makes a schedule of Celery's own by itself.
    own = None if read.schedules is None else any(not one.row.task.startswith("celery.") for one in read.schedules)
    return first_steps(request, read.begun, scheduled=own, told_outside=bool(read.channels))


def _proof(read: Read, glance: Glance | None) -> str:
    """Why one may believe that all is well: only what was looked at."""
    told = []
    if read.schedules:
        count = len(read.schedules)
        told.append(
            "The one schedule missed nothing in the last 24 h"
            if count == 1
            else f"None of {'the first ' if read.more else ''}{count:,} schedules missed a moment in the last 24 h"
        )
    if read.figures:
        told.append("no failure needs action")
        told.append(_longest(glance))
    sentence = ", ".join(part for part in told if part)
    looked = f"{sentence[0].upper()}{sentence[1:]}. " if sentence else ""
    return f"{looked}Redis, database, recorder, beat and workers answer. Read now."


def _longest(glance: Glance | None) -> str:
    if glance is None:
        return ""
    stamps = [depth.oldest for depth in glance.reading.queues.values() if depth.oldest is not None]
    if stamps:
        return f"the longest wait is {duration(max(glance.reading.at - min(stamps), 0.0))}"
    waits = any(depth.ready for depth in glance.reading.queues.values())
    return "" if waits else "no message waits"


__all__ = ["Number", "OverviewPage", "overview", "overview_page"]
