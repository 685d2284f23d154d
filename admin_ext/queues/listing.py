"""The Queues page: what waits where, whether it moves, and who takes it; trouble first."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.contrib import admin
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_safe
from django.views.generic import TemplateView
from unfold.views import UnfoldModelAdminViewMixin

from admin_ext.frame.machinery import read_machinery
from admin_ext.parts.access import SEE_RUNS_REFUSED, VIEW_RUN, refuse_unless
from admin_ext.parts.chips import Chip, Pill
from admin_ext.parts.keyset import link
from admin_ext.parts.words import clock, duration, plural
from jobs.fleet.breaker import ask
from jobs.fleet.broker import Redis
from jobs.fleet.queues import Reading, configured, read_queues
from jobs.fleet.samples import MINUTES, Latest, Series, read_latest, read_series
from jobs.ledger.waiting import waiting_by_queue

from .lines import CALM, RATES_KEPT, QueueLine, queue_line, queue_state, unknown_line

PER_PAGE = 100
#: Runs that wait in the ledger are counted up to here.
LATER_CAP = 10_000
LOOK, FILLED = "look", "filled"
_NEEDS_A_LOOK = Chip("bad", "error", "Needs a look")
_NOT_EMPTY = Chip("idle", "inbox", "Not empty")


@dataclass(frozen=True, slots=True)
class Known:
    """What Redis last told this process of the queues."""

    reading: Reading
    latest: Latest | None


@dataclass(frozen=True, slots=True)
class QueueListPage:
    """Everything that the list shows.

    Attributes:
        live: the numbers are of now.
        read: when they were read, in words.
        measured: over what time and when in and out were measured, in words.
        note: what could not be told apart; "" when all was.
        live_url: where the page asks for itself again.
    """

    lines: tuple[QueueLine, ...]
    pills: tuple[Pill, ...]
    q: str
    only: str
    total: int
    matching: int
    first: int
    newer: str
    older: str
    live: bool
    read: str
    measured: str
    note: str
    live_url: str

    @property
    def last(self) -> int:
        return self.first + len(self.lines) - 1


class _Memory:
    """What this process last read: shown in grey while Redis is away."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.known: Known | None = None

    def keep(self, known: Known) -> Known:
        with self.lock:
            self.known = known
        return known


_memory = _Memory()


def last_known() -> Known | None:
    """What this process last read; None when it has not."""
    return _memory.known


def keep_known(known: Known) -> Known:
    """What another page has just read."""
    return _memory.keep(known)


def read_known(request: HttpRequest) -> tuple[Known | None, bool]:
    """What is known of the queues, and whether it is of now; two round trips, and none while Redis is away."""
    beacons = read_machinery(request).fleet.beacons

    def read(client: Redis) -> Known:
        latest = read_latest(client)
        return Known(read_queues(client, beacons, latest.found if latest else ()), latest)

    known = ask(read)
    return (_memory.keep(known), True) if known else (_memory.known, False)


def queue_list_page(request: HttpRequest) -> QueueListPage:
    """Read the page that the address asks for: `q` in names, `only` what needs a look or is not empty, `page`."""
    q = request.GET.get("q", "").replace("\x00", "").strip()[:200]
    only = request.GET.get("only", "")
    only = only if only in (LOOK, FILLED) else ""
    known, live = read_known(request)
    later, later_more = waiting_by_queue(LATER_CAP)
    states = _states(known, live)
    names = sorted(name for name in states if q.lower() in name.lower())
    filled = {name for name in names if known and (later[name] or not known.reading.queues[name].is_empty)}
    look = [name for name in names if states[name] not in CALM]
    matching = [name for name in names if not only or name in (look if only == LOOK else filled)]
    # What is wrong comes first; everything else keeps its place, whatever the numbers do.
    matching.sort(key=lambda name: (states[name] in CALM, name))
    number = _page_number(request.GET.get("page", ""), len(matching))
    shown = matching[number * PER_PAGE : (number + 1) * PER_PAGE]
    return QueueListPage(
        lines=_lines(shown, known, live, later, later_more),
        pills=_pills(len(names), len(look), len(filled), q, only, live),
        q=q,
        only=only,
        total=len(states),
        matching=len(matching),
        first=number * PER_PAGE + 1,
        newer=link(q=q, only=only, page=number) if number else "",
        older=link(q=q, only=only, page=number + 2) if len(matching) > (number + 1) * PER_PAGE else "",
        live=live,
        read=_read_words(known, live),
        measured=_measured_words(known, live),
        note=_note(known),
        live_url=reverse("admin:jobs_queues_live") + link(q=q, only=only, page=number + 1 if number else ""),
    )


def _states(known: Known | None, live: bool) -> dict[str, str]:
    """The state of each queue; "" where it is unknown."""
    if known is None:
        return dict.fromkeys(configured(), "")
    reading = known.reading
    return {
        name: queue_state(depth, known.latest, reading.at) if live else "" for name, depth in reading.queues.items()
    }


def _lines(
    names: list[str], known: Known | None, live: bool, later: Counter[str], later_more: bool
) -> tuple[QueueLine, ...]:
    if known is None:
        return tuple(unknown_line(name) for name in names)
    series = _series(names, known.reading.at) if live else {}
    return tuple(
        queue_line(
            known.reading.queues[name],
            known.reading,
            known.latest,
            later=later[name],
            later_more=later_more,
            series=series.get(name),
            live=live,
        )
        for name in names
    )


def _series(names: list[str], now: float) -> dict[str, Series]:
    return (ask(lambda client: read_series(client, names, MINUTES, 60, now)) or {}) if names else {}


def _page_number(text: str, count: int) -> int:
    """Counted from 0; a page that does not exist is the last one."""
    asked = int(text) - 1 if text.isascii() and text.isdigit() and len(text) < 6 else 0
    return max(min(asked, (count - 1) // PER_PAGE), 0)


def _pills(total: int, look: int, filled: int, q: str, only: str, live: bool) -> tuple[Pill, ...]:
    return (
        Pill("All", link(q=q), not only, f"{total:,}"),
        Pill(_NEEDS_A_LOOK.word, link(q=q, only=LOOK), only == LOOK, f"{look:,}" if live else "?", _NEEDS_A_LOOK),
        Pill(_NOT_EMPTY.word, link(q=q, only=FILLED), only == FILLED, f"{filled:,}" if live else "?", _NOT_EMPTY),
    )


def _read_words(known: Known | None, live: bool) -> str:
    if known is None:
        return "Redis has not been read yet."
    if live:
        return "Read now."
    then = datetime.fromtimestamp(known.reading.at, UTC)
    age = duration(max(datetime.now(UTC).timestamp() - known.reading.at, 0.0))
    return f"Last read at {clock(then)}, {age} ago."


def _measured_words(known: Known | None, live: bool) -> str:
    latest = known.latest if known else None
    if known is None or latest is None:
        return "In and out are unknown: no recorder has measured them."
    now = known.reading.at if live else datetime.now(UTC).timestamp()
    age = duration(max(now - latest.at, 0.0))
    if known.reading.at - latest.at > RATES_KEPT:
        return f"In and out are unknown: the recorder last measured {age} ago."
    return f"In and out were measured over {duration(latest.window)}, {age} ago, by the recorder."


def _note(known: Known | None) -> str:
    if known is None or known.reading.whole:
        return ""
    reading = known.reading
    return (
        f"Workers have {plural(reading.with_workers, 'message')}; the {reading.looked_at:,} that they have had longest "
        "were looked at. Reserved and held are at least as many as shown."
    )


class QueuesPage(UnfoldModelAdminViewMixin, TemplateView):
    """`…/queues/`."""

    title = "Queues"
    template_name = "admin_ext/queues/list.html"
    permission_required = VIEW_RUN
    permission_denied_message = SEE_RUNS_REFUSED
    http_method_names = ["get", "head", "options"]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = {"page": queue_list_page(self.request), "crumbs": [("Queues", "")]}
        return super().get_context_data(**kwargs, **context)


def stranger(request: HttpRequest) -> HttpResponse | None:
    """What a poll is told when nobody is signed in any more: a sign-in page must not be swapped into the page."""
    if admin.site.has_permission(request):
        return None
    if request.headers.get("HX-Request"):
        return HttpResponse(status=204, headers={"HX-Refresh": "true"})
    return redirect_to_login(request.get_full_path(), reverse("admin:login"))


@require_safe
def live_queues(request: HttpRequest) -> HttpResponse:
    """`…/queues/live/`: the list without its frame; without htmx, the page itself."""
    if (answer := stranger(request)) is not None:
        return answer
    refuse_unless(request, VIEW_RUN, SEE_RUNS_REFUSED)
    if not request.headers.get("HX-Request"):
        return redirect(f"{reverse('admin:jobs_queues')}?{request.GET.urlencode()}")
    response = render(request, "admin_ext/queues/live.html", {"page": queue_list_page(request)})
    response["Cache-Control"] = "no-store"
    return response
