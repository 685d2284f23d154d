"""The audit trail in the admin: a list to read, nothing to change."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from unfold.admin import ModelAdmin

from jobs.models import AuditEvent

from .access import SEE_AUDIT_REFUSED, VIEW_AUDIT, refuse_unless
from .audit_sentences import sentences
from .keyset import PER_PAGE, KeysetChangeList, NotAPosition, Position, link


@admin.register(AuditEvent)
class AuditEventAdmin(ModelAdmin):
    """Who did what to which object, when, from where, why."""

    change_list_template = "admin_ext/audit_list.html"
    actions = None
    list_display = ["verb"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: AuditEvent | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: AuditEvent | None = None) -> bool:
        return False

    def get_urls(self) -> list[URLPattern]:
        """The list alone."""
        return [path("", self.admin_site.admin_view(self.changelist_view), name="jobs_auditevent_changelist")]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeysetChangeList]:
        return KeysetChangeList

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        refuse_unless(request, VIEW_AUDIT, SEE_AUDIT_REFUSED)
        try:
            events, newer, older = _page(Position.of(request.GET))
        except NotAPosition:
            events, newer, older = _page(Position())
        context = {
            **(extra_context or {}),
            "sentences": sentences(events),
            "newest": events[0].at if events else None,
            "oldest": events[-1].at if events else None,
            "newer": link(after=events[0].pk) if events and newer else "",
            "older": link(before=events[-1].pk) if events and older else "",
            "title": "Audit",
            "crumbs": [("Audit", "")],
        }
        response: HttpResponse = super().changelist_view(request, context)
        return response


def _page(position: Position) -> tuple[list[AuditEvent], bool, bool]:
    """The events of one page, newest first, and whether there are newer and older ones."""
    found = AuditEvent.objects.order_by("-id")
    if position.after is not None:
        rows = list(found.filter(pk__gt=position.after).order_by("id")[: PER_PAGE + 1])
        return rows[:PER_PAGE][::-1], len(rows) > PER_PAGE, True
    if position.before is not None:
        found = found.filter(pk__lt=position.before)
    rows = list(found[: PER_PAGE + 1])
    return rows[:PER_PAGE], position.before is not None, len(rows) > PER_PAGE
