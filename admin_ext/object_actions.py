"""One line for any ModelAdmin: its list runs jobs on the selected objects, its change page shows an object's runs.

`class CustomerAdmin(RunJobsMixin, ModelAdmin)` is all that it takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IS_POPUP_VAR
from django.core.checks import CheckMessage, Error
from django.core.exceptions import BadRequest, PermissionDenied, ValidationError
from django.db.models import Model
from django.http import HttpRequest, HttpResponse

from admin_ext.objects.page import Fit, run_on_objects
from admin_ext.parts.access import VIEW_RUN, may, person, withheld_from
from admin_ext.parts.rows import rows
from jobs.catalog.fields import Kind
from jobs.catalog.registry import Job, declared_jobs, derived_jobs, find_job
from jobs.errors import NotPermitted, UnknownJob
from jobs.ledger.audit import Subject
from jobs.ledger.lists import runs_of_object
from jobs.ledger.verbs import START_RUN, require

#: Begins the name of each action, so that no action of the ModelAdmin itself is taken for one.
ACTION = "run:"
RUNS_SHOWN = 10


class RunJobsMixin(admin.ModelAdmin):
    """Comes before the ModelAdmin that it extends: Unfold's or Django's own.

    Each job with exactly one parameter for objects of the model becomes an action of the list, for people who may run
    that job. `actions = None` turns these off as well.

    Attributes:
        run_jobs: names of the jobs to offer; None offers all that fit.
    """

    run_jobs: Sequence[str] | None = None
    # A plain ModelAdmin is drawn by Unfold's templates too, and they look this up on whatever admin there is.
    change_form_outer_after_template = "admin_ext/object_runs.html"

    def get_actions(self, request: HttpRequest, action_location: Any = None) -> dict[str, Any]:
        """The ModelAdmin's own actions, and on the list one for each job that the person may run.

        Django has `action_location` from 6.1 on: without it a form would lose the actions that the project gives it.
        """
        parent: Any = super()
        actions: dict[str, Any] = parent.get_actions(request, *([] if action_location is None else [action_location]))
        on_list = action_location is None or action_location.name == "CHANGE_LIST"
        if self.actions is None or IS_POPUP_VAR in request.GET or not on_list:
            return actions
        for fit in self._fitting():
            if may(request, START_RUN.permission) and may(request, fit.job.permission):
                name = ACTION + fit.job.name
                # Django formats the description with the model's names.
                actions[name] = (partial(run_on_objects, fit), name, f"Run {fit.job.title.replace('%', '%%')}…")
        return actions

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list; whoever posts an action that Django would not have offered is refused, and the trail says so."""
        if request.method == "POST":
            self._guard(request)
        response: HttpResponse = super().changelist_view(request, extra_context)
        return response

    def _guard(self, request: HttpRequest) -> None:
        asked = set(request.POST.getlist("action"))
        fits = [fit for fit in self._fitting() if ACTION + fit.job.name in asked]
        for job in (fit.job for fit in fits):
            try:
                require(START_RUN, person(request), Subject("job", job.name, job.title), job.permission)
            except NotPermitted as error:
                raise PermissionDenied(str(error)) from None
        if fits and request.POST.get("select_across", "0") in ("", "0"):
            for key in request.POST.getlist(ACTION_CHECKBOX_NAME):
                if not _is_key(self.model, key):
                    raise BadRequest("What is selected has no such key.")

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        """The change page with the last runs of the object, for people who may see runs."""
        if obj is not None and may(request, VIEW_RUN):
            context["object_runs"] = rows(runs_of_object(obj, limit=RUNS_SHOWN, withheld=withheld_from(request)))
        return super().render_change_form(request, context, add, change, form_url, obj)

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        """Django's checks, and that each job in `run_jobs` exists and fits."""
        found: list[CheckMessage] = super().check(**kwargs)
        fitting = {fit.job.name for fit in self._fitting()}
        for name in self.run_jobs or ():
            if name not in fitting:
                model = self.opts.object_name
                found.append(
                    Error(
                        f"run_jobs names {name}, which is no job with exactly one parameter for {model}.",
                        hint=f"Give it one parameter with the hint {model} or list[{model}], or take the name out.",
                        obj=type(self),
                        id="admin_ext.E001",
                    )
                )
        return found

    def _fitting(self) -> list[Fit]:
        return [fit for job in self._offered() if (fit := _fit(job, self.model)) is not None]

    def _offered(self) -> list[Job]:
        if self.run_jobs is None:
            return [*declared_jobs(), *derived_jobs()]
        found = []
        for name in self.run_jobs:
            try:
                found.append(find_job(name))
            except UnknownJob:
                continue  # the system check tells; a renamed job must not take the whole list away
        return found


def _is_key(model: type[Model], text: str) -> bool:
    key = model._meta.pk
    if key is None or "\0" in text:
        return False
    try:
        key.run_validators(key.to_python(text))
    except ValidationError:
        return False
    return True


def _fit(job: Job, model: type[Model]) -> Fit | None:
    """The job with its one parameter for objects of `model`; None when it has none, several, or asks for a file too."""
    if job.parameters is None or any(field.kind is Kind.FILE for field in job.parameters.fields):
        return None
    fitting = [f for f in job.parameters.fields if f.model is model and f.kind in (Kind.OBJECT, Kind.OBJECTS)]
    return Fit(job, job.parameters, fitting[0]) if len(fitting) == 1 else None
