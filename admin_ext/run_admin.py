"""Runs in the admin: the list, and the addresses of every page about runs and jobs."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from unfold.admin import ModelAdmin

from admin_ext.acts.cancel import CancelView
from admin_ext.acts.retry import RetryView
from admin_ext.form.objects import search_objects
from admin_ext.frame.machinery import read_machinery
from admin_ext.frame.sidebar import remember_failures, remember_running
from admin_ext.overview.views import live_overview, snooze_trouble
from admin_ext.parts.access import SEE_RUNS_REFUSED, VIEW_RUN, refuse_unless, viewer_key, withheld_from
from admin_ext.parts.keyset import KeysetChangeList
from admin_ext.parts.signed_out import wrapper_of
from admin_ext.queues.listing import QueuesPage, live_queues, named_queue
from admin_ext.queues.page import QueuePageView, live_queue
from admin_ext.queues.purge import PurgeQueue
from admin_ext.run.compare import CompareView
from admin_ext.run.downloads import download_file, download_log, download_traceback, frame_file
from admin_ext.run.page import RunPageView, live_log, live_run
from admin_ext.runs.filters import panel_of
from admin_ext.runs.listing import run_list_page
from admin_ext.runs.views import export_view, may_open_schedules, new_runs
from admin_ext.set_aside.listing import DeadLetters
from admin_ext.set_aside.message_verbs import DiscardMessages, PutBack
from admin_ext.set_aside.messages import Messages
from admin_ext.set_aside.verbs import Discard, ReadAgain
from admin_ext.start.catalog import JobsPage
from admin_ext.start.page import RunForm, TargetsFragment
from admin_ext.start.presets import DeletePreset, SavePreset
from admin_ext.workers.listing import WorkersPage, live_workers
from admin_ext.workers.page import WorkerPageView, live_worker, named_worker
from admin_ext.workers.verbs import AskWorker
from jobs.models import Run


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
        wrap = wrapper_of(self.admin_site)
        return [
            path("", wrap(self.changelist_view), name="jobs_run_changelist"),
            # Not wrapped: a sign-in page must not be swapped into the list that waits for new runs.
            path("new/", new_runs, name="jobs_run_new"),
            path("export/", wrap(export_view), name="jobs_run_export"),
            # Not wrapped: a sign-in page must not be swapped into what is being watched.
            path("overview/live/", live_overview, name="jobs_overview_live"),
            path("overview/snooze/", wrap(snooze_trouble), name="jobs_overview_snooze"),
            path("queues/", wrap(QueuesPage.as_view(model_admin=self)), name="jobs_queues"),
            # Not wrapped: a sign-in page must not be swapped into what is being watched.
            path("queues/live/", live_queues, name="jobs_queues_live"),
            path("queues/queue/", wrap(QueuePageView.as_view(model_admin=self)), name="jobs_queue"),
            path("queues/queue/live/", live_queue, name="jobs_queue_live"),
            path("queues/queue/purge/", wrap(PurgeQueue.as_view(model_admin=self)), name="jobs_queue_purge"),
            # After the addresses that are ours: a queue of such a name is reached from the list.
            path("queues/<path:name>/", wrap(named_queue), name="jobs_queue_named"),
            path("workers/", wrap(WorkersPage.as_view(model_admin=self)), name="jobs_workers"),
            # Not wrapped: a sign-in page must not be swapped into what is being watched.
            path("workers/live/", live_workers, name="jobs_workers_live"),
            path("workers/worker/", wrap(WorkerPageView.as_view(model_admin=self)), name="jobs_worker"),
            path("workers/worker/live/", live_worker, name="jobs_worker_live"),
            path("workers/worker/ask/", wrap(AskWorker.as_view(model_admin=self)), name="jobs_worker_ask"),
            path("workers/<path:name>/", wrap(named_worker), name="jobs_worker_named"),
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
            path("set-aside/", wrap(DeadLetters.as_view(model_admin=self)), name="jobs_facts_set_aside"),
            path("set-aside/read/", wrap(ReadAgain.as_view(model_admin=self)), name="jobs_facts_read_again"),
            path("set-aside/discard/", wrap(Discard.as_view(model_admin=self)), name="jobs_facts_discard"),
            path("set-aside/messages/", wrap(Messages.as_view(model_admin=self)), name="jobs_messages_set_aside"),
            path("set-aside/messages/back/", wrap(PutBack.as_view(model_admin=self)), name="jobs_messages_put_back"),
            path(
                "set-aside/messages/discard/",
                wrap(DiscardMessages.as_view(model_admin=self)),
                name="jobs_messages_discard",
            ),
            path("<path:object_id>/change/", wrap(RunPageView.as_view(model_admin=self)), name="jobs_run_change"),
            path("<path:object_id>/cancel/", wrap(CancelView.as_view(model_admin=self)), name="jobs_run_cancel"),
            path("<path:object_id>/compare/", wrap(CompareView.as_view(model_admin=self)), name="jobs_run_compare"),
            path("<path:object_id>/retry/", wrap(RetryView.as_view(model_admin=self)), name="jobs_run_retry"),
            # Not wrapped: a sign-in page must not be swapped into the run that is being watched.
            path("<path:object_id>/live/", live_run, name="jobs_run_live"),
            path("<path:object_id>/log/", live_log, name="jobs_run_log"),
            path("<path:object_id>/log.txt", wrap(download_log), name="jobs_run_log_text"),
            path("<path:object_id>/traceback.txt", wrap(download_traceback), name="jobs_run_traceback"),
            path("<path:object_id>/files/<int:pk>/", wrap(download_file), name="jobs_run_file"),
            path("<path:object_id>/files/<int:pk>/page/", wrap(frame_file), name="jobs_run_page"),
        ]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeysetChangeList]:
        return KeysetChangeList

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        refuse_unless(request, VIEW_RUN, SEE_RUNS_REFUSED)
        page = run_list_page(
            request.GET, viewer_key(request), withheld_from(request), link_schedules=may_open_schedules(request)
        )
        if page.running is not None:
            remember_running(request, page.running)
        if page.needing_action is not None:
            remember_failures(request, page.needing_action)
        context = {
            **(extra_context or {}),
            "page": page,
            "panel": panel_of(page, read_machinery(request).fleet),
            "title": "Runs",
            "crumbs": [("Runs", "")],
        }
        response: HttpResponse = super().changelist_view(request, context)
        return response
