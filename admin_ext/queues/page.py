"""The page of one queue: its numbers, its past, what is taken next, of which tasks, and by whom."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from admin_ext.frame.machinery import read_machinery
from admin_ext.parts.access import SEE_RUNS_REFUSED, VIEW_RUN, ConsoleView, may, needed_role, withheld_from
from admin_ext.parts.chart import Chart, chart
from admin_ext.parts.chips import QUEUE, UNKNOWN, Chip, Pill
from admin_ext.parts.keyset import link
from admin_ext.parts.live import live_part
from admin_ext.parts.remembered import Remembered, last_read
from admin_ext.parts.words import file_size, plural
from jobs.catalog.registry import find_job, job_title
from jobs.errors import UnknownJob
from jobs.fleet.breaker import ask
from jobs.fleet.messages import Contents, Waiting, read_contents
from jobs.fleet.queues import Depth
from jobs.fleet.samples import FINE, HOURS, MINUTES, Resolution, read_series
from jobs.ledger.readable import Withheld
from jobs.ledger.shown_arguments import without_secrets
from jobs.ledger.summary import NOT_SHOWN
from jobs.ledger.verbs import PURGE_QUEUE
from jobs.ledger.waiting import waiting_by_queue
from jobs.models import Run
from jobs.text import safe_text

from .lines import PAGE, UNKNOWN_COUNT, Count, QueueLine, rate_of
from .listing import LATER_CAP, Known, line_of, no_queue, read_known

SHOWN = 20
LONGEST_NAME = 500
_LONGEST_ARGUMENTS = 160
#: What the address calls a time, the ring that holds it, and how many places of it.
RANGES: dict[str, tuple[str, Resolution, int]] = {
    "1h": ("1 h", FINE, 720),
    "24h": ("24 h", MINUTES, 1440),
    "7d": ("7 d", HOURS, 168),
}
#: The charts that were looked at last, about 20 KB each.
_charts: Remembered[Chart] = Remembered(50)


@dataclass(frozen=True, slots=True)
class MessageLine:
    """One of the next messages.

    Attributes:
        title: the job's, else the task's name.
        second: its arguments without secrets, or why they are not shown.
        run: the run that it starts; None where the ledger does not know it.
    """

    place: int
    title: str
    second: str
    origin: str
    priority: int
    published: datetime | None
    not_before: datetime | None
    run: Run | None
    short_id: str


@dataclass(frozen=True, slots=True)
class TaskLine:
    """How many messages are of one task; `share` is the width of its bar in per cent."""

    title: str
    count: str
    share: str


@dataclass(frozen=True, slots=True)
class Consumer:
    """A worker that takes from the queue."""

    worker: str
    slots: str
    at_work: str


@dataclass(frozen=True, slots=True)
class QueuePage:
    """Everything that the page shows.

    Attributes:
        heard: False where no worker can say that it lives.
        line: as the list shows it.
        chart_read: when the chart was read, where that is not now.
        contents_known: False where the messages could not be read.
        counted: over how many messages it was told which tasks they are of, in words.
        purge_needs: what the viewer lacks to purge it; "" when nothing.
    """

    name: str
    live: bool
    heard: bool
    line: QueueLine
    chip: Chip
    depth: Depth | None
    arrives: Count
    leaves: Count
    pace: str
    range: str
    ranges: tuple[Pill, ...]
    chart: Chart | None
    chart_read: str
    contents_known: bool
    messages: tuple[MessageLine, ...]
    by_task: tuple[TaskLine, ...]
    counted: str
    consumers: tuple[Consumer, ...]
    purge_needs: str
    purge_url: str
    live_url: str


def queue_page(request: HttpRequest) -> QueuePage:
    """Read the page of the queue that the address names.

    Raises:
        NotThere: there is no queue of this name: nobody has configured it, nobody takes from it, and it holds nothing.
    """
    name = request.GET.get("name", "")[:LONGEST_NAME]
    known, live = read_known(request)
    depth = known.reading.queues.get(name) if known else None
    if depth is None and (live or known):
        raise no_queue(name, known)
    asked = request.GET.get("range", "")
    asked = asked if asked in RANGES else "1h"
    contents = ask(lambda client: read_contents(client, name, SHOWN)) if live else None
    later, later_more = waiting_by_queue(LATER_CAP)
    line = line_of(name, known, live, later[name], later_more)
    arrives, leaves = _rates(name, known)
    past, past_read = _chart(name, asked, known.reading.at if known and live else None)
    return QueuePage(
        name=name,
        live=live,
        heard=known is None or known.heard,
        line=line,
        chip=QUEUE[line.state] if line.state else UNKNOWN,
        depth=depth,
        arrives=arrives,
        leaves=leaves,
        pace=_pace(line),
        range=asked,
        ranges=tuple(Pill(RANGES[one][0], link(name=name, range=one), one == asked) for one in RANGES),
        chart=past,
        chart_read=past_read,
        contents_known=contents is not None,
        messages=_messages(contents, withheld_from(request)) if contents else (),
        by_task=_by_task(contents) if contents else (),
        counted=_counted(contents, depth) if contents and depth else "",
        consumers=_consumers(request, name),
        purge_needs="" if may(request, PURGE_QUEUE.permission) else needed_role(PURGE_QUEUE.permission),
        purge_url=reverse("admin:jobs_queue_purge") + link(name=name),
        live_url=reverse("admin:jobs_queue_live") + link(name=name, range=asked),
    )


def _rates(name: str, known: Known | None) -> tuple[Count, Count]:
    rate = rate_of(name, known.latest, known.reading.at) if known else None
    if rate is None:
        return UNKNOWN_COUNT, UNKNOWN_COUNT
    return Count(f"{rate[0]:,.0f}"), Count(f"{rate[1]:,.0f}")


def _pace(line: QueueLine) -> str:
    """What follows from in and out."""
    told = {"is clear": "nothing waits", "never": "no worker takes from it", "growing": "it grows"}
    words = line.clears.text
    if words in told:
        return told[words]
    return words if words == "stands still" or not line.clears.known else f"clears in {words}"


def _chart(name: str, asked: str, now: float | None) -> tuple[Chart | None, str]:
    """The chart, and when it was read where that is not now; `now` is None while Redis is away."""
    _, resolution, places = RANGES[asked]
    series = ask(lambda client: read_series(client, [name], resolution, places, now)) if now is not None else None
    if series is None or now is None:
        before = _charts.last(f"{asked} {name}")
        return (before.value, last_read(before.at)) if before else (None, "Not known: Redis does not answer")
    found = chart(series[name], resolution, now)
    return (_charts.keep(found, name=f"{asked} {name}") if found else None), ""


def _messages(contents: Contents, withheld: Withheld) -> tuple[MessageLine, ...]:
    ids = [one.task_id for one in contents.messages if one.task_id]
    known = {run.task_id: run for run in Run.objects.filter(task_id__in=ids).only("task_id", "task_name", "state")}
    return tuple(_message(place, one, known, withheld) for place, one in enumerate(contents.messages, 1))


def _message(place: int, one: Waiting, known: dict[str, Run], withheld: Withheld) -> MessageLine:
    size = file_size(one.size)
    return MessageLine(
        place=place,
        title=job_title(one.task) if one.task else "Unreadable message",
        second=NOT_SHOWN if one.task in withheld else _arguments(one) if one.arguments else f"{one.why_not}, {size}",
        origin=one.origin,
        priority=one.priority,
        published=_moment(one.published),
        not_before=_moment(one.not_before),
        run=known.get(one.task_id),
        short_id=one.task_id[:8],
    )


def _moment(epoch: float | None) -> datetime | None:
    return datetime.fromtimestamp(epoch, UTC) if epoch is not None else None


def _arguments(one: Waiting) -> str:
    """The arguments in one line without secrets; only data, nothing of it is made into an object."""
    try:
        job = find_job(one.task)
    except UnknownJob:
        job = None
    try:
        args, kwargs = without_secrets(one.arguments, job)
        parts = [_plain(value) for value in args] + [f"{key}={_plain(value)}" for key, value in kwargs.items()]
        text = " ".join(safe_text(", ".join(parts)).split())
    except (ValueError, TypeError, RecursionError):
        return "arguments that cannot be shown"
    cut = text if len(text) <= _LONGEST_ARGUMENTS else text[: _LONGEST_ARGUMENTS - 1] + "…"
    return cut or "no arguments"


def _plain(value: Any) -> str:
    if isinstance(value, dict) and value.keys() == {"__type__", "__value__"}:
        value = value["__value__"]
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _by_task(contents: Contents) -> tuple[TaskLine, ...]:
    most = contents.by_task[0][1] if contents.by_task else 1
    return tuple(
        TaskLine(job_title(task) if task else "Unreadable", f"{count:,}", f"{count * 100 / most:.1f}%")
        for task, count in contents.by_task[:12]
    )


def _counted(contents: Contents, depth: Depth) -> str:
    if contents.counted >= depth.ready:
        return f"all {contents.counted:,} read" if contents.counted else "none waits"
    return f"over the next {contents.counted:,} of {depth.ready:,}"


def _consumers(request: HttpRequest, name: str) -> tuple[Consumer, ...]:
    found = []
    for beacon in read_machinery(request).fleet.beacons:
        if name in beacon.queues:
            at_work = "unknown" if beacon.at_work is None else f"{beacon.at_work.get(name, 0):,} running"
            found.append(Consumer(beacon.worker, plural(beacon.concurrency, "slot"), at_work))
    return tuple(found)


class QueuePageView(ConsoleView):
    """`…/queues/queue/?name=`, with `range`."""

    title = "Queue"
    template_name = "admin_ext/queues/page.html"
    permission_required = VIEW_RUN
    permission_denied_message = SEE_RUNS_REFUSED
    http_method_names = ["get", "head", "options"]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        page = queue_page(self.request)
        crumbs = [("Queues", reverse("admin:jobs_queues")), (page.name, "")]
        return {**super().get_context_data(**kwargs, page=page, crumbs=crumbs), "title": page.name}


@require_safe
def live_queue(request: HttpRequest) -> HttpResponse:
    """`…/queues/queue/live/`: the page without its frame; without htmx, the page itself."""
    return live_part(request, PAGE, "admin_ext/queues/queue_live.html", queue_page)
