"""The page of one group of failures: what happened, what its runs share, its runs, what people did with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone

from admin_ext.audit.sentences import sentences
from admin_ext.frame.sidebar import remember_failures, remember_running
from admin_ext.parts.access import SEE_RUNS_REFUSED, VIEW_RUN, ConsoleView, may, why_withheld, withheld_from
from admin_ext.parts.chips import FAILURE
from admin_ext.parts.keyset import PER_PAGE, link
from admin_ext.parts.rows import Row, rows
from admin_ext.parts.words import ago, clock, local_time, plural
from admin_ext.run.error import error_card
from admin_ext.run.tabs import TabLink
from jobs.failures.fingerprint import Basis
from jobs.failures.hurting import HurtingCase, hurting_cases
from jobs.failures.lists import Status
from jobs.failures.page import GroupPage, Shared, group_page, trail, what_happened
from jobs.failures.verbs import LONGEST_NOTE
from jobs.ledger.durations import usual
from jobs.ledger.run_page import Outcome
from jobs.ledger.run_query import RunQuery
from jobs.ledger.run_slices import RunLine, run_slice
from jobs.ledger.verbs import RESOLVE_FAILURE

from .numbers import numbers_of, picture, runs_of
from .retrying import retrying, shown

LIST = "admin:jobs_failuregroup_changelist"
CHANGE = "admin:jobs_failuregroup_change"
#: The height of the picture of seven days.
HEIGHT = 72
_BASIS: dict[str, str] = {
    Basis.EXPLICIT: "Job and what the exception or the job itself says it is.",
    Basis.PLACE: "Job, exception and innermost frame of your own code, whatever the line.",
    Basis.TYPE: "Job and exception: this one strikes wherever a run happens to be.",
    Basis.MESSAGE: "Job, exception and message without numbers, ids, quotes, paths, addresses and dates; "
    "no frame of your own code is known.",
}


class Tab(StrEnum):
    """What one of them shows; the value is what the address says."""

    WHAT = "what"
    RUNS = "runs"
    AUDIT = "audit"

    @classmethod
    def of(cls, text: str) -> Tab:
        """The tab that the address names; the first one for any other word."""
        return cls(text) if text in set(cls) else cls.WHAT


@dataclass(frozen=True, slots=True)
class SharedLine:
    """One line of "Shared by the failures"; `width` is the bar's, in per cent."""

    one: Shared
    share: str
    width: str
    href: str


class GroupPageView(ConsoleView):
    """`…/jobs/failuregroup/<pk>/change/`, with `?tab=`."""

    title = "Failure"
    template_name = "admin_ext/failures/group.html"
    permission_required = VIEW_RUN
    permission_denied_message = SEE_RUNS_REFUSED
    http_method_names = ["get", "head", "options"]

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        page = group_page(kwargs["pk"], timezone.now(), withheld_from(request))
        if page is None:
            messages.warning(request, "That group exists no more: the last of its runs was pruned.")
            return redirect(LIST)
        remember_running(request, page.running)
        remember_failures(request, page.needing_action)
        return self.render_to_response(self.get_context_data(page=page))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        page: GroupPage = kwargs["page"]
        tab = Tab.of(self.request.GET.get("tab", ""))
        group = page.group
        title = f"{group.error_type or 'Failure'}: {group.message}".removesuffix(": ")
        context = {
            "group": group,
            "chip": FAILURE[page.status],
            "group_title": title,
            "sentence": _sentence(page),
            "decided": _decided(page),
            "tab": tab,
            "withheld": why_withheld(self.request, group.task_name) if page.withheld else "",
            "tabs": _tabs(page, tab),
            "tab_template": f"admin_ext/failures/{tab.value}.html",
            "lacking": "" if may(self.request, RESOLVE_FAILURE.permission) else RESOLVE_FAILURE.sentence,
            "is_open": page.status not in {Status.SNOOZED, Status.RESOLVED},
            "is_resolved": page.status is Status.RESOLVED,
            "crumbs": [("Failures", reverse(LIST)), (_place(page), "")],
            **shown(self.request, retrying(group, timezone.now()) if page.was_retried else ()),
            **_CONTENTS[tab](self.request, page),
        }
        return {**super().get_context_data(**kwargs, **context), "title": title}


def _place(page: GroupPage) -> str:
    group = page.group
    where = group.place.rpartition(", ")[2] or page.title
    return f"{group.error_type or 'Failure'} in {where}"


def _sentence(page: GroupPage) -> str:
    group = page.group
    seen = f"first {clock(group.first_seen)}, last {ago(group.last_seen)}"
    return f"{seen} · {plural(page.pace.week, 'failure')} in 7 days, {group.total:,} in all"


def _decided(page: GroupPage) -> tuple[str, str, str]:
    """What there is to say of its state: tone, symbol and sentence."""
    group = page.group
    by = f"{group.decided_by} {ago(group.decided_at)}" if group.decided_at else ""
    if page.status is Status.RESOLVED:
        return "idle", "task_alt", f"Resolved by {by}. A run that begins later and fails again opens it."
    if page.status is Status.SNOOZED:
        return "idle", "snooze", f"Snoozed until {clock(group.snoozed_until)} by {by}. Its runs go on being counted."
    if not group.hurting and group.healed_at:
        return "idle", "healing", f"Healed {ago(group.healed_at)}: an equal run has succeeded after each failure."
    if group.regressed_at:
        when = f", after {group.decided_by} resolved it {ago(group.decided_at)}" if group.decided_at else ""
        return "bad", "undo", f"Regressed: it failed again {ago(group.regressed_at)}{when}."
    return "", "", ""


def _tabs(page: GroupPage, current: Tab) -> tuple[TabLink, ...]:
    words = {Tab.WHAT: ("What happened", ""), Tab.RUNS: ("Runs", f"{page.group.total:,}"), Tab.AUDIT: ("Audit", "")}
    return tuple(
        TabLink(word, link(tab="" if tab is Tab.WHAT else tab.value), count, tab is current)
        for tab, (word, count) in words.items()
    )


def _what(request: HttpRequest, page: GroupPage) -> dict[str, Any]:
    happened = what_happened(page)
    run, attempt = happened.run, happened.attempt
    came = Outcome(
        error_type=run.error_type if run else page.group.error_type,
        error_message=run.error_message if run else page.group.sample_message,
        traceback=attempt.traceback if attempt else "",
        attempt=attempt.number if attempt else 0,
        worker=attempt.worker if attempt else "",
    )
    return {
        "run": run,
        "error": error_card(came),
        "error_attempt": came.attempt,
        "error_worker": came.worker,
        "error_query": link(attempt=came.attempt) if came.attempt else "",
        "said": tuple(_shared(one, page.group.pk) for one in happened.messages),
        "shared": tuple(_shared(one, page.group.pk) for one in happened.shared),
        "looked_at": happened.looked_at,
        "notes": happened.notes,
        "longest_note": LONGEST_NOTE,
        "runbook": page.job.runbook if page.job else "",
        "basis": _BASIS.get(page.group.basis, ""),
        "columns": picture(page.pace.hours, HEIGHT),
        "columns_words": f"{plural(page.pace.week, 'failure')} in 7 days, at most {max(page.pace.hours):,} an hour",
        "most": max(page.pace.hours),
        "days": _days(page),
        "numbers": numbers_of(page.group.pk, page.pace),
    }


def _shared(one: Shared, pk: int) -> SharedLine:
    href = runs_of(pk, **{one.field: one.asked}) if one.field else ""
    return SharedLine(one, f"{one.share} %", f"{100 * one.count / one.of:.1f}", href)


def _days(page: GroupPage) -> tuple[tuple[str, str], ...]:
    """Where in the picture each day begins, in per cent, and its name."""
    found = []
    for day in range(7):
        at = page.pace.week_since + (timezone.now() - page.pace.week_since) * (day / 7)
        found.append((f"{100 * day / 7:.2f}", f"{local_time(at):%a}"))
    return tuple(found)


def _runs(request: HttpRequest, page: GroupPage) -> dict[str, Any]:
    pk = page.group.pk
    hurting = request.GET.get("hurting") == "1"
    cases: tuple[HurtingCase, ...] = (
        hurting_cases(page.group, limit=PER_PAGE, withheld=withheld_from(request)) if hurting else ()
    )
    if hurting:
        lines = tuple(case.line for case in cases)
    else:
        lines = run_slice(RunQuery(failure_group_id=pk, withheld=withheld_from(request)), limit=PER_PAGE).lines
    return {
        "hurting": hurting,
        "rows": _rows(lines, page, [case.count for case in cases]),
        "pills": (
            (link(tab="runs"), "All of them", not hurting, f"{page.group.total:,}"),
            (link(tab="runs", hurting=1), "Still hurting", hurting, f"{page.group.hurting:,}"),
        ),
        "all_href": runs_of(pk),
    }


def _rows(lines: tuple[RunLine, ...], page: GroupPage, equal: Sequence[int]) -> tuple[Row, ...]:
    """With their arguments beneath the title: what went wrong is the same in all of them."""
    if not lines:
        return ()
    found = []
    for at, row in enumerate(rows(lines, usual([page.group.task_name]))):
        more = f"{equal[at] - 1:,} more with equal arguments" if equal and equal[at] > 1 else ""
        words = ", ".join(part for part in (lines[at].arguments or "No arguments", more) if part)
        found.append(replace(row, line=words, trouble=False))
    return tuple(found)


def _audit(request: HttpRequest, page: GroupPage) -> dict[str, Any]:
    return {"audit": sentences(trail(page))}


_CONTENTS = {Tab.WHAT: _what, Tab.RUNS: _runs, Tab.AUDIT: _audit}
