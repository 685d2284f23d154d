"""What each tab of a run's page shows; a tab reads nothing that only another one needs."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.utils import quote
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from admin_ext.acts.cancel_facts import cancel_words
from admin_ext.acts.retry_facts import marks
from admin_ext.audit.sentences import sentences
from admin_ext.frame.machinery import read_machinery
from admin_ext.objects.links import object_links
from admin_ext.parts.access import VIEW_SCHEDULE, may, why_withheld
from admin_ext.parts.addresses import verb_links
from admin_ext.parts.chips import DRY_RUN
from admin_ext.parts.keyset import link
from admin_ext.parts.words import plural
from jobs.ledger.dry_runs import is_dry_run
from jobs.ledger.durations import usual
from jobs.ledger.family import family
from jobs.ledger.live import live_of, progress_of
from jobs.ledger.preview import can_preview
from jobs.ledger.run_page import AttemptLine, Outcome, RunPage, attempts, outcome, trail
from jobs.models import Run

from .compare import what_changed
from .error import error_card, like_words
from .facts import (
    Notice,
    based_on_words,
    ended_words,
    facts,
    notices,
    outcome_words,
    result_of,
    schedule_address,
    steps,
)
from .family import family_tab
from .log import LINES_ON_OVERVIEW, Shown, log_of
from .progress import progress_card
from .tabs import Tab, tab_address, tab_links
from .technical import arguments_text, technical
from .why_waiting import why_waiting


def run_context(request: HttpRequest, page: RunPage) -> dict[str, Any]:
    """What the run's page and its live part show: the head, and the tab that the address names."""
    run, tab = page.run, Tab.of(request.GET.get("tab", ""))
    context = _TABS[tab](request, page)
    lines = context.get("lines_written", None if run.is_active else page.counts.log)
    dry = is_dry_run(run, page.job)
    own_query = {name: request.GET.get(name, "") for name in ("level", "attempt")}
    return {
        "page": page,
        "run": run,
        "withheld": why_withheld(request, run.task_name) if run.withheld else "",
        "tab": tab,
        "tabs": tab_links(page, tab, lines),
        "turned": _turned(request, run),
        "tab_template": f"admin_ext/run/tab_{tab.value}.html",
        "ended": ended_words(run),
        "page_title": f"{outcome_words(run)}: {page.title} {run.short_id}",
        "live_url": reverse("admin:jobs_run_live", args=[quote(run.task_id)])
        + link(tab=tab.value, state=run.state, **own_query)
        if run.is_active
        else "",
        "dry_run": DRY_RUN if dry else None,
        "verbs": verb_links(request, run, page.job, dry=dry, about=len(page.objects) + page.more_objects),
        "notices": (*([why] if (why := why_waiting(request, run)) else []), *notices(page), *_cancelled(request, run)),
        "marks": marks(page),
        "schedule_href": _schedule_href(request, run),
        "older": _run_address(page.older),
        "newer": _run_address(page.newer),
        **context,
    }


def _turned(request: HttpRequest, run: Run) -> bool:
    """Whether the page that polls shows another state than the run has now; it says which, the page itself does not."""
    return request.GET.get("state", run.state) != run.state


def _cancelled(request: HttpRequest, run: Run) -> tuple[Notice, ...]:
    fact, text = cancel_words(run, read_machinery(request).fleet, timezone.now())
    return (Notice("idle", "pending" if run.is_active else "do_not_disturb_on", fact, text),) if fact else ()


def _schedule_href(request: HttpRequest, run: Run) -> str:
    return schedule_address(run) if run.schedule_id is not None and may(request, VIEW_SCHEDULE) else ""


def _run_address(task_id: str) -> str:
    return reverse("admin:jobs_run_change", args=[quote(task_id)]) if task_id else ""


def _overview(request: HttpRequest, page: RunPage) -> dict[str, Any]:
    run = page.run
    came = outcome(page)
    usually = usual([run.task_name]).get(run.task_name)
    context: dict[str, Any] = {
        "steps": steps(run, usually),
        "result": None if run.withheld else result_of(came, run),
        "error": error_card(came),
        "error_attempt": came.attempt or run.attempt,
        "error_worker": came.worker,
        "like": like_words(run),
        "changed": None if run.withheld else what_changed(run, page.job),
        "files": [(file, can_preview(file)) for file in page.files],
        "files_words": plural(len(page.files), "file"),
        "facts": facts(page, usually, _schedule_href(request, run)),
        "based_on": based_on_words(page.based_on) if page.based_on else "",
        "objects": object_links(request, page.objects),
        "more_objects": f"{page.more_objects:,} more" if page.more_objects else "",
    }
    if not run.is_active and not _turned(request, run):
        return {**context, "progress": progress_card(run, progress_of(run.progress))}
    if run.withheld:
        return context
    live = live_of(run)
    log = log_of(run, live, Shown(last=LINES_ON_OVERVIEW))
    return {
        **context,
        "progress": progress_card(run, live.progress),
        "log": log,
        "lines_written": live.written if live.known else None,
    }


def _log(request: HttpRequest, page: RunPage) -> dict[str, Any]:
    run, shown = page.run, Shown.of(request.GET)
    if run.withheld:
        return {"lines_written": None}
    live = live_of(run)
    log = log_of(run, live, Shown(warnings=shown.warnings, attempt=shown.attempt))
    numbers = sorted({line.attempt for line in live.lines})
    return {
        "log": log,
        "lines_written": live.written if live.known else None,
        "levels": [
            ("All levels", tab_address(run, Tab.LOG, attempt=shown.attempt or ""), not shown.warnings),
            (
                f"Warnings and errors {log.warnings:,}",
                tab_address(run, Tab.LOG, level="warnings", attempt=shown.attempt or ""),
                shown.warnings,
            ),
        ],
        "log_attempts": [
            (f"Attempt {n}" if n else "All attempts", tab_address(run, Tab.LOG, attempt=n or ""), n == shown.attempt)
            for n in [0, *numbers]
        ]
        if len(numbers) > 1
        else [],
    }


def _attempts(request: HttpRequest, page: RunPage) -> dict[str, Any]:
    asked = request.GET.get("attempt", "")
    number = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 10 else None
    lines = attempts(page, number)
    chosen = next((line for line in lines if number is None or line.attempt.number == number), None)
    came = _ended_badly(chosen) if chosen else Outcome()
    return {
        "lines": [
            (
                line.attempt,
                tab_address(page.run, Tab.ATTEMPTS, attempt=line.attempt.number),
                tab_address(page.run, Tab.LOG, attempt=line.attempt.number),
                line is chosen,
            )
            for line in lines
        ],
        "error": error_card(came),
        "error_attempt": came.attempt,
        "error_worker": came.worker,
        "error_query": link(attempt=came.attempt) if came.attempt else "",
    }


def _ended_badly(line: AttemptLine) -> Outcome:
    one = line.attempt
    return Outcome(
        error_type=one.error_type,
        error_message=one.error_message,
        traceback=line.traceback,
        attempt=one.number,
        worker=one.worker,
    )


def _family(request: HttpRequest, page: RunPage) -> dict[str, Any]:
    return {"family": family_tab(family(page.run))}


def _audit(request: HttpRequest, page: RunPage) -> dict[str, Any]:
    return {"audit": sentences(trail(page.run))}


def _technical(request: HttpRequest, page: RunPage) -> dict[str, Any]:
    return {"columns": technical(page), "arguments_text": arguments_text(page)}


_TABS = {
    Tab.OVERVIEW: _overview,
    Tab.LOG: _log,
    Tab.ATTEMPTS: _attempts,
    Tab.FAMILY: _family,
    Tab.AUDIT: _audit,
    Tab.TECHNICAL: _technical,
}
