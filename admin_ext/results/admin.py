"""What django-celery-results keeps, read-only, in place of its own pages."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.views.generic import TemplateView
from django_celery_results.models import GroupResult, TaskResult
from unfold.admin import ModelAdmin

from admin_ext.parts.access import SEE_RESULTS_REFUSED, VIEW_RESULT, ConsoleView, refuse_unless, why_withheld
from admin_ext.parts.keyset import KeysetChangeList

from .listing import group_list_page, result_list_page
from .page import group_page, result_page

for model in (TaskResult, GroupResult):
    admin.site.unregister(model)


class StoredAdmin(ModelAdmin):
    """Rows that nobody changes by hand: a list and a page of each."""

    actions = None
    page_view: type[TemplateView]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(VIEW_RESULT)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeysetChangeList]:
        return KeysetChangeList

    def get_urls(self) -> list[URLPattern]:
        """The list and the page alone."""
        wrap, name = self.admin_site.admin_view, self.opts.model_name
        page = self.page_view.as_view(model_admin=self)
        return [
            path("", wrap(self.changelist_view), name=f"django_celery_results_{name}_changelist"),
            path("<int:pk>/change/", wrap(page), name=f"django_celery_results_{name}_change"),
        ]


class StoredPage(ConsoleView):
    """`…/<row>/change/`: what is kept of one."""

    permission_required = VIEW_RESULT
    permission_denied_message = SEE_RESULTS_REFUSED
    http_method_names = ["get", "head", "options"]


class ResultPageView(StoredPage):
    title = "Stored result"
    template_name = "admin_ext/result_page.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        page = result_page(kwargs["pk"], lambda task: why_withheld(self.request, task))
        if page is None:
            raise Http404("No stored result has this number.")
        results = reverse("admin:django_celery_results_taskresult_changelist")
        crumbs = [("Stored results", results), (page.title, "")]
        return super().get_context_data(**kwargs, page=page, crumbs=crumbs)


class GroupPageView(StoredPage):
    title = "Stored group"
    template_name = "admin_ext/group_page.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        page = group_page(kwargs["pk"])
        if page is None:
            raise Http404("No stored group has this number.")
        groups = reverse("admin:django_celery_results_groupresult_changelist")
        crumbs = [("Stored groups", groups), (page.group.group_id, "")]
        return super().get_context_data(**kwargs, page=page, crumbs=crumbs)


@admin.register(TaskResult)
class TaskResultAdmin(StoredAdmin):
    """The stored results of tasks."""

    change_list_template = "admin_ext/result_list.html"
    list_display = ["task_id"]
    page_view = ResultPageView

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        refuse_unless(request, VIEW_RESULT, SEE_RESULTS_REFUSED)
        crumbs = [("Stored results", "")]
        context = {"page": result_list_page(request.GET), "title": "Stored results", "crumbs": crumbs}
        response: HttpResponse = super().changelist_view(request, {**(extra_context or {}), **context})
        return response


@admin.register(GroupResult)
class GroupResultAdmin(StoredAdmin):
    """The stored results of groups and chords."""

    change_list_template = "admin_ext/group_list.html"
    list_display = ["group_id"]
    page_view = GroupPageView

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        refuse_unless(request, VIEW_RESULT, SEE_RESULTS_REFUSED)
        crumbs = [("Stored results", reverse("admin:django_celery_results_taskresult_changelist")), ("Groups", "")]
        context = {"page": group_list_page(request.GET), "title": "Stored groups", "crumbs": crumbs}
        response: HttpResponse = super().changelist_view(request, {**(extra_context or {}), **context})
        return response
