"""One sheet of a schedule's form: its name, its time, its job's parameters, and what they bring about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from admin_ext.form.clerk import Clerk
from admin_ext.form.fill import Fill, filled
from admin_ext.form.parameters import ParametersForm, labels_of_wrong, nothing_was
from admin_ext.parts.asking import CONFIRM, posted
from admin_ext.start.guard import why_not_confirmed
from jobs.catalog.fields import Kind
from jobs.catalog.registry import Danger, Job
from jobs.errors import InvalidArguments
from jobs.ledger.refill import refill
from jobs.ledger.start import why_not_startable
from jobs.schedules.drafts import Draft
from jobs.schedules.preview import Preview, preview
from jobs.schedules.spec import Every
from jobs.schedules.stored import Stored, anchor_of, aware

from .delivery import DeliveryForm
from .details import DetailsForm
from .fields import WhenForm, initial_of

KEEPS_SECRET = "Left empty: the stored one stays. Nobody sees it again."  # noqa: S105


@dataclass(slots=True)
class ScheduleSheet:
    """What one request shows or saves.

    Attributes:
        parameters: None for a job without a form; the schedule then keeps the arguments that it has.
        arguments: by parameter name, when all of them fit.
        foretold: None where the time cannot be told yet.
    """

    job: Job
    stored: Stored | None
    request: HttpRequest
    details: DetailsForm
    delivery: DeliveryForm
    when: WhenForm
    parameters: ParametersForm | None
    arguments: dict[str, Any] | None = None
    foretold: Preview | None = None
    confirm_error: str = ""
    gone: tuple[tuple[str, str], ...] = field(default=())

    @property
    def reason(self) -> str:
        return posted(self.request, "reason")

    @property
    def confirm(self) -> str:
        return posted(self.request, CONFIRM)

    @property
    def asks_to_confirm(self) -> bool:
        return self.job.danger is Danger.DANGER

    @property
    def leaves_out(self) -> list[str]:
        """Labels of the files that the job takes and a schedule cannot hold."""
        asked = self.job.parameters.fields if self.job.parameters else ()
        return [f.label for f in asked if f.kind is Kind.FILE]

    def read(self) -> bool:
        """Check what was sent; what does not fit stands beside its field. Whether everything fits."""
        fits = self.details.is_valid()
        fits &= self.delivery.is_valid()
        fits &= self.when.is_valid()
        self.foretell()
        if self.parameters is not None:
            fits &= self._read_parameters(self.parameters)
        return fits

    def foretell(self) -> None:
        """Compute the moments of the time that stands in the form."""
        now = timezone.now()
        plan = self.when.plan(now)
        self.foretold = preview(plan, now, zone=self.when.chosen_zone) if plan else None

    def _read_parameters(self, form: ParametersForm) -> bool:
        readable = form.is_valid()
        values = form.arguments()
        for name, kept in self._kept_secrets().items():
            if not values.get(name):
                values[name] = kept
        if not readable:
            form.refuse_others(values)
            return False
        if self.job.dry_run:
            values[self.job.dry_run] = False
        try:
            form.parameters.typed(values)
        except InvalidArguments as error:
            form.refuse(error.fields)
            return False
        self.arguments = values
        return True

    def _kept_secrets(self) -> dict[str, Any]:
        return kept_secrets(self.job, self.stored)

    def is_confirmed(self) -> bool:
        """Check what stands before a schedule of a dangerous job."""
        if self.asks_to_confirm:
            self.confirm_error = why_not_confirmed(self.job, self.confirm, None)
        return not self.confirm_error

    def draft(self) -> Draft:
        """What a sheet that was read and fits asks for."""
        assert self.when.spec is not None  # noqa: S101
        return Draft(
            name=self.details.cleaned_data["name"],
            job=self.job,
            spec=self.when.spec,
            arguments=self.arguments,
            description=self.details.cleaned_data["description"],
            start=self.when.start_at,
            until=self.when.until_at,
            enabled=self.details.cleaned_data["enabled"],
            queue=self.delivery.cleaned_data["queue"],
            priority=self.delivery.cleaned_data["priority"],
            expire_seconds=self.delivery.cleaned_data["expire_seconds"],
        )

    def refuse(self, errors: Mapping[str, str]) -> None:
        """Put what the domain said of the whole beside its fields."""
        for name, sentence in errors.items():
            if name in self.details.fields:
                self.details.add_error(name, sentence)
            elif name in self.delivery.fields:
                self.delivery.add_error(name, sentence)
            else:
                self.when.refuse({name: sentence})

    def summary(self) -> str:
        """What is to be corrected, in one sentence."""
        forms = [form for form in (self.details, self.parameters, self.delivery, self.when) if form is not None]
        wrong = [label for form in forms for label in labels_of_wrong(form)]
        if self.confirm_error:
            wrong.append("Confirmation")
        secret = bool(self.parameters and self.parameters.parameters.secrets)
        return nothing_was("saved", wrong, secret=secret)


def why_not_schedulable(job: Job) -> str:
    """Why a job cannot be scheduled at all; "" when it can."""
    if refusal := why_not_startable(job):
        return refusal
    if job.parameters is None:
        return f"It has no form: {job.why_not}"
    if any(field.kind is Kind.FILE and field.required for field in job.parameters.fields):
        return "It needs a file, and an upload belongs to one run: it is removed with it."
    return ""


def fresh_sheet(request: HttpRequest, job: Job, stored: Stored | None) -> ScheduleSheet:
    """The sheet before anybody types; nothing is saved."""
    sheet = _sheet(request, job, stored, None)
    if sheet.parameters is not None:
        sheet.parameters.point_out(sheet.parameters.fill.problems)
    trial = WhenForm({f"oc.{name}": value for name, value in sheet.when.initial.items()} | _zone(sheet.when))
    trial.is_valid()
    plan = trial.plan(timezone.now())
    sheet.foretold = preview(plan, timezone.now(), zone=trial.chosen_zone) if plan else None
    return sheet


def _zone(when: WhenForm) -> dict[str, Any]:
    return {"oc.zone": when.initial.get("zone") or when.fields["zone"].initial}


def sent_sheet(request: HttpRequest, job: Job, stored: Stored | None) -> ScheduleSheet:
    """The sheet as it was sent."""
    return _sheet(request, job, stored, request.POST)


def _sheet(request: HttpRequest, job: Job, stored: Stored | None, data: Any) -> ScheduleSheet:
    same = stored if stored is not None and stored.row.task == job.name else None
    form, gone = None, Fill().gone
    if job.parameters is not None:
        # An upload belongs to one run and is removed with it, so no schedule can hold one.
        hidden = {f.name for f in job.parameters.fields if f.kind is Kind.FILE} | (
            {job.dry_run} if job.dry_run else set()
        )
        fill = _fill(job, same) if same else Fill()
        gone = fill.gone
        form = ParametersForm(
            job.parameters, data, None if data is None else {}, fill=fill, clerk=Clerk(job, request), hidden=hidden
        )
        for name in kept_secrets(job, same):
            form.fields[name].required = False
            form.fields[name].help_text = KEEPS_SECRET
    return ScheduleSheet(
        job=job,
        stored=same,
        request=request,
        details=DetailsForm(data, initial=_details(job, stored)),
        delivery=DeliveryForm(job, data, same),
        when=WhenForm(data, initial=_time(stored)),
        parameters=form,
        gone=gone,
    )


def _details(job: Job, stored: Stored | None) -> dict[str, Any]:
    if stored is None:
        return {"name": job.title, "enabled": True}
    row = stored.row
    return {"name": row.name, "enabled": row.enabled, "description": row.description}


def _time(stored: Stored | None) -> dict[str, Any]:
    if stored is None:
        return initial_of(None, None, None)
    start = aware(stored.row.start_time)
    if start is None and isinstance(stored.spec, Every):
        start = anchor_of(stored.row).replace(microsecond=0)  # so that saving moves none of its moments
    return initial_of(stored.spec, start, aware(stored.row.expires))


def kept_secrets(job: Job, stored: Stored | None) -> dict[str, Any]:
    """The secrets that the schedule holds, encrypted, by parameter name."""
    if stored is None or job.parameters is None or stored.row.task != job.name:
        return {}
    return {name: stored.kwargs[name] for name in job.parameters.secrets if stored.kwargs and stored.kwargs.get(name)}


def _fill(job: Job, stored: Stored) -> Fill:
    """What the fields hold of the stored arguments; what they do not take any more is told."""
    parameters = job.parameters
    if parameters is None:
        return Fill()
    args, kwargs = stored.args or [], stored.kwargs or {}
    names = [f.name for f in parameters.fields]
    try:
        values = parameters.bind(args, kwargs)
    except InvalidArguments:
        values = {**dict(zip(names, args, strict=False)), **kwargs}
    return filled(job, parameters, refill(values, parameters))
