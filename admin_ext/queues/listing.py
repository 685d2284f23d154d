"""The Queues page: what waits where, whether it moves, and who takes it; trouble first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_safe

from admin_ext.frame.machinery import read_machinery
from admin_ext.parts.access import SEE_RUNS_REFUSED, VIEW_RUN, ConsoleView
from admin_ext.parts.chart import Spark, as_of, spark
from admin_ext.parts.chips import Chip, Pill
from admin_ext.parts.keyset import link
from admin_ext.parts.live import live_part
from admin_ext.parts.not_there import NotThere, nearest
from admin_ext.parts.numbered import NumberedPage, cut
from admin_ext.parts.remembered import Remembered, last_read
from admin_ext.parts.words import duration, plural
from jobs.fleet.breaker import ask
from jobs.fleet.broker import Redis
from jobs.fleet.queues import Reading, configured, read_queues
from jobs.fleet.samples import MINUTES, Latest, read_latest, read_ready
from jobs.ledger.waiting import waiting_by_queue

from .lines import CALM, RATES_KEPT, QueueLine, queue_href, queue_line, queue_state, unknown_line

#: Runs that wait in the ledger are counted up to here.
LATER_CAP = 10_000
LOOK, FILLED = "look", "filled"
_NEEDS_A_LOOK = Chip("bad", "error", "Needs a look")
_NOT_EMPTY = Chip("idle", "inbox", "Not empty")


@dataclass(frozen=True, slots=True)
class Known:
    """What Redis last told this process of the queues.

    Attributes:
        heard: False where workers could not say that they live, because Redis takes no writes.
    """

    reading: Reading
    latest: Latest | None
    heard: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueListPage(NumberedPage[QueueLine]):
    """Everything that the list shows.

    Attributes:
        measured: over what time and when in and out were measured, in words.
        note: what could not be told apart; "" when all was.
        heard: False where no worker can say that it lives.
    """

    measured: str
    note: str
    heard: bool


_remembered: Remembered[Known] = Remembered()
#: The small pictures of the queues that were shown last, about 2 KB each.
_sparks: Remembered[Spark] = Remembered(500)


def last_known() -> Known | None:
    """What this process last read; None when it has not."""
    known = _remembered.last()
    return known.value if known else None


def keep_known(known: Known) -> Known:
    """What another page has just read."""
    return _remembered.keep(known, known.reading.at)


def read_known(request: HttpRequest) -> tuple[Known | None, bool]:
    """What is known of the queues, and whether it is of now; two round trips, and none while Redis is away."""
    fleet = read_machinery(request).fleet

    def read(client: Redis) -> Known:
        latest = read_latest(client)
        reading = read_queues(client, fleet.beacons, latest.found if latest else ())
        return Known(reading, latest, heard=not fleet.refuses)

    known = ask(read)
    return (keep_known(known), True) if known else (last_known(), False)


def no_queue(name: str, known: Known | None) -> NotThere:
    """What to raise where nobody knows a queue of this name."""
    names = nearest(name, known.reading.queues if known else configured())
    sentence = "There is no queue of this name: no setting names it, and it holds no message."
    ways = [(f"Queue {one}", queue_href(one)) for one in names]
    return NotThere(sentence, [*ways, ("All queues", reverse("admin:jobs_queues"))])


def queue_list_page(request: HttpRequest) -> QueueListPage:
    """Read the page that the address asks for: `q` in names, `only` what needs a look or is not empty, `page`."""
    q = request.GET.get("q", "").replace("\x00", "").strip()[:200]
    only = request.GET.get("only", "")
    only = only if only in (LOOK, FILLED) else ""
    known, live = read_known(request)
    later, later_more = waiting_by_queue(LATER_CAP)
    states, heard = _states(known, live), known is None or known.heard
    names = sorted(name for name in states if q.lower() in name.lower())
    filled = {name for name in names if known and (later[name] or not known.reading.queues[name].is_empty)}
    look = [name for name in names if states[name] not in CALM]
    matching = [name for name in names if not only or name in (look if only == LOOK else filled)]
    # What is wrong comes first; everything else keeps its place, whatever the numbers do.
    matching.sort(key=lambda name: (states[name] in CALM, name))
    page = cut(matching, request.GET.get("page", ""), q=q, only=only)
    return QueueListPage(
        lines=_lines(page.shown, known, live, later, later_more),
        pills=_pills(len(names), len(look) if heard else None, len(filled), q, only, live),
        q=q,
        only=only,
        total=len(states),
        matching=len(matching),
        first=page.first,
        newer=page.newer,
        older=page.older,
        live=live,
        heard=heard,
        read=_read_words(known, live),
        measured=_measured_words(known, live),
        note=_note(known),
        live_url=reverse("admin:jobs_queues_live") + page.here,
    )


def _states(known: Known | None, live: bool) -> dict[str, str]:
    """The state of each queue; "" where it is unknown."""
    if known is None:
        return dict.fromkeys(configured(), "")
    reading = known.reading
    return {
        name: queue_state(depth, known.latest, reading.at) if live and known.heard else ""
        for name, depth in reading.queues.items()
    }


def _lines(
    names: Sequence[str], known: Known | None, live: bool, later: Counter[str], later_more: bool
) -> tuple[QueueLine, ...]:
    lines = tuple(line_of(name, known, live, later[name], later_more) for name in names)
    if known is None:
        return lines
    ready = _ready(names, known.reading.at) if live else None
    return tuple(replace(line, spark=_spark(line, ready)) for line in lines)


def line_of(name: str, known: Known | None, live: bool, later: int = 0, later_more: bool = False) -> QueueLine:
    """A queue as it is known; of one that is not, that nobody could read it."""
    depth = known.reading.queues.get(name) if known else None
    if known is None or depth is None:
        return unknown_line(name)
    reading, latest = known.reading, known.latest
    return queue_line(depth, reading, latest, later=later, later_more=later_more, live=live, heard=known.heard)


def _ready(names: Sequence[str], now: float) -> Mapping[str, Sequence[int | None]] | None:
    """The last hour of these queues; None where Redis did not answer."""
    return ask(lambda client: read_ready(client, names, MINUTES, 60, now)) if names else {}


def _spark(line: QueueLine, ready: Mapping[str, Sequence[int | None]] | None) -> Spark | None:
    """The queue's last hour; where it cannot be read, the one that was read last, in grey and with its age."""
    if ready is None:
        before = _sparks.last(line.name)
        return as_of(before.value, before.at) if before else None
    drawn = spark(ready[line.name], line.tone or "idle")
    return _sparks.keep(drawn, name=line.name) if drawn else None


def _pills(total: int, look: int | None, filled: int, q: str, only: str, live: bool) -> tuple[Pill, ...]:
    looked = f"{look:,}" if live and look is not None else "?"
    return (
        Pill("All", link(q=q), not only, f"{total:,}"),
        Pill(_NEEDS_A_LOOK.word, link(q=q, only=LOOK), only == LOOK, looked, _NEEDS_A_LOOK),
        Pill(_NOT_EMPTY.word, link(q=q, only=FILLED), only == FILLED, f"{filled:,}" if live else "?", _NOT_EMPTY),
    )


def _read_words(known: Known | None, live: bool) -> str:
    if known is None:
        return "Redis has not been read yet."
    if live:
        return "Read now."
    return f"{last_read(known.reading.at)}."


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


class QueuesPage(ConsoleView):
    """`…/queues/`."""

    title = "Queues"
    template_name = "admin_ext/queues/list.html"
    permission_required = VIEW_RUN
    permission_denied_message = SEE_RUNS_REFUSED
    http_method_names = ["get", "head", "options"]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = {"page": queue_list_page(self.request), "crumbs": [("Queues", "")]}
        return super().get_context_data(**kwargs, **context)


def named_queue(request: HttpRequest, name: str) -> HttpResponse:
    """`…/queues/<name>/`: an address that one can type; the page has the name as a parameter."""
    return redirect(queue_href(name))


@require_safe
def live_queues(request: HttpRequest) -> HttpResponse:
    """`…/queues/live/`: the list without its frame; without htmx, the page itself."""
    return live_part(request, "admin:jobs_queues", "admin_ext/queues/live.html", queue_list_page)
