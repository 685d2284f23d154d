"""Presets in the admin: the form's values kept under a name, and removed again."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from admin_ext.parts.access import person
from admin_ext.parts.asking import posted_nonce
from admin_ext.parts.not_taken import NOT_CHANGED, taken
from jobs.errors import InvalidArguments, NotPermitted
from jobs.ledger.audit import Subject
from jobs.ledger.presets import PresetTaken, delete_preset, save_preset, version_of
from jobs.ledger.verbs import SAVE_PRESET, require
from jobs.models import Preset

from .page import PRESET, JobFormView
from .sheet import Sheet, sent_sheet
from .sources import PRESETS

SAVED = "The form is filled from it."
#: The field of the button that replaces somebody else's preset: which of its versions was seen.
REPLACE = "oc.replace"


class SavePreset(JobFormView):
    """`…/start/preset/`: takes the same form as the start, checks it, and keeps its values.

    Where somebody else has a preset of that name it asks, and keeps nothing until the answer.
    """

    http_method_names = ["get", "post", "options"]
    taken: PresetTaken | None = None

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        if self.taken is not None:
            context |= {"preset_taken": self.taken, "replace_name": REPLACE, "seen": version_of(self.taken.preset)}
        return context

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return HttpResponseRedirect(self.address)  # the address in the bar after an error, opened again

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        job, name = self.job, request.POST.get(PRESET, "").strip()
        if job.parameters is None:
            raise Http404(f"{job.title} has no form.")
        actor = person(request)
        try:
            require(SAVE_PRESET, actor, Subject("job", job.name, job.title), job.permission)
        except NotPermitted as error:
            raise PermissionDenied(str(error)) from None
        sheet = sent_sheet(request, job, job.parameters)
        nonce = posted_nonce(request)
        return taken(lambda: self._save(sheet, name, nonce), lambda: self.page(sheet, NOT_CHANGED, nonce))

    def _save(self, sheet: Sheet, name: str, nonce: str) -> HttpResponse:
        job, actor = self.job, person(self.request)
        if not sheet.read():
            return self.page(sheet, sheet.summary("saved"), nonce)
        arguments = {key: value for key, value in (sheet.arguments or {}).items() if key != job.dry_run}
        try:
            preset = save_preset(job, name, arguments, actor=actor, replace=self.request.POST.get(REPLACE, ""))
        except PresetTaken as error:
            self.taken = error
            return self.page(sheet, "", nonce)
        except InvalidArguments as error:
            if "preset" in error.fields and "preset" not in sheet.form.fields:
                return self.page(sheet, f"Nothing was saved: {error.fields['preset']}", nonce)
            sheet.form.refuse(error.fields)
            return self.page(sheet, sheet.summary("saved"), nonce)
        messages.success(
            self.request, f"Saved as the preset {preset.name}, for everybody who may run {job.title}. {SAVED}"
        )
        query = urlencode({"preset": preset.pk, "tab": PRESETS})
        return HttpResponseRedirect(f"{reverse('admin:jobs_start', args=[job.name])}?{query}")


class DeletePreset(JobFormView):
    """`…/start/preset/<id>/delete/`: by POST only; the card asks first."""

    http_method_names = ["post", "options"]

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        preset = Preset.objects.filter(pk=kwargs["pk"], job=self.job.name).first()
        if preset is None:
            raise Http404(f"{self.job.title} has no such preset. It may have been deleted already.")
        back = f"{reverse('admin:jobs_start', args=[self.job.name])}?tab={PRESETS}"
        return taken(lambda: self._delete(preset, back), lambda: self._not_deleted(back))

    def _delete(self, preset: Preset, back: str) -> HttpResponse:
        try:
            delete_preset(preset, self.job, actor=person(self.request))
        except NotPermitted as error:
            raise PermissionDenied(str(error)) from None
        messages.success(self.request, f"The preset {preset.name} is deleted.")
        return HttpResponseRedirect(back)

    def _not_deleted(self, back: str) -> HttpResponse:
        messages.error(self.request, NOT_CHANGED)
        return HttpResponseRedirect(back)
