"""How long ago something was, for the sentences in which a verb refuses."""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone


def since(moment: datetime | None) -> str:
    """`just now`, `8 s ago`, `12 min ago`, `3 h ago`, `2 d ago`; "some time ago" for None."""
    if moment is None:
        return "some time ago"
    seconds = int((timezone.now() - moment).total_seconds())
    if seconds < 1:
        return "just now"
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"
