"""What the templates of the console need: chips, moments, people, addresses. Every value is escaped by the template."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import cache, lru_cache
from typing import Any

from django import template
from django.contrib.admin.utils import quote
from django.template import RequestContext
from django.urls import reverse
from django.utils.html import format_html, format_html_join

from admin_ext.parts import chips, words
from admin_ext.parts.access import viewer_key
from admin_ext.parts.origin import Origin, origin_of
from admin_ext.parts.places import place
from admin_ext.parts.rows import Row
from jobs.catalog import routing
from jobs.catalog.registry import Job
from jobs.models import Run, RunFile

register = template.Library()

register.filter("duration", words.duration)
register.filter("file_size", words.file_size)
register.filter("value", words.value)
register.filter("initials", words.initials)


# The small parts of which a list has hundreds are made here and not by templates of their own: those took a quarter of
# the time of a page of runs.


@register.simple_tag
@cache
def chip(one: chips.Chip, big: bool = False) -> str:
    """A state as symbol and word."""
    return format_html(
        '<span class="oc-chip oc-chip--{}{}">'
        '<span class="material-symbols-outlined oc-chip__icon{}" aria-hidden="true">{}</span>{}</span>',
        one.tone,
        " oc-chip--big" if big else "",
        " oc-turns" if one.icon == "progress_activity" else "",
        one.icon,
        one.word,
    )


@register.simple_tag
def run_chip(state: str, size: str = "") -> str:
    """The chip of a run's state; `size="big"` beside a page title."""
    return chip(chips.run_chip(state), size == "big")


@register.simple_tag
def attempt_chip(outcome: str) -> str:
    """The chip of an attempt's outcome."""
    return chip(chips.attempt_chip(outcome))


@register.simple_tag
def audit_chip(outcome: str) -> str:
    """The chip of an audit event's outcome."""
    return chip(chips.audit_chip(outcome))


@register.inclusion_tag("admin_ext/parts/danger.html")
def danger(job: Job) -> dict[str, Any]:
    """The mark of a job that can do harm; nothing for any other."""
    return {"chip": chips.danger_chip(job.danger)}


@register.simple_tag
def usual_queue(job: Job) -> str:
    """Where its runs go, as far as that does not depend on their arguments."""
    return routing.usual_queue(job.name)


@register.simple_tag
def icon(name: str, tone: str = "", label: str = "") -> str:
    """A symbol: hidden from screen readers beside a word, an image with `label` where it stands alone."""
    tinted = f" oc-text--{tone}" if tone else ""
    if label:
        shown = '<span class="material-symbols-outlined oc-icon{}" role="img" aria-label="{}">{}</span>'
        return format_html(shown, tinted, label, name)
    return format_html('<span class="material-symbols-outlined oc-icon{}" aria-hidden="true">{}</span>', tinted, name)


@register.filter
def number(value: int | str) -> str:
    """`1,237` for 1237; what is in words already stays."""
    return f"{value:,}" if isinstance(value, int) else value


@register.simple_tag
def options(offered: Iterable[tuple[str, str]], chosen: str) -> str:
    """What a select offers, value and words of each."""
    each = ((value, " selected" if value == chosen else "", shown) for value, shown in offered)
    return format_html_join("", '<option value="{}"{}>{}</option>', each)


@register.simple_tag
def moment(at: datetime | None, style: str = "ago", unknown: str = "unknown") -> str:
    """A point in time, relative ("ago") or by the clock ("clock"), with the exact one on demand."""
    if at is None:
        return format_html("<span>{}</span>", unknown)
    text = words.clock(at) if style == "clock" else words.ago(at)
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), words.exact(at), text)


@register.simple_tag(takes_context=True)
def started_by(context: RequestContext, run: Run) -> str:
    """Who or what asked for the run: initials or a symbol, and a name."""
    return _by(origin_of(run, _viewer_key(context)))


@lru_cache(maxsize=256)
def _by(by: Origin) -> str:
    symbol = '<span class="material-symbols-outlined oc-by__icon">{}</span>'
    return format_html(
        '<span class="oc-by"><span class="oc-by__mark{}" aria-hidden="true">{}</span>'
        '<span class="oc-by__name" title="{}">{}</span></span>',
        " oc-by__mark--mine" if by.mine else "",
        format_html(symbol, by.icon) if by.icon else by.initials,
        by.label,
        by.label,
    )


@register.simple_tag
def took(row: Row) -> str:
    """How long the run took or has been running, and a drawing of that against what is usual."""
    bar = row.bar
    if bar is None:
        return format_html('<span class="oc-took">{}</span>', row.took)
    title = f"{bar.usually}, {bar.within}"
    if bar.late:
        told = '<span class="oc-took oc-text--warn" title="{}">{}{} <span class="oc-took__usual">{}</span></span>'
        words = format_html(told, title, icon("schedule", "warn"), row.took, bar.usually)
    else:
        words = format_html('<span class="oc-took" title="{}">{}</span>', title, row.took)
    return format_html(
        '{}<svg class="oc-took__bar" width="100%" height="9" role="img" aria-label="{}">'
        '<rect class="oc-f--track" x="0" y="3" width="100%" height="3" rx="1.5"/>'
        '<rect class="oc-f--{}" x="0" y="3" width="{}" height="3" rx="1.5"/>'
        '<rect class="oc-f--ink" x="{}" y="0" width="1.5" height="9"/></svg>',
        *(words, title, bar.tone, bar.width, bar.tick),
    )


@register.simple_tag
def now_took(row: Row) -> str:
    """How long the run has been running beside what is usual, and a thicker drawing of that than `took`."""
    bar = row.bar
    if bar is None:
        return format_html('<span class="oc-now__words"><b>{}</b></span>', row.took)
    late = icon("schedule", "warn") if bar.late else ""
    return format_html(
        '<span class="oc-now__words"><b class="oc-num{}">{}{}</b> <span class="oc-quiet">{}</span></span>'
        '<svg class="oc-took__bar" width="100%" height="13" role="img" aria-label="{}">'
        '<rect class="oc-f--track" x="0" y="4" width="100%" height="5" rx="2.5"/>'
        '<rect class="oc-f--{}" x="0" y="4" width="{}" height="5" rx="2.5"/>'
        '<rect class="oc-f--ink" x="{}" y="0" width="1.5" height="13"/></svg>',
        *(" oc-text--warn" if bar.late else "", late, row.took, bar.usually),
        *(f"{bar.usually}, {bar.within}", bar.tone, bar.width, bar.tick),
    )


_ROW = """<tr class="oc-row{}">
<td data-c="state">{}</td>
<td data-c="job"><a class="oc-subject" href="{}">{}</a>{}</td>
<td data-c="by">{}</td>
<td data-c="when" class="oc-num">{}</td>
<td data-c="wait" class="oc-num">{}</td>
<td data-c="took">{}</td>
<td data-c="worker"><span class="oc-two" title="{}">{}</span></td>
</tr>
"""


@register.simple_tag(takes_context=True)
def run_row(context: RequestContext, row: Row) -> str:
    """One run in the table of `parts/run_rows.html`."""
    trouble = row.chip.tone
    line = '<span class="oc-second{}">{}</span>'
    by = started_by(context, row.run)
    return format_html(
        _ROW,
        f" oc-row--{trouble}" if row.chip.is_trouble else "",
        chip(row.chip),
        *(run_url(row.run), row.title),
        format_html(line, f" oc-text--{trouble}" if row.trouble else "", row.line) if row.line else "",
        format_html('<a class="oc-by__link" href="{}">{}</a>', row.schedule_href, by) if row.schedule_href else by,
        moment(row.run.accepted_at, "clock"),
        row.wait,
        took(row),
        *(row.worker, row.worker),
    )


@register.simple_tag
def run_url(run: Run) -> str:
    """The address of the run's page."""
    return f"{place('admin:jobs_run_changelist')}{quote(run.task_id)}/change/"


@register.simple_tag
def run_file_url(run: Run, file: RunFile) -> str:
    """The address that downloads a file of the run."""
    return reverse("admin:jobs_run_file", args=[quote(run.task_id), file.pk])


@register.simple_tag(takes_context=True)
def origin(context: RequestContext, run: Run) -> Origin:
    """Who or what asked for the run, for a sentence."""
    return origin_of(run, _viewer_key(context))


def _viewer_key(context: RequestContext) -> str | None:
    request = context.get("request")
    return viewer_key(request) if request is not None else None
