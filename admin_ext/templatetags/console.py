"""What the templates of the console need: chips, moments, people, addresses. Every value is escaped by the template."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import template
from django.contrib.admin.utils import quote
from django.template import RequestContext
from django.urls import reverse

from admin_ext import chips, words
from admin_ext.origin import Origin, origin_of
from jobs.catalog.registry import Job
from jobs.models import Run, RunFile

register = template.Library()

register.filter("duration", words.duration)
register.filter("file_size", words.file_size)
register.filter("value", words.value)
register.filter("initials", words.initials)


@register.inclusion_tag("admin_ext/parts/chip.html")
def run_chip(state: str, size: str = "") -> dict[str, Any]:
    """The chip of a run's state; `size="big"` beside a page title."""
    return {"chip": chips.run_chip(state), "big": size == "big"}


@register.inclusion_tag("admin_ext/parts/chip.html")
def attempt_chip(outcome: str) -> dict[str, Any]:
    """The chip of an attempt's outcome."""
    return {"chip": chips.attempt_chip(outcome)}


@register.inclusion_tag("admin_ext/parts/chip.html")
def audit_chip(outcome: str) -> dict[str, Any]:
    """The chip of an audit event's outcome."""
    return {"chip": chips.audit_chip(outcome)}


@register.inclusion_tag("admin_ext/parts/danger.html")
def danger(job: Job) -> dict[str, Any]:
    """The mark of a job that can do harm; nothing for any other."""
    return {"chip": chips.danger_chip(job.danger)}


@register.inclusion_tag("admin_ext/parts/icon.html")
def icon(name: str, tone: str = "", label: str = "") -> dict[str, str]:
    """A symbol: hidden from screen readers beside a word, an image with `label` where it stands alone."""
    return {"name": name, "tone": tone, "label": label}


@register.inclusion_tag("admin_ext/parts/moment.html")
def moment(at: datetime | None, style: str = "ago", unknown: str = "unknown") -> dict[str, Any]:
    """A point in time, relative ("ago") or by the clock ("clock"), with the exact one on demand."""
    text = words.clock(at) if style == "clock" else words.ago(at)
    return {"at": at, "text": text if at else unknown, "exact": words.exact(at)}


@register.inclusion_tag("admin_ext/parts/started_by.html", takes_context=True)
def started_by(context: RequestContext, run: Run) -> dict[str, Origin]:
    """Who or what asked for the run: initials or a symbol, and a name."""
    return {"origin": origin_of(run, _viewer_id(context))}


@register.simple_tag
def run_url(run: Run) -> str:
    """The address of the run's page."""
    return reverse("admin:jobs_run_change", args=[quote(run.task_id)])


@register.simple_tag
def run_file_url(run: Run, file: RunFile) -> str:
    """The address that downloads a file of the run."""
    return reverse("admin:jobs_run_file", args=[quote(run.task_id), file.pk])


@register.simple_tag(takes_context=True)
def origin(context: RequestContext, run: Run) -> Origin:
    """Who or what asked for the run, for a sentence."""
    return origin_of(run, _viewer_id(context))


def _viewer_id(context: RequestContext) -> int | None:
    return getattr(getattr(context.get("request"), "user", None), "pk", None)
