"""Small pictures of queues and workers, of which a list has a hundred; templates of their own took twice the time."""

from __future__ import annotations

from functools import lru_cache

from django import template
from django.utils.html import escape, format_html, format_html_join
from django.utils.safestring import SafeString

from admin_ext.parts.chart import Spark
from admin_ext.queues.lines import Count, QueueLine
from admin_ext.workers.pictures import Line, Slots

register = template.Library()


@register.simple_tag
@lru_cache(maxsize=512)
def slots_picture(picture: Slots) -> str:
    """The slots of a worker: a cell for each, or a meter."""
    if picture.cells:
        cells = format_html_join(
            "",
            '<rect class="oc-f--{}" x="{}" width="13" height="13" rx="2"/>',
            ((tone, x) for x, tone in picture.cells),
        )
        return format_html(
            '<svg class="oc-slots" width="100%" height="13" role="img" aria-label="{}">{}</svg>', picture.words, cells
        )
    return format_html(
        '<svg class="oc-slots" width="100%" height="8" role="img" aria-label="{}">'
        '<rect class="oc-f--track" width="100%" height="8" rx="2"/>'
        '<rect class="oc-f--live" width="{}" height="8" rx="2"/></svg>',
        picture.words,
        picture.used,
    )


@register.simple_tag
def busy_spark(line: Line) -> str:
    """How busy a worker has been."""
    return format_html(
        '<svg class="oc-spark oc-spark--live" width="92" height="26" viewBox="0 -2 92 28" role="img" aria-label="{}">'
        '<title>{}</title><polygon class="oc-spark__area" points="{}"/><polyline class="oc-spark__line" points="{}"/>'
        '<circle class="oc-spark__dot" cx="{}" cy="{}" r="2.5"/></svg>',
        *(line.words, line.words, line.area, line.points, line.dot_x, line.dot_y),
    )


@register.simple_tag
def queue_spark(spark: Spark) -> str:
    """What was ready in a queue."""
    areas = format_html_join("", '<polygon class="oc-spark__area" points="{}"/>', ((one,) for one in spark.areas))
    lines = format_html_join("", '<polyline class="oc-spark__line" points="{}"/>', ((one,) for one in spark.lines))
    return format_html(
        '<svg class="oc-spark oc-spark--{}" width="96" height="30" viewBox="0 -2 96 32" role="img" aria-label="{}">'
        '<title>{}</title>{}{}<circle class="oc-spark__dot" cx="{}" cy="{}" r="2.5"/></svg>',
        *(spark.tone, spark.words, spark.words, areas, lines, spark.dot_x, spark.dot_y),
    )


@register.simple_tag
def queue_cells(line: QueueLine) -> str:
    """The numbers of a queue's row."""
    cells = ((_opening(label, rank), _count(count)) for label, rank, count in line.cells)
    return format_html_join("", "{}{}</td>", cells)


@lru_cache(maxsize=64)
def _opening(label: str, rank: str) -> SafeString:
    return format_html('<td class="oc-num oc-queue--{}" data-l="{}">', rank, label)


def _count(count: Count) -> SafeString:
    if count.split:
        shown = '<span class="oc-queue__split{}" title="{}">{}<span class="oc-hidden"> ({})</span></span>'
        return format_html(shown, "" if count.known else " oc-quiet", count.split, count.text, count.split)
    return escape(count.text) if count.known else format_html('<span class="oc-quiet">{}</span>', count.text)
