"""What the pages of failures need besides the console's own tags."""

from __future__ import annotations

from django import template
from django.utils.html import format_html

from admin_ext.failures.numbers import Number

register = template.Library()


# Made here and not in the template, as the small parts in `console`: a list has 150 of them.
@register.simple_tag
def count(number: Number) -> str:
    """A number that leads to the runs that it counts."""
    return format_html(
        '<a class="oc-count{}" href="{}" title="{}" aria-label="{} {}">{}</a>',
        " oc-count--none" if number.none else "",
        *(number.href, number.since, number.text, number.since, number.text),
    )
