"""The audit trail in the admin: a list to read, nothing to change."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from unfold.admin import ModelAdmin

from admin_ext.parts.access import SEE_AUDIT_REFUSED, VIEW_AUDIT, refuse_unless, viewer_key, withheld_from
from admin_ext.parts.keyset import KeysetChangeList
from jobs.models import AuditEvent

from .listing import audit_list_page


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
        page = audit_list_page(request.GET, viewer_key(request), withheld_from(request))
        context = {**(extra_context or {}), "page": page, "title": "Audit", "crumbs": [("Audit", "")]}
        response: HttpResponse = super().changelist_view(request, context)
        return response
