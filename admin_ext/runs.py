"""Runs in the admin: the list, and the addresses of every page about runs and jobs."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from unfold.admin import ModelAdmin

from jobs.models import Run

from .access import SEE_RUNS_REFUSED, VIEW_RUN, refuse_unless
from .jobs_page import JobsPage
from .keyset import KeysetChangeList
from .machinery import read_machinery
from .object_choice import search_objects
from .presets import DeletePreset, SavePreset
from .run_downloads import download_file, download_log, download_traceback
from .run_filters import panel_of
from .run_form import RunForm, TargetsFragment
from .run_list import run_list_page
from .run_list_views import export_view, may_open_schedules, new_runs
from .run_page import RunPageView, live_log, live_run
from .sidebar import remember_running


@admin.register(Run)
class RunAdmin(ModelAdmin):
    """Runs are looked at here and changed by verbs only: no add, no change, no delete, no bulk actions."""

    change_list_template = "admin_ext/run_list.html"
    actions = None
    list_display = ["task_id"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Run | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Run | None = None) -> bool:
        return False

    def get_urls(self) -> list[URLPattern]:
        """Only the pages that exist; Django's own add, delete and history addresses are left out."""
        wrap = self.admin_site.admin_view
        return [
            path("", wrap(self.changelist_view), name="jobs_run_changelist"),
            # Not wrapped: a sign-in page must not be swapped into the list that waits for new runs.
            path("new/", new_runs, name="jobs_run_new"),
            path("export/", wrap(export_view), name="jobs_run_export"),
            path("catalog/", wrap(JobsPage.as_view(model_admin=self)), name="jobs_catalog"),
            path("catalog/<path:name>/start/", wrap(RunForm.as_view(model_admin=self)), name="jobs_start"),
            path(
                "catalog/<path:name>/start/targets/",
                wrap(TargetsFragment.as_view(model_admin=self)),
                name="jobs_start_targets",
            ),
            path("catalog/<path:name>/start/objects/<str:field>/", wrap(search_objects), name="jobs_start_objects"),
            path("catalog/<path:name>/start/preset/", wrap(SavePreset.as_view(model_admin=self)), name="jobs_preset"),
            path(
                "catalog/<path:name>/start/preset/<int:pk>/delete/",
                wrap(DeletePreset.as_view(model_admin=self)),
                name="jobs_preset_delete",
            ),
            path("<path:object_id>/change/", wrap(RunPageView.as_view(model_admin=self)), name="jobs_run_change"),
            # Not wrapped: a sign-in page must not be swapped into the run that is being watched.
            path("<path:object_id>/live/", live_run, name="jobs_run_live"),
            path("<path:object_id>/log/", live_log, name="jobs_run_log"),
            path("<path:object_id>/log.txt", wrap(download_log), name="jobs_run_log_text"),
            path("<path:object_id>/traceback.txt", wrap(download_traceback), name="jobs_run_traceback"),
            path("<path:object_id>/files/<int:pk>/", wrap(download_file), name="jobs_run_file"),
        ]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeysetChangeList]:
        return KeysetChangeList

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        refuse_unless(request, VIEW_RUN, SEE_RUNS_REFUSED)
        page = run_list_page(request.GET, request.user.pk, link_schedules=may_open_schedules(request))
        if page.running is not None:
            remember_running(request, page.running)
        context = {
            **(extra_context or {}),
            "page": page,
            "panel": panel_of(page, read_machinery(request).fleet),
            "title": "Runs",
            "crumbs": [("Runs", "")],
        }
        response: HttpResponse = super().changelist_view(request, context)
        return response
