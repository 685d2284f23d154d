"""The Workers page: who answers, what each runs, how much is free; trouble first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from admin_ext.frame.machinery import read_machinery
from admin_ext.parts.access import SEE_RUNS_REFUSED, VIEW_RUN, ConsoleView
from admin_ext.parts.chips import WORKER, Chip, Pill
from admin_ext.parts.keyset import link
from admin_ext.parts.live import live_part
from admin_ext.parts.numbered import NumberedPage, cut
from admin_ext.parts.remembered import Remembered, last_read
from admin_ext.parts.words import duration, plural
from jobs.fleet.breaker import ask
from jobs.fleet.broker import Redis
from jobs.fleet.conditions import (
    Condition,
    Judged,
    judge,
    judge_gone,
    not_followed,
    read_gone,
    read_waiting,
    releases,
    with_others,
)
from jobs.ledger.durations import usual

from .lines import TROUBLED, WorkerLine, differs, worker_line

LOOK, HERE = "look", "here"
_ORDER = {condition: place for place, condition in enumerate(Condition)}
_NEEDS_A_LOOK = Chip("bad", "error", "Needs a look")
#: A worker that is alive and does not need a look keeps its place in the list whatever it does.
_CALM = len(TROUBLED)


@dataclass(frozen=True, slots=True)
class Figure:
    """One of the four numbers; `tone` is of the note."""

    label: str
    value: str
    unit: str
    note: str
    tone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerListPage(NumberedPage[WorkerLine]):
    """Everything that the list shows; `skew` tells which releases run, "" where all are the same."""

    figures: tuple[Figure, ...]
    skew: str


#: Every worker, as it was read last.
_remembered: Remembered[tuple[Judged, ...]] = Remembered()


def read_workers(request: HttpRequest) -> tuple[tuple[Judged, ...], float | None, bool]:
    """Every worker with its condition, when that was read (epoch seconds), and whether it is of now.

    The beacons are read once a request; besides those, one round trip for last words and one for what waits where that
    is needed to judge somebody.
    """
    fleet = read_machinery(request).fleet
    beacons = fleet.beacons

    def read(client: Redis) -> tuple[Judged, ...]:
        gone, reading = read_gone(client), read_waiting(client, beacons)
        alive = [judge(beacon, fleet.read_at, reading) for beacon in beacons]
        return with_others([*alive, *(judge_gone(one, fleet.read_at) for one in not_followed(gone, beacons))])

    judged = ask(read) if fleet.known and not fleet.refuses else None
    if judged is None:
        before = _remembered.last()
        return (before.value, before.at, False) if before else ((), None, False)
    return _remembered.keep(judged, fleet.read_at), fleet.read_at, True


def worker_list_page(request: HttpRequest) -> WorkerListPage:
    """Read the page that the address asks for: `q` in names, hosts and queues, `only` what needs a look or lives."""
    q = request.GET.get("q", "").replace("\x00", "").strip()[:200]
    only = request.GET.get("only", "")
    only = only if only in (LOOK, HERE) else ""
    judged, at, live = read_workers(request)
    found = [one for one in judged if _matches(one, q.lower())]
    look = [one for one in found if _needs_a_look(one)]
    here = [one for one in found if one.alive]
    matching = sorted({LOOK: look, HERE: here}.get(only, found), key=_place)
    page = cut(matching, request.GET.get("page", ""), q=q, only=only)
    return WorkerListPage(
        lines=worker_lines(page.shown, live=live),
        figures=_figures(judged, live),
        pills=(
            Pill("All", link(q=q), not only, f"{len(found):,}"),
            Pill(_NEEDS_A_LOOK.word, link(q=q, only=LOOK), only == LOOK, _count(look, live), _NEEDS_A_LOOK),
            Pill("Answering", link(q=q, only=HERE), only == HERE, _count(here, live), WORKER["ready"]),
        ),
        q=q,
        only=only,
        total=len(judged),
        matching=len(matching),
        first=page.first,
        newer=page.newer,
        older=page.older,
        live=live,
        read=read_words(at, live),
        skew=_skew(judged) if live else "",
        live_url=reverse("admin:jobs_workers_live") + page.here,
    )


def worker_lines(judged: Sequence[Judged], *, live: bool) -> tuple[WorkerLine, ...]:
    """The lines, with what is usual for the run that each of them shows: one query, or none."""
    tasks = set()
    for one in judged:
        longest = min(one.beacon.started.items(), key=lambda item: item[1][0], default=None)
        if longest is not None and longest[0] in one.beacon.tasks:
            tasks.add(one.beacon.tasks[longest[0]][0])
    known = usual(tasks) if tasks else {}
    return tuple(worker_line(one, known, live=live) for one in judged)


def read_words(at: float | None, live: bool) -> str:
    """When the workers were read."""
    if at is None:
        return "Redis has not been read yet."
    if live:
        return "Read now; each worker tells of itself every 2 s."
    return f"{last_read(at)}."


def _matches(judged: Judged, text: str) -> bool:
    beacon = judged.beacon
    return not text or any(text in one.lower() for one in (beacon.worker, beacon.host, beacon.release, *beacon.queues))


def _needs_a_look(judged: Judged) -> bool:
    return judged.condition in TROUBLED or judged.shared or (judged.alive and differs(judged.beacon))


def _place(judged: Judged) -> tuple[int, str]:
    """What is wrong comes first and what has stopped last; everything else keeps its place, whatever it does."""
    if judged.condition is Condition.STOPPED:
        return _ORDER[Condition.STOPPED], judged.beacon.worker
    return min(_ORDER[judged.condition], _CALM), judged.beacon.worker


def _count(found: Sequence[Judged], live: bool) -> str:
    return f"{len(found):,}" if live else "?"


def _figures(judged: Sequence[Judged], live: bool) -> tuple[Figure, ...]:
    if not live:
        labels = ("Answering", "Slots in use", "Reserved", "Runs per minute")
        return tuple(Figure(label, "?", "", "unknown: Redis does not answer") for label in labels)
    heard = [one for one in judged if one.alive and one.condition is not Condition.SILENT]
    expected = [one for one in judged if one.condition is not Condition.STOPPED]
    slots = sum(one.beacon.concurrency for one in heard)
    used = sum(one.beacon.at_once for one in heard)
    unknown = sum(one.beacon.concurrency for one in expected) - slots
    paces = [one.beacon.pace for one in heard if one.beacon.pace is not None]
    missing = [one for one in expected if not one.alive or one.condition is Condition.SILENT]
    reserved = sum(one.beacon.reserved for one in heard)
    share = f"{used * 100 / slots:.0f} %" if slots else "none to use"
    return (
        Figure("Answering", f"{len(heard):,}", f"of {len(expected):,}", *_missing(missing)),
        Figure(
            "Slots in use", f"{used:,}", f"of {slots:,}", share + (f"; {unknown:,} more unknown" if unknown else "")
        ),
        Figure("Reserved", f"{reserved:,}", plural(reserved, "message").split(" ")[1], "received, not begun"),
        Figure("Runs per minute", f"{sum(paces):,.0f}" if paces else "unknown", "", "begun in the last minute"),
    )


def _missing(missing: Sequence[Judged]) -> tuple[str, str]:
    if not missing:
        return "each heard within 4 s", ""
    one = max(missing, key=lambda each: each.age)
    if len(missing) == 1:
        return f"{one.beacon.worker} not heard for {duration(one.age)}", "bad"
    return f"{len(missing):,} not heard, the longest for {duration(one.age)}", "bad"


def _skew(judged: Sequence[Judged]) -> str:
    found = releases(judged)
    if not found or set(found) == {settings.RELEASE}:
        return ""
    if len(found) == 1 and settings.RELEASE in ("", "unknown"):
        return ""
    counts = [f"{plural(count, 'worker')} of release {release}" for release, count in found.items()]
    more = f", and {len(counts) - 4:,} more releases" if len(counts) > 4 else ""
    return f"Different releases run: {', '.join(counts[:4])}{more}; these pages are of {settings.RELEASE}."


class WorkersPage(ConsoleView):
    """`…/workers/`."""

    title = "Workers"
    template_name = "admin_ext/workers/list.html"
    permission_required = VIEW_RUN
    permission_denied_message = SEE_RUNS_REFUSED
    http_method_names = ["get", "head", "options"]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = {"page": worker_list_page(self.request), "crumbs": [("Workers", "")]}
        return super().get_context_data(**kwargs, **context)


@require_safe
def live_workers(request: HttpRequest) -> HttpResponse:
    """`…/workers/live/`: the list without its frame; without htmx, the page itself."""
    return live_part(request, "admin:jobs_workers", "admin_ext/workers/live.html", worker_list_page)
