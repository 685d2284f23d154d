"""The Overview, which is the admin's index: trouble first, then what runs, what failed today, what was done by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from jobs.ledger.lists import acts_by_hand, running_lines, troubled_since
from jobs.states import State

from .access import VIEW_AUDIT, VIEW_RUN, may
from .audit_sentences import Sentence, sentences
from .machinery import Trouble, read_machinery
from .rows import Row, rows
from .sidebar import running_badge
from .words import plural

RUNNING_SHOWN = 8
TROUBLED_SHOWN = 10
#: How far back "today" is looked for; more than that is shown as "200+".
TROUBLED_READ = 200
ACTS_SHOWN = 8


@dataclass(frozen=True, slots=True)
class OverviewPage:
    """Everything that the Overview shows.

    Attributes:
        troubles: what needs a look and no banner says.
        count: how many things need a look, those of the banners included; 0 means that all is well.
        proof: why one may believe that all is well.
        failed_words: how many runs failed or were lost today, with a "+" when more were not looked at.
        last_act: the newest act by hand when there was none today.
        all_acts: True where everybody's acts are shown, False where only the viewer's own are.
    """

    may_see_runs: bool
    troubles: tuple[tuple[Trouble, str], ...]
    count: int
    proof: str
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
    """Read the page; without the right to see runs only the machinery is shown."""
    machinery = read_machinery(request)
    may_see_runs = may(request, VIEW_RUN)
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    failed = troubled_since(midnight, limit=TROUBLED_READ) if may_see_runs else ()
    running = running_lines(limit=RUNNING_SHOWN) if may_see_runs else ()
    all_acts = may(request, VIEW_AUDIT)
    acts = acts_by_hand(limit=ACTS_SHOWN, actor_id=None if all_acts else request.user.pk)
    today = [act for act in acts if act.at >= midnight]
    # What a banner says already is not said twice; the title still counts it.
    troubles = [(trouble, "") for trouble in machinery.troubles if not trouble.on_every_page]
    more = "+" if len(failed) >= TROUBLED_READ else ""
    for state, icon, tone, word in (
        (State.FAILED, "error", "bad", "failed"),
        (State.LOST, "sensors_off", "warn", "was lost"),
    ):
        count = sum(line.run.state == state for line in failed)
        if count:
            many = "were lost" if state == State.LOST else word
            fact = f"{plural(count, 'run')} {word if count == 1 else many} today{' or more' if more else ''}."
            href = reverse("admin:jobs_run_changelist") + f"?state={state.value}"
            troubles.append((Trouble(tone, icon, fact, "", ""), href))
    count_running = running_badge(request) if may_see_runs else ""
    return OverviewPage(
        may_see_runs=may_see_runs,
        troubles=tuple(troubles),
        count=len(troubles) + len(machinery.banners),
        proof=_proof(count_running or "none") if may_see_runs else "Redis, recorder, beat and workers answer.",
        running=rows(running),
        running_words=f"{count_running or 'none'}, longest first" if count_running else "none",
        failed=rows(failed[:TROUBLED_SHOWN]),
        failed_words=f"{len(failed):,}{more} since midnight, {timezone.get_current_timezone_name()}",
        acts=sentences(today),
        last_act=sentences(acts[:1])[0] if acts and not today else None,
        all_acts=all_acts,
    )


def _proof(running: str) -> str:
    return f"No run failed or was lost today, {running} running now; Redis, recorder, beat and workers answer."
