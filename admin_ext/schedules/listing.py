"""The list of schedules: what runs by itself, when next, what came of it last; trouble first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db.models import Q, Subquery
from django.http import HttpRequest
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from admin_ext.parts.access import VIEW_RUN, may
from admin_ext.parts.chips import SCHEDULE, Chip, Pill
from admin_ext.parts.keyset import PER_PAGE, link
from admin_ext.parts.words import duration
from jobs.catalog.registry import job_title
from jobs.ledger.verbs import CREATE_SCHEDULE, START_RUN, SWITCH_OFF, SWITCH_ON
from jobs.models import Run
from jobs.schedules.preview import Foretold, preview
from jobs.schedules.problems import job_of, problems
from jobs.schedules.sentence import sentence
from jobs.schedules.spec import BrokenSchedule
from jobs.schedules.stored import Stored, read

from .access import Lacking, readable_problem
from .delivery import delivery_words

#: So many are read and put in order; with more the page asks for a name.
MOST_READ = 2000
BROKEN, ON, OFF = "broken", "on", "off"


@dataclass(frozen=True, slots=True)
class ScheduleLine:
    """One schedule of the list.

    Attributes:
        problem: why it cannot do its work; "" when nothing is wrong.
        next: its next moment; None for one that is off or has none, and `no_next` says which.
        last: the newest run that it started; None for who may not see runs too.
        run_needs, switch_needs: what the viewer lacks for the verb; "" when nothing.
    """

    pk: int
    name: str
    title: str
    sentence: str
    delivery: tuple[tuple[str, str], ...]
    state: str
    enabled: bool
    chip: Chip
    problem: str
    next: Foretold | None
    day: str
    relative: str
    no_next: str
    last: Run | None
    run_needs: str
    switch_needs: str
    job_known: bool

    @property
    def trouble(self) -> bool:
        return self.state == BROKEN


@dataclass(frozen=True, slots=True)
class ScheduleListPage:
    """Everything that the list shows; `more_than` is set where not all could be read."""

    lines: tuple[ScheduleLine, ...]
    pills: tuple[Pill, ...]
    q: str
    state: str
    total: int
    matching: int
    first: int
    newer: str
    older: str
    may_see_runs: bool
    add_needs: str
    more_than: int

    @property
    def last(self) -> int:
        return self.first + len(self.lines) - 1


@dataclass(slots=True)
class _Known:
    """A schedule with what puts it in order."""

    stored: Stored
    problem: str
    next: datetime | None

    @property
    def state(self) -> str:
        return schedule_state(self.stored, self.problem)

    def order(self) -> tuple[int, datetime, str]:
        rank = (BROKEN, ON, OFF).index(self.state)
        far = datetime.max.replace(tzinfo=UTC)
        return rank, (self.next or far) if rank == 1 else far, self.stored.row.name.lower()


def schedule_state(stored: Stored, problem: str) -> str:
    """One of SCHEDULE's names: one that is off harms nobody, whatever its `problem` is."""
    return OFF if not stored.row.enabled else BROKEN if problem else ON


def schedule_list_page(request: HttpRequest) -> ScheduleListPage:
    """Read the page that the address asks for: `q` in names and task names, `state`, `page`. Four queries."""
    q = request.GET.get("q", "").replace("\x00", "").strip()[:200]
    state = request.GET.get("state", "")
    state = state if state in (BROKEN, ON, OFF) else ""
    now = timezone.now()
    known, more = _known(q, now)
    shown = sorted((one for one in known if not state or one.state == state), key=_Known.order)
    number = _page_number(request.GET.get("page", ""), len(shown))
    page = shown[number * PER_PAGE : (number + 1) * PER_PAGE]
    lacking, may_see_runs = Lacking(request), may(request, VIEW_RUN)
    last = last_runs([one.stored.row.pk for one in page]) if may_see_runs else {}
    return ScheduleListPage(
        lines=tuple(_line(one, last.get(one.stored.row.pk), lacking, now) for one in page),
        pills=_pills(known, q, state),
        q=q,
        state=state,
        total=len(known),
        matching=len(shown),
        first=number * PER_PAGE + 1,
        newer=link(q=q, state=state, page=number) if number else "",
        older=link(q=q, state=state, page=number + 2) if len(shown) > (number + 1) * PER_PAGE else "",
        may_see_runs=may_see_runs,
        add_needs=lacking.why_not(CREATE_SCHEDULE, None),
        more_than=MOST_READ if more else 0,
    )


def _known(q: str, now: datetime) -> tuple[list[_Known], bool]:
    """The schedules that match, with what is wrong and what comes next; and whether there are more than were read."""
    rows = PeriodicTask.objects.select_related("interval", "clocked", "solar").order_by("name")
    if q:
        rows = rows.filter(Q(name__icontains=q) | Q(task__icontains=q))
    stored = read(rows[: MOST_READ + 1])
    wrong = problems(stored[:MOST_READ], now)
    known = [_Known(one, wrong.get(one.row.pk, ""), None) for one in stored[:MOST_READ]]
    for one in known:
        if one.state == ON:
            one.next = one.stored.plan.next_after(now)
    return known, len(stored) > MOST_READ


def _page_number(text: str, count: int) -> int:
    """Counted from 0; a page that does not exist is the last one."""
    asked = int(text) - 1 if text.isascii() and text.isdigit() and len(text) < 6 else 0
    return max(min(asked, (count - 1) // PER_PAGE), 0)


def last_runs(pks: Iterable[int]) -> dict[int, Run]:
    """The newest run of each schedule, in one statement: one index look-up a schedule."""
    newest = Q(pk__in=[])
    for pk in pks:
        of_schedule = Run.objects.filter(schedule_id=pk).order_by("-accepted_at", "-id")
        newest |= Q(pk=Subquery(of_schedule.values("pk")[:1]))
    found = Run.objects.filter(newest).defer("arguments").order_by()
    return {run.schedule_id: run for run in found if run.schedule_id is not None}


def _line(one: _Known, last: Run | None, lacking: Lacking, now: datetime) -> ScheduleLine:
    row, job = one.stored.row, job_of(one.stored)
    upcoming = told_next(one.stored, now) if one.state == ON else None
    return ScheduleLine(
        pk=row.pk,
        name=row.name,
        title=job_title(row.task),
        sentence=told_time(one.stored),
        delivery=tuple(delivery_words(one.stored)),
        state=one.state,
        enabled=row.enabled,
        chip=SCHEDULE[one.state],
        problem=readable_problem(lacking.request, row.task, one.problem),
        next=upcoming,
        day=_day(upcoming, now),
        relative=f"in {duration((upcoming.at - now).total_seconds())}" if upcoming else "",
        no_next={BROKEN: "will not run", OFF: "is off"}.get(one.state, "has no moment to come"),
        last=last,
        run_needs=lacking.why_not(START_RUN, job),
        switch_needs=lacking.why_not(SWITCH_OFF if row.enabled else SWITCH_ON, job),
        job_known=job is not None,
    )


def _day(upcoming: Foretold | None, now: datetime) -> str:
    """`Mon 23 Nov`, with the year where it could be mistaken."""
    if upcoming is None:
        return ""
    near = upcoming.at - now < timedelta(days=300)
    return f"{upcoming.local:%a} {upcoming.local.day} {upcoming.local:%b}" if near else upcoming.day


def told_time(stored: Stored) -> str:
    """The schedule's sentence; what its row says where that makes none."""
    return sentence(stored.spec, str(settings.TIME_ZONE)) if stored.spec else "No time that can be read"


def told_next(stored: Stored, now: datetime) -> Foretold | None:
    """Its next moment in its zone; None where it has none."""
    try:
        moments = preview(stored.plan, now, shown=1).moments
    except BrokenSchedule:
        return None
    return moments[0] if moments else None


def _pills(known: list[_Known], q: str, state: str) -> tuple[Pill, ...]:
    counts = Counter(one.state for one in known)
    every = Pill("All", link(q=q), current=not state, count=f"{len(known):,}")
    return (
        every,
        *(
            Pill(SCHEDULE[name].word, link(q=q, state=name), name == state, f"{counts[name]:,}", SCHEDULE[name])
            for name in (ON, BROKEN, OFF)
        ),
    )
