"""What only the templates of a run's page need."""

from __future__ import annotations

import re
from datetime import datetime

from django import template
from django.contrib.admin.utils import quote
from django.utils import timezone

from admin_ext.run.tabs import Tab, tab_address
from jobs.models import Run

register = template.Library()

register.filter("admin_quote", quote)
_NUMBER = re.compile(r"[-+]?\d[\d,.' ]*\s?(?:%|s|min|ms|h)?$", re.ASCII)


@register.simple_tag
def run_tab_url(run: Run, tab: str) -> str:
    """The address of a tab of the run's page."""
    return tab_address(run, Tab.of(tab))


@register.simple_tag
def log_age(at: datetime) -> str:
    """`1 s ago`: the script counts on from here."""
    seconds = max(int((timezone.now() - at).total_seconds()), 0)
    if seconds < 60:
        return f"{seconds} s ago"
    return f"{seconds // 60} min ago" if seconds < 3600 else f"{seconds // 3600} h ago"


@register.filter
def looks_like_number(text: str) -> bool:
    """Whether a table's cell is set to the right."""
    return len(text) < 30 and _NUMBER.match(text) is not None
