"""The page of one worker: its slots, what it runs, its memory, its queues, and what can be done with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_safe

from admin_ext.parts.access import SEE_RUNS_REFUSED, VIEW_RUN, ConsoleView, withheld_from
from admin_ext.parts.chips import UNKNOWN, Chip, Pill
from admin_ext.parts.keyset import link
from admin_ext.parts.live import live_part
from admin_ext.parts.not_there import NotThere, nearest
from admin_ext.parts.remembered import Remembered, last_read
from admin_ext.queues.lines import queue_href
from jobs.fleet.breaker import ask
from jobs.fleet.conditions import Condition, Judged
from jobs.fleet.day import read_day
from jobs.fleet.vitals import TREND_POINTS, read_busy, read_trend
from jobs.ledger.durations import usual
from jobs.ledger.readable import Withheld, readable
from jobs.models import Run

from .facts import SHOWN, condition_words, facts, heading, heard, memory_words, others_words, working_words
from .lines import (
    PAGE,
    Execution,
    WorkerLine,
    chip_of,
    executions,
    process_words,
    worker_href,
    worker_line,
)
from .listing import read_words, read_workers
from .pictures import MOST_CELLS, MemoryChart, busy_words, memory_chart
from .verbs import VerbLink, ask_href, verb_links

LONGEST_NAME = 500
#: What the address calls a time of the memory's chart.
RANGES = {"1h": "1 h", "24h": "24 h"}
#: The charts of the workers that were looked at last, about 12 KB each.
_days: Remembered[MemoryChart] = Remembered(50)


@dataclass(frozen=True, slots=True)
class Working:
    """One execution with its run; None where the ledger does not know it yet."""

    execution: Execution
    run: Run | None


@dataclass(frozen=True, slots=True)
class WorkerPage:
    """Everything that the page shows.

    Attributes:
        heard: completes the line of its name.
        said: its condition as a sentence; "" where the chip tells enough.
        heading: over its slots; `rest` tells what is free and reserved, "" where that is unknown.
        free: a place for each free slot; none where the slots are too many to draw.
        last_words: True where the numbers are those of when it was last heard.
        memory_read: when the chart was read, where that is not now; `ranges` are the times that it can show.
        queues: name and address of each, and where its stop is asked for; "" where it cannot be.
        facts: name and value of each.
        verbs: what can be done with it; `needs` is what the viewer lacks for all of them.
        add_queue: where one more queue is asked for; "" where it cannot be.
        shared: another living process bears its name.
        others: words and address of the other processes under its name; `others_words` leads to them.
    """

    name: str
    live: bool
    read: str
    line: WorkerLine
    chip: Chip
    heard: str
    said: str
    tone: str
    heading: str
    rest: str
    busy: str
    free: range
    working: tuple[Working, ...]
    working_words: str
    last_words: bool
    memory: MemoryChart | None
    memory_words: str
    memory_read: str
    ranges: tuple[Pill, ...]
    range: str
    queues: tuple[tuple[str, str, str], ...]
    facts: tuple[tuple[str, str], ...]
    verbs: tuple[VerbLink, ...]
    needs: str
    add_queue: str
    live_url: str
    shared: bool
    others: tuple[tuple[str, str], ...]
    others_words: str


def find_worker(request: HttpRequest, name: str, process: str = "") -> tuple[Judged, float | None, bool]:
    """The worker of this name, when it was read, and whether that is now.

    Args:
        process: which one of several that bear the name; where that is not known any more, the one that began last.

    Raises:
        NotThere: nobody of this name was heard within the last hours.
    """
    judged, at, live = read_workers(request)
    those = [one for one in judged if one.beacon.worker == name]
    one = next((one for one in those if one.beacon.boot == process), max(those, key=_newest, default=None))
    if one is None:
        names = nearest(name, {one.beacon.worker for one in judged})
        ways = [(f"Worker {one}", worker_href(one)) for one in names]
        all_workers = ("All workers", reverse("admin:jobs_workers"))
        raise NotThere("No worker of this name has been heard in the last hours.", [*ways, all_workers])
    return one, at, live


def _newest(judged: Judged) -> tuple[bool, bool, float]:
    """Whoever is heard, and of those who began last: one that was started again comes before what it replaces."""
    return judged.alive, judged.condition is not Condition.SILENT, -(judged.beacon.up or 0.0)


def worker_page(request: HttpRequest) -> WorkerPage:
    """Read the page of the worker that `name` names.

    Raises:
        NotThere: nobody of this name was heard within the last hours.
    """
    name = request.GET.get("name", "")[:LONGEST_NAME]
    process = request.GET.get("process", "")[:64]
    one, at, live = find_worker(request, name, process)
    beacon = one.beacon
    which = {"process": beacon.boot} if one.others else {}
    known = usual({task for task, _ in beacon.tasks.values()}) if beacon.tasks else {}
    running = executions(one, known)
    runs = _runs([execution.task_id for execution in running[:SHOWN]], withheld_from(request))
    asked = request.GET.get("range", "")
    asked = asked if asked in RANGES else "1h"
    memory, memory_read = _memory_chart(one, asked, at, live=live)
    now_known = live and one.alive and one.condition is not Condition.SILENT
    free = max(beacon.concurrency - beacon.at_once, 0) if now_known and beacon.concurrency <= MOST_CELLS else 0
    verbs, needs = verb_links(request, one, live=live)
    stops = live and one.alive and not needs
    return WorkerPage(
        name=name,
        live=live,
        read=read_words(at, live),
        line=worker_line(one, known, live=live),
        chip=chip_of(one)[1] if live else UNKNOWN,
        heard=heard(one, live),
        said=condition_words(one) if live else "",
        tone={Condition.GONE: "bad", Condition.WEDGED: "bad", Condition.SILENT: "warn"}.get(one.condition, "idle"),
        heading=heading(one, now_known),
        rest=f"{max(beacon.concurrency - beacon.at_once, 0):,} free, {beacon.reserved:,} reserved" if now_known else "",
        busy=busy_words(read_busy(beacon.trend), "" if now_known else " before it was last heard"),
        free=range(free),
        working=tuple(Working(execution, runs.get(execution.task_id)) for execution in running[:SHOWN]),
        working_words=working_words(len(running)),
        last_words=not now_known,
        memory=memory,
        memory_words=memory_words(one),
        memory_read=memory_read,
        ranges=tuple(
            Pill(words, link(name=name, range=each, **which), each == asked) for each, words in RANGES.items()
        ),
        range=asked,
        queues=tuple(
            (queue, queue_href(queue), ask_href(name, "stop", queue) if stops else "") for queue in beacon.queues
        ),
        facts=facts(one),
        verbs=verbs,
        needs=needs,
        add_queue=ask_href(name, "start") if stops else "",
        live_url=reverse("admin:jobs_worker_live") + link(name=name, range=asked, **which),
        shared=one.shared,
        others=tuple((process_words(other), worker_href(name, other.boot)) for other in one.others),
        others_words=others_words(one),
    )


def _memory_chart(one: Judged, asked: str, at: float | None, *, live: bool) -> tuple[MemoryChart | None, str]:
    """The chart, and when it was read where that is not now.

    The hour comes with the beacon, from its start on; the day lies in Redis, and goes on over restarts.
    """
    beacon = one.beacon
    if asked == "1h":
        trend = read_trend(beacon.trend)[-TREND_POINTS:]
        points = (*[None] * (TREND_POINTS - len(trend)), *trend)
        return memory_chart(points, beacon.at, "1 h"), "" if live or at is None else last_read(at)
    now = beacon.at + one.age
    if one.shared:
        return None, "Those that share a name write over each other's day"
    day = ask(lambda client: read_day(client, beacon.worker, now)) if live else None
    if day is None:
        before = _days.last(beacon.worker)
        return (before.value, last_read(before.at)) if before else (None, "Not known: Redis does not answer")
    chart = memory_chart(day, now, "24 h")
    return (_days.keep(chart, name=beacon.worker) if chart else None), ""


def _runs(ids: list[str], withheld: Withheld) -> dict[str, Run]:
    known = [task_id for task_id in ids if "\x00" not in task_id]  # PostgreSQL refuses to look for such a one
    found = Run.objects.filter(task_id__in=known).defer("arguments") if known else ()
    return {run.task_id: readable(run, withheld) for run in found}


class WorkerPageView(ConsoleView):
    """`…/workers/worker/?name=`."""

    title = "Worker"
    template_name = "admin_ext/workers/page.html"
    permission_required = VIEW_RUN
    permission_denied_message = SEE_RUNS_REFUSED
    http_method_names = ["get", "head", "options"]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        page = worker_page(self.request)
        crumbs = [("Workers", reverse("admin:jobs_workers")), (page.name, "")]
        return {**super().get_context_data(**kwargs, page=page, crumbs=crumbs), "title": page.name}


def named_worker(request: HttpRequest, name: str) -> HttpResponse:
    """`…/workers/<name>/`: an address that one can type; the page has the name as a parameter."""
    return redirect(worker_href(name))


@require_safe
def live_worker(request: HttpRequest) -> HttpResponse:
    """`…/workers/worker/live/`: the page without its frame; without htmx, the page itself."""
    return live_part(request, PAGE, "admin_ext/workers/worker_live.html", worker_page)
