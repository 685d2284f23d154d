"""One sheet of a job's form: the fields, the wishes, what they were filled from, and what the values bring about."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.http import HttpRequest, QueryDict

from admin_ext.form.clerk import Clerk
from admin_ext.form.fill import RETRY, Fill, read_fill
from admin_ext.form.parameters import ParametersForm, labels_of_wrong, nothing_was
from admin_ext.form.upload import UploadField
from admin_ext.parts.asking import CONFIRM, posted
from jobs.catalog.parameters import Parameters
from jobs.catalog.registry import Danger, Job, RetrySafety
from jobs.catalog.routing import NoRoute, depends_on_arguments, route
from jobs.errors import InvalidArguments

from .guard import Guard, guard_of, why_not_confirmed
from .will_happen import Touched, touched
from .wishes import WishForm


@dataclass(slots=True)
class Sheet:
    """What one request shows or sends.

    Attributes:
        arguments: by parameter name, when all of them fit; None else.
        missing: labels of what does not fit yet.
        touched: what a run with these values would touch; None where the job cannot tell, or they do not fit.
        confirm_error: what is wrong with the typed confirmation.
    """

    job: Job
    parameters: Parameters
    request: HttpRequest
    fill: Fill
    form: ParametersForm
    wishes: WishForm
    arguments: dict[str, Any] | None = None
    missing: tuple[str, ...] = ()
    touched: Touched | None = None
    guard: Guard = field(default_factory=lambda: Guard(False, None, False))
    confirm_error: str = ""

    @property
    def reason(self) -> str:
        return posted(self.request, "reason")

    @property
    def confirm(self) -> str:
        return posted(self.request, CONFIRM)

    @property
    def asks_to_confirm(self) -> bool:
        return self.job.danger is Danger.DANGER or (self.retries and self.job.retry is RetrySafety.NEVER)

    @property
    def retries(self) -> bool:
        """Whether what it starts is the retry of a run."""
        return bool(self.request.GET.get(RETRY))

    @property
    def queue(self) -> str:
        """Where a run with these values goes; "" where nobody can tell."""
        chosen = self.wishes.queue
        if chosen != self.wishes.usual or self.arguments is None or not depends_on_arguments():
            return chosen
        try:
            call = self.parameters.to_json(self.arguments)
            return route(self.job.name, call.args, call.kwargs).queue
        except (InvalidArguments, NoRoute):
            return ""

    @property
    def tells_targets(self) -> bool:
        """Whether the job can tell what it would touch. A template must not ask for the function: it would call it."""
        return self.job.targets is not None

    @property
    def watched(self) -> bool:
        """Whether what will happen depends on the values."""
        return self.tells_targets or bool(self.job.dry_run)

    def read(self) -> bool:
        """Check what was sent; what does not fit stands beside its field. Whether everything fits."""
        if self.form.is_valid():
            values = self.form.arguments()
            if self.job.dry_run:
                values[self.job.dry_run] = False
            try:
                typed = self.parameters.typed(values)
            except InvalidArguments as error:
                self.form.refuse(error.fields)
            else:
                self.arguments = values
                self.touched = touched(self.job, typed)
        else:
            self.form.refuse_others()
        self.missing = tuple(labels_of_wrong(self.form))
        self.guard = guard_of(self.job, self.arguments)
        return self.arguments is not None

    def may_run_for_real(self) -> bool:
        """Check what stands before a dangerous run, once the values were read."""
        if self.asks_to_confirm:
            self.confirm_error = why_not_confirmed(self.job, self.confirm, self.touched)
        return not (self.guard.closed or self.confirm_error)

    def summary(self, verb: str = "started") -> str:
        """What is to be corrected, in one sentence."""
        wrong = [*labels_of_wrong(self.form), *labels_of_wrong(self.wishes)]
        if self.confirm_error:
            wrong.append("Confirmation")
        return nothing_was(verb, wrong, secret=bool(self.parameters.secrets), why=self.guard.why)


def fresh_sheet(request: HttpRequest, job: Job, parameters: Parameters) -> Sheet:
    """The sheet that an address asks for: nothing is sent yet, and nothing is changed."""
    sheet = _sheet(request, job, parameters, None, None)
    sheet.wishes = WishForm(job, like=sheet.fill.run)
    # What would happen if it were sent as it stands; only what the address itself brought is told to be wrong.
    trial = _sheet(request, job, parameters, _as_sent(sheet.form), {})
    trial.read()
    sheet.arguments, sheet.missing, sheet.touched, sheet.guard = (
        trial.arguments,
        trial.missing,
        trial.touched,
        trial.guard,
    )
    sheet.form.point_out(sheet.fill.problems)
    linked = sheet.fill.texts.keys() - sheet.fill.exact.keys()
    sheet.form.point_out({name: str(errors[0]) for name, errors in trial.form.errors.items() if name in linked})
    return sheet


def sent_sheet(request: HttpRequest, job: Job, parameters: Parameters, *, files: bool = True) -> Sheet:
    """The sheet as it was sent; `files` False where nothing may be kept."""
    return _sheet(request, job, parameters, request.POST, request.FILES if files else {})


def _sheet(request: HttpRequest, job: Job, parameters: Parameters, data: Any, files: Any) -> Sheet:
    fill = read_fill(request, job, parameters)
    hidden = {job.dry_run} if job.dry_run else set()
    form = ParametersForm(parameters, data, files, fill=fill, clerk=Clerk(job, request), hidden=hidden)
    return Sheet(job, parameters, request, fill, form, WishForm(job, data))


def _as_sent(form: ParametersForm) -> QueryDict:
    """What a browser would send if nobody touched the form."""
    data = QueryDict(mutable=True)
    for name, one in form.fields.items():
        text, html_name = form.text(name), form.add_prefix(name)
        if isinstance(text, list):
            data.setlist(html_name, text)
        elif isinstance(one, UploadField):
            data[f"oc.kept.{html_name}"] = text
        elif text or not isinstance(one, forms.BooleanField):
            data[html_name] = text
    return data
