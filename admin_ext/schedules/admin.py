"""Schedules in the admin: the list, and the addresses of every page about them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django_celery_beat.models import PeriodicTask
from unfold.admin import ModelAdmin

from admin_ext.parts.access import SEE_SCHEDULES_REFUSED, VIEW_SCHEDULE, refuse_unless
from admin_ext.parts.keyset import KeysetChangeList
from admin_ext.parts.signed_out import wrapper_of

from .form import AddSchedule, ChangeSchedule, moments
from .listing import schedule_list_page
from .verbs import DeleteSchedule, RunSchedule, switch

NAME = "django_celery_beat_periodictask"


class ScheduleAdmin(ModelAdmin):
    """Every change goes through a verb: no inline form, no bulk action, none of a message's delivery options."""

    change_list_template = "admin_ext/schedules/list.html"
    actions = None
    list_display = ["name"]

    def get_urls(self) -> list[URLPattern]:
        """The usual names, so that whatever links to a schedule finds it."""
        wrap = wrapper_of(self.admin_site)
        return [
            path("", wrap(self.changelist_view), name=f"{NAME}_changelist"),
            path("add/", wrap(AddSchedule.as_view(model_admin=self)), name=f"{NAME}_add"),
            path("moments/", wrap(moments), name=f"{NAME}_moments"),
            path("<int:pk>/change/", wrap(ChangeSchedule.as_view(model_admin=self)), name=f"{NAME}_change"),
            path("<int:pk>/switch/", wrap(switch), name=f"{NAME}_switch"),
            path("<int:pk>/run/", wrap(RunSchedule.as_view(model_admin=self)), name=f"{NAME}_run"),
            path("<int:pk>/delete/", wrap(DeleteSchedule.as_view(model_admin=self)), name=f"{NAME}_delete"),
        ]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeysetChangeList]:
        return KeysetChangeList

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        refuse_unless(request, VIEW_SCHEDULE, SEE_SCHEDULES_REFUSED)
        context = {
            **(extra_context or {}),
            "page": schedule_list_page(request),
            "title": "Schedules",
            "crumbs": [("Schedules", "")],
        }
        response: HttpResponse = super().changelist_view(request, context)
        return response


def register() -> None:
    """Take the place of the stock pages; called once those are taken off."""
    admin.site.register(PeriodicTask, ScheduleAdmin)
