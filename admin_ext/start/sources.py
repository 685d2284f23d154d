"""The card "Fill from": earlier runs and presets whose values can be taken over. Every line and tab is a link."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from django.http import HttpRequest

from admin_ext.parts.access import VIEW_RUN, may, viewer_key, withheld_from
from admin_ext.parts.chips import Chip, run_chip
from jobs.catalog.registry import Job
from jobs.ledger.run_query import RunQuery
from jobs.ledger.run_slices import RunLine, run_slice
from jobs.models import Preset, Run

SHOWN = 8
MOST_PRESETS = 50
LAST, MINE, PRESETS = "last", "mine", "presets"
_WORDS = {LAST: "Last runs", MINE: "Mine", PRESETS: "Presets"}


@dataclass(frozen=True, slots=True)
class Tab:
    word: str
    href: str
    current: bool


@dataclass(frozen=True, slots=True)
class Line:
    """An earlier run; `href` is "" where its arguments are not known exactly."""

    run: Run
    chip: Chip
    arguments: str
    href: str


@dataclass(frozen=True, slots=True)
class Sources:
    """What the card shows: lines of runs, or presets with their addresses."""

    tabs: tuple[Tab, ...]
    current: str
    lines: tuple[Line, ...] = ()
    presets: tuple[tuple[Preset, str], ...] = ()


def read_sources(request: HttpRequest, job: Job) -> Sources:
    """The card for the tab that the address asks for; who may not see runs finds presets only."""
    offered = [LAST, MINE, PRESETS] if may(request, VIEW_RUN) else [PRESETS]
    asked = request.GET.get("tab", "")
    current = asked if asked in offered else offered[0]
    others = [(name, text) for name, texts in request.GET.lists() if name != "tab" for text in texts]
    tabs = tuple(Tab(_WORDS[t], f"?{urlencode([*others, ('tab', t)])}", t == current) for t in offered)
    if current == PRESETS:
        kept = Preset.objects.filter(job=job.name).order_by("name")[:MOST_PRESETS]
        return Sources(
            tabs, current, presets=tuple((p, f"?{urlencode({'preset': p.pk, 'tab': current})}") for p in kept)
        )
    query = RunQuery(
        task_name=job.name, actor_id=viewer_key(request) if current == MINE else None, withheld=withheld_from(request)
    )
    return Sources(tabs, current, lines=tuple(_line(line, current) for line in run_slice(query, limit=SHOWN).lines))


def _line(line: RunLine, tab: str) -> Line:
    run = line.run
    href = f"?{urlencode({'from': run.task_id, 'tab': tab})}" if run.arguments_exact else ""
    return Line(run, run_chip(run.state), line.arguments or "no arguments", href)
