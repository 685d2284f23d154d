"""Failures in the admin: the list of groups by what needs action, and the addresses of every page about them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from unfold.admin import ModelAdmin

from admin_ext.frame.sidebar import remember_failures, remember_running
from admin_ext.parts.access import SEE_RUNS_REFUSED, VIEW_RUN, refuse_unless, withheld_from
from admin_ext.parts.chips import FAILURE, Chip
from admin_ext.parts.keyset import PER_PAGE, KeysetChangeList, link
from admin_ext.parts.places import place
from admin_ext.parts.signed_out import wrapper_of
from admin_ext.parts.words import ago, capped, clock, plural
from admin_ext.run.tabs import TabLink
from jobs.catalog.registry import job_title
from jobs.failures import lists
from jobs.failures.lists import CAP, GroupLine, Status, View, group_slice
from jobs.models import FailureGroup

from .group import LIST, GroupPageView
from .numbers import Number, Window, numbers_of, outline, windows_of
from .retry_many import RetryGroup
from .retrying import StopRetry
from .verbs import ReopenGroup, ResolveGroup, SnoozeGroup, write_note

NAME = "jobs_failuregroup"
#: The small picture of seven days: its height, how far its bars are from each other, and how wide each is.
HEIGHT, STEP, WIDTH = 24, 4, 2.9
_TABS = {
    View.ACTION: "Needs action",
    View.HEALED: "Healed",
    View.SNOOZED: "Snoozed",
    View.RESOLVED: "Resolved",
    View.ALL: "All",
}


@dataclass(frozen=True, slots=True)
class FailureRow:
    """A group of the list.

    Attributes:
        bars: the picture of seven days, a path of SVG.
        said: the message of its newest run.
        when: what the state has to say besides: until when it is snoozed, who resolved it.
    """

    group: FailureGroup
    href: str
    chip: Chip
    job: str
    said: str
    bars: str
    bars_words: str
    numbers: tuple[Number, ...]
    hurting: str
    when: str


@dataclass(frozen=True, slots=True)
class FailuresPage:
    """Everything that the list shows.

    Attributes:
        empty: fact, reason, address and words of the way on, where there is no row.
    """

    tabs: tuple[TabLink, ...]
    rows: tuple[FailureRow, ...]
    newer: str
    older: str
    first: int
    matching: str
    empty: tuple[str, str, str, str] | None
    view: View

    @property
    def last(self) -> int:
        return self.first + len(self.rows) - 1


@admin.register(FailureGroup)
class FailureAdmin(ModelAdmin):
    """Groups are made by the recorder and changed by verbs only."""

    change_list_template = "admin_ext/failures/list.html"
    actions = None
    list_display = ["fingerprint"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: FailureGroup | None = None) -> bool:
        return request.user.has_perm(VIEW_RUN)

    def has_change_permission(self, request: HttpRequest, obj: FailureGroup | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: FailureGroup | None = None) -> bool:
        return False

    def get_urls(self) -> list[URLPattern]:
        """Only the pages that exist."""
        wrap = wrapper_of(self.admin_site)
        return [
            path("", wrap(self.changelist_view), name=f"{NAME}_changelist"),
            path("<int:pk>/change/", wrap(GroupPageView.as_view(model_admin=self)), name=f"{NAME}_change"),
            path("<int:pk>/retry/", wrap(RetryGroup.as_view(model_admin=self)), name=f"{NAME}_retry"),
            path("<int:pk>/retry/stop/", wrap(StopRetry.as_view(model_admin=self)), name=f"{NAME}_stop_retry"),
            path("<int:pk>/snooze/", wrap(SnoozeGroup.as_view(model_admin=self)), name=f"{NAME}_snooze"),
            path("<int:pk>/resolve/", wrap(ResolveGroup.as_view(model_admin=self)), name=f"{NAME}_resolve"),
            path("<int:pk>/reopen/", wrap(ReopenGroup.as_view(model_admin=self)), name=f"{NAME}_reopen"),
            path("<int:pk>/note/", wrap(write_note), name=f"{NAME}_note"),
        ]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeysetChangeList]:
        return KeysetChangeList

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        refuse_unless(request, VIEW_RUN, SEE_RUNS_REFUSED)
        context = {
            **(extra_context or {}),
            "page": failures_page(request),
            "title": "Failures",
            "crumbs": [("Failures", "")],
        }
        response: HttpResponse = super().changelist_view(request, context)
        return response


def failures_page(request: HttpRequest) -> FailuresPage:
    """Read the tab and the page that the address asks for. Three statements, two more where there is nothing."""
    asked = request.GET.get("view", "")
    view = View(asked) if asked in set(View) else View.ACTION
    now = timezone.now()
    number = _page_number(request.GET.get("page", ""))
    found = group_slice(view, number=number, per_page=PER_PAGE, now=now, withheld=withheld_from(request))
    remember_failures(request, found.counts[View.ACTION])
    remember_running(request, found.running)
    name = "" if view is View.ACTION else view.value
    windows = windows_of(found.lines[0].pace) if found.lines else ()
    return FailuresPage(
        tabs=tuple(
            TabLink(
                word,
                link(view="" if one is View.ACTION else one.value),
                "" if one is View.ALL else capped(found.counts[one], CAP),
                one is view,
            )
            for one, word in _TABS.items()
        ),
        rows=tuple(_row(line, now, windows) for line in found.lines),
        newer=link(view=name, page=number) if number else "",
        older=link(view=name, page=number + 2) if found.matching > (number + 1) * PER_PAGE else "",
        first=number * PER_PAGE + 1,
        matching=f"{found.matching:,}" + ("+" if found.more else ""),
        empty=None if found.lines else _empty(view, found.counts, now),
        view=view,
    )


def _row(line: GroupLine, now: datetime, windows: tuple[Window, ...]) -> FailureRow:
    group = line.group
    return FailureRow(
        group=group,
        href=f"{place(LIST)}{group.pk}/change/",
        chip=FAILURE[line.status],
        job=job_title(group.task_name),
        said=f"different messages, the last one: {group.message}" if group.varied else group.message,
        bars=outline(line.pace.bars, HEIGHT, step=STEP, width=WIDTH),
        bars_words=f"{plural(line.pace.week, 'failure')} in 7 days",
        numbers=numbers_of(group.pk, line.pace, windows),
        hurting=f"{group.hurting:,}",
        when=_when(group, line.status, now),
    )


def _when(group: FailureGroup, status: Status, now: datetime) -> str:
    if status is Status.SNOOZED:
        return f"until {clock(group.snoozed_until)}, by {group.decided_by}"
    if status is Status.RESOLVED:
        return f"by {group.decided_by} {ago(group.decided_at, now)}"
    if status is Status.HEALED:
        return f"{ago(group.healed_at, now)}" if group.healed_at else ""
    return ""


def _empty(view: View, counts: dict[View, int], now: datetime) -> tuple[str, str, str, str]:
    last = lists.last_failed()
    if last is None:
        return "Nothing has failed yet", "Failed runs that are alike appear here as one group.", "", ""
    if view is not View.ACTION:
        word = {View.HEALED: "healed", View.SNOOZED: "snoozed", View.RESOLVED: "resolved"}.get(view, "")
        return f"No group is {word}", "What needs action is under the first tab.", "?", "What needs action"
    proof = "and a later run healed it" if not last.hurting else f"and it is {last.state}"
    reason = f"The last failed run was {ago(last.last_seen, now)}, {job_title(last.task_name)}, {proof}."
    if counts[View.SNOOZED] and (wakes := lists.next_awake(now)):
        reason += (
            f" {plural(counts[View.SNOOZED], 'group is', 'groups are')} snoozed; the next one wakes {clock(wakes)}."
        )
        return "No failure needs action", reason, link(view=View.SNOOZED.value), "Snoozed groups"
    return "No failure needs action", reason, reverse("admin:jobs_run_changelist") + "?state=failed", "All failed runs"


def _page_number(text: str) -> int:
    """Counted from 0."""
    return max(int(text) - 1, 0) if text.isascii() and text.isdigit() and len(text) < 4 else 0
