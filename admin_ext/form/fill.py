"""What a job's form is filled with before anybody types: a run, a preset, a link. What cannot be used is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from django.http import HttpRequest

from admin_ext.parts.access import VIEW_RUN, may, why_withheld
from admin_ext.parts.words import value as shown_value
from jobs.catalog.fields import Kind, Parameter
from jobs.catalog.parameters import Parameters
from jobs.catalog.registry import Job, job_title
from jobs.ledger.refill import Refill, refill, refill_from_run
from jobs.models import Preset, Run, RunObject
from jobs.pipeline.arguments import UnreadableArguments
from jobs.text import safe_text

from .upload import FILLED
from .values import Text, asked_for, page_text

LINK = "p."
RETRY = "retry"
#: A link that asks for more than so many things is no link that a person made.
MOST_LINKED = 200
_MANY = (Kind.LINES, Kind.OBJECTS)


@dataclass(frozen=True, slots=True)
class Fill:
    """What the fields hold at first.

    Attributes:
        texts: by parameter name, as the page writes it.
        exact: by parameter name, as plain JSON: what is sent when the field is not touched.
        run, preset: where it comes from; `linked` where some of it stands in the address.
        gone: names and values that will not be sent; `new`, `secrets`: labels of what is to be typed.
        problems: by parameter name, why an earlier value no longer fits.
        names: by parameter name, what objects were called when the run started, also those that are gone.
        remarks: sentences about parts of the address that were not used.
        refusal: why nothing could be filled in; "" where nothing was asked or all went well.
    """

    texts: Mapping[str, Text] = field(default_factory=dict)
    exact: Mapping[str, Any] = field(default_factory=dict)
    run: Run | None = None
    preset: Preset | None = None
    linked: bool = False
    gone: tuple[tuple[str, str], ...] = ()
    new: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    problems: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    refusal: str = ""

    @property
    def active(self) -> bool:
        return self.run is not None or self.preset is not None or self.linked


def read_fill(request: HttpRequest, job: Job, parameters: Parameters) -> Fill:
    """What the address asks for: `?from=<task id>`, `?retry=<task id>` or `?preset=<id>`, and `?p.<name>=<text>` on top
    of any."""
    fill = Fill()
    if task_id := request.GET.get(RETRY) or request.GET.get("from", ""):
        fill = _from_run(request, job, parameters, task_id)
    elif preset_id := request.GET.get("preset", ""):
        fill = _from_preset(job, parameters, preset_id)
    return _from_link(request, job, parameters, fill)


def _from_run(request: HttpRequest, job: Job, parameters: Parameters, task_id: str) -> Fill:
    if not may(request, VIEW_RUN):
        return Fill(refusal="Nothing was filled in: you may not see runs. Ask for the role Viewer.")
    run = Run.objects.filter(task_id=safe_text(task_id)[:255]).first()
    if run is None:
        return Fill(refusal="Nothing was filled in: that run is not kept any more, or its id was mistyped.")
    if run.task_name != job.name:
        other = job_title(run.task_name)
        return Fill(
            refusal=f"Nothing was filled in: run {run.short_id} is of another job, {other}, not of {job.title}."
        )
    if sentence := why_withheld(request, run.task_name):
        return Fill(refusal=f"Nothing was filled in. {sentence}")
    if not run.arguments_exact:
        return Fill(
            refusal=f"Nothing was filled in: the arguments of run {run.short_id} could not be kept exactly when it was "
            "published. Type them in."
        )
    try:
        found = filled(job, parameters, refill_from_run(run, parameters))
    except UnreadableArguments:
        return Fill(
            refusal=f"Nothing was filled in: the arguments that are kept of run {run.short_id} cannot be read. "
            "Type them in."
        )
    return replace(found, run=run, names=_names_then(run, parameters))


def _from_preset(job: Job, parameters: Parameters, preset_id: str) -> Fill:
    number = int(preset_id) if preset_id.isascii() and preset_id.isdigit() and len(preset_id) < 19 else 0
    preset = Preset.objects.filter(pk=number, job=job.name).first()
    if preset is None:
        return Fill(refusal=f"Nothing was filled in: {job.title} has no such preset. It may have been deleted.")
    return replace(filled(job, parameters, refill(preset.values, parameters)), preset=preset)


def filled(job: Job, parameters: Parameters, found: Refill) -> Fill:
    """The fields as an earlier act gave their values; the switch of a dry run is never part of it."""
    asked = {p.name: p for p in parameters.fields if p.name != job.dry_run}
    exact = {name: value for name, value in found.values.items() if name in asked}
    dry = {p.label for p in parameters.fields if p.name == job.dry_run}
    return Fill(
        texts={name: _text(asked[name], value) for name, value in exact.items()},
        exact=exact,
        gone=tuple((name, shown_value(value)) for name, value in found.gone),
        new=tuple(label for label in found.new if label not in dry and label not in found.secrets),
        secrets=found.secrets,
        problems={name: text for name, text in found.problems.items() if name in asked},
    )


def _text(parameter: Parameter, value: Any) -> Text:
    if parameter.kind is Kind.FILE:
        return FILLED if value else ""
    return page_text(asked_for(parameter, value), value)


def _names_then(run: Run, parameters: Parameters) -> dict[str, dict[str, str]]:
    wanted = {p.name: p.model._meta.label_lower for p in parameters.fields if p.model is not None}
    if not wanted:
        return {}
    kept = RunObject.objects.filter(run=run, model__in=set(wanted.values())).values_list("model", "key", "label")[:1000]
    return {name: {key: label for of, key, label in kept if of == model} for name, model in wanted.items()}


def _from_link(request: HttpRequest, job: Job, parameters: Parameters, fill: Fill) -> Fill:
    asked = {p.name: p for p in parameters.fields if p.name != job.dry_run}
    texts: dict[str, Text] = {}
    unknown, ignored = [], []
    for key in [key for key in request.GET if key.startswith(LINK)][:MOST_LINKED]:
        name = key.removeprefix(LINK)
        parameter = asked.get(name)
        if parameter is None:
            unknown.append(name[:100])
        elif parameter.kind in (Kind.SECRET, Kind.FILE):
            ignored.append(parameter.label)
        else:
            texts[name] = _linked(parameter, request.GET.getlist(key))
    remarks = []
    if unknown:
        many = len(unknown) > 1
        remarks.append(
            f"Not {'parameters' if many else 'a parameter'} of this job, and left out: {', '.join(unknown)}."
        )
    if ignored:
        remarks.append(f"A link cannot fill in secrets and files: {', '.join(ignored)} must be given by hand.")
    if not texts and not remarks:
        return fill
    return replace(
        fill,
        texts={**fill.texts, **texts},
        exact={name: value for name, value in fill.exact.items() if name not in texts},
        problems={name: text for name, text in fill.problems.items() if name not in texts},
        linked=bool(texts),
        remarks=tuple(remarks),
    )


def _linked(parameter: Parameter, given: list[str]) -> Text:
    if parameter.kind is Kind.CHOICES:
        return given
    if parameter.kind in _MANY:
        return "\n".join(given)
    text = given[-1]
    if parameter.kind is Kind.SWITCH:
        on = text.strip().lower() in {"on", "true", "yes", "1"}
        if parameter.nullable:
            return "" if not text else "yes" if on else "no"
        return "on" if on else ""
    return text.replace("\r\n", "\n")
