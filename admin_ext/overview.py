"""The Overview, which is the admin's index: trouble first, then what runs, what failed today, what was done by hand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from jobs.ledger.lists import acts_by_hand
from jobs.ledger.overview import Figures, Lines, figures, overview_lines

from .access import VIEW_AUDIT, VIEW_RUN, may
from .audit_sentences import Sentence, sentences
from .machinery import RECORDER, Machinery, Trouble, read_machinery
from .rows import Row, rows
from .sidebar import remember_running
from .words import capped, duration, plural

RUNNING_SHOWN = 8
TROUBLED_SHOWN = 6
ACTS_SHOWN = 8
#: Counting stops here: "10,000+".
COUNT_CAP = 10_000


@dataclass(frozen=True, slots=True)
class Number:
    """One of the four numbers: a link to the list that it counts.

    Attributes:
        tone: bad, or "" for a number that is nothing to worry about.
        note: since when, and how old.
        stale: it was recorded and may have changed since.
    """

    label: str
    value: str
    unit: str
    note: str
    href: str
    tone: str = ""
    stale: bool = False


@dataclass(frozen=True, slots=True)
class OverviewPage:
    """Everything that the Overview shows.

    Attributes:
        troubles: what needs a look and no banner says, with the address of the list that shows it.
        count: how many things need a look, those of the banners included; 0 means that all is well.
        proof: why one may believe that all is well.
        last_act: the newest act by hand when there was none today.
        all_acts: True where everybody's acts are shown, False where only the viewer's own are.
    """

    may_see_runs: bool
    troubles: tuple[tuple[Trouble, str], ...]
    count: int
    proof: str
    numbers: tuple[Number, ...]
    running: tuple[Row, ...]
    running_words: str
    failed: tuple[Row, ...]
    failed_words: str
    acts: tuple[Sentence, ...]
    last_act: Sentence | None
    all_acts: bool


def overview(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Unfold's dashboard callback: adds `page` to the context of the admin's index."""
    page = overview_page(request)
    title = f"({page.count}) Overview" if page.count else "Overview"
    return {**context, "page": page, "title": title, "crumbs": [("Overview", "")]}


def overview_page(request: HttpRequest) -> OverviewPage:
    """Read the page in four queries; without the right to see runs only the machinery and one's own acts are shown."""
    machinery, now = read_machinery(request), timezone.now()
    midnight = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    counted, lines = None, Lines((), ())
    if may(request, VIEW_RUN):
        counted = figures(now, midnight, cap=COUNT_CAP)
        lines = overview_lines(midnight, running=RUNNING_SHOWN, troubled=TROUBLED_SHOWN)
        remember_running(request, counted.running)
    all_acts = may(request, VIEW_AUDIT)
    acts = acts_by_hand(limit=ACTS_SHOWN, actor_id=None if all_acts else request.user.pk)
    today = [act for act in acts if act.at >= midnight]
    # What a banner says already is not said twice; the title still counts it.
    troubles = [(trouble, "") for trouble in machinery.troubles if not trouble.on_every_page]
    troubles += _troubles_of_runs(counted) if counted else []
    return OverviewPage(
        may_see_runs=counted is not None,
        troubles=tuple(troubles),
        count=len(troubles) + len(machinery.banners),
        proof=_proof(counted),
        numbers=_numbers(counted, machinery, midnight) if counted else (),
        running=rows(lines.running),
        running_words=f"{capped(counted.running, COUNT_CAP)}, longest first" if counted and counted.running else "none",
        failed=rows(lines.troubled),
        failed_words=_failed_words(counted, len(lines.troubled)) if counted else "",
        acts=sentences(today),
        last_act=sentences(acts[:1])[0] if acts and not today else None,
        all_acts=all_acts,
    )


def _list_of(parameters: str) -> str:
    return reverse("admin:jobs_run_changelist") + parameters


def _troubles_of_runs(counted: Figures) -> list[tuple[Trouble, str]]:
    found = []
    for state, icon, tone, count, one, many in (
        ("failed", "error", "bad", counted.failed, "failed", "failed"),
        ("lost", "sensors_off", "warn", counted.lost, "was lost", "were lost"),
    ):
        if count:
            number = "1 run" if count == 1 else f"{capped(count, COUNT_CAP)} runs"
            fact = f"{number} {one if count == 1 else many} today."
            found.append((Trouble(tone, icon, fact, "", ""), _list_of(f"?state={state}&since=today")))
    return found


def _numbers(counted: Figures, machinery: Machinery, midnight: datetime) -> tuple[Number, ...]:
    # Without Redis or a recorder nobody hears what starts and ends: these two are as they were last recorded.
    stale = not (machinery.live and machinery.alive(RECORDER))
    lost = f", {capped(counted.lost, COUNT_CAP)} lost" if counted.lost else ""
    accepted = f"and {capped(counted.accepted, COUNT_CAP)} accepted, not yet queued" if counted.accepted else ""
    return (
        _number("Runs, 24 h", counted.ran, "asked for in the last 24 hours", "?since=24h"),
        _number(
            "Failed today",
            counted.failed,
            f"of those asked for since midnight, {timezone.localtime(midnight):%Z}{lost}",
            "?state=failed&since=today",
            tone="bad" if counted.failed else "",
        ),
        _number("Running now", counted.running, _slots(machinery), "?state=running", stale=stale),
        _number("Waiting in queues", counted.queued, accepted or _recorded(machinery), "?state=queued", stale=stale),
    )


def _number(label: str, count: int, note: str, parameters: str, *, tone: str = "", stale: bool = False) -> Number:
    unit = "run" if count == 1 else "runs"
    return Number(label, capped(count, COUNT_CAP), unit, note, _list_of(parameters), tone, stale)


def _slots(machinery: Machinery) -> str:
    fleet = machinery.fleet
    if not fleet.beacons:
        return "slots not known" if not machinery.live else "no worker has been heard"
    heard = duration(max(fleet.oldest_beat, 0.0))
    return f"{fleet.busy:,} of {plural(fleet.slots, 'slot')} in use, heard {heard} ago"


def _recorded(machinery: Machinery) -> str:
    if machinery.alive(RECORDER):
        return f"recorded {duration(max(machinery.leases[RECORDER].renewed_ago, 0.0))} ago"
    return f"as recorded; the recorder was {machinery.last_seen(RECORDER)}"


def _failed_words(counted: Figures, shown: int) -> str:
    total = counted.failed + counted.lost
    newest = f", the newest {shown:,} shown" if total > shown else ""
    return f"{capped(total, COUNT_CAP)} since midnight, {timezone.get_current_timezone_name()}{newest}"


def _proof(counted: Figures | None) -> str:
    answers = "Redis, database, recorder, beat and workers answer."
    if counted is None:
        return answers
    ran = "1 run" if counted.ran == 1 else f"{capped(counted.ran, COUNT_CAP)} runs"
    running = capped(counted.running, COUNT_CAP) if counted.running else "none"
    return f"No run failed or was lost today, {running} running now, {ran} in the last 24 h; {answers}"
