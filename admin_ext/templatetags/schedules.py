"""What the pages of schedules need besides the console's own tags."""

from __future__ import annotations

from datetime import datetime

from django import template
from django.utils import timezone

from admin_ext.parts import words

register = template.Library()


@register.filter
def from_now(moment: datetime) -> str:
    """`in 5 d 16 h`; "now" for a moment that has come."""
    seconds = (moment - timezone.now()).total_seconds()
    return f"in {words.duration(seconds)}" if seconds > 0 else "now"
