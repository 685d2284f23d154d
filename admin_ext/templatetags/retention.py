"""The sentence at the foot of the lists: how long runs are kept, and how far back they go."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import template
from django.conf import settings
from django.utils import timezone

from admin_ext.parts import words
from jobs.catalog.registry import job_title
from jobs.ledger.keeping import Keeping

register = template.Library()

#: Jobs with a time of their own that are named; more are counted.
NAMED = 3


@register.inclusion_tag("admin_ext/parts/retention.html")
def retention(oldest: datetime | None) -> dict[str, Any]:
    """`{% retention oldest %}`: "Runs are kept 90 days, failed ones a year. The oldest here is from 12 March."."""
    return {"sentence": sentence(settings.RETENTION), "oldest": oldest, "day": oldest and day(oldest)}


def sentence(keeping: Keeping) -> str:
    """How long runs are kept: in general, by state, by job."""
    parts = [f"Runs are kept {time_kept(keeping.runs)}"]
    parts += [f"{state} ones {time_kept(kept)}" for state, kept in keeping.states.items()]
    if len(keeping.tasks) > NAMED:
        parts.append(f"those of {len(keeping.tasks)} jobs by rules of their own")
    else:
        parts += [f"those of {job_title(name)} {time_kept(kept)}" for name, kept in keeping.tasks.items()]
    return ", ".join(parts) + "."


def time_kept(kept: timedelta | None) -> str:
    """`90 days`, `a year`, `for ever`."""
    if kept is None:
        return "for ever"
    number, unit = (kept.days // 365, "year") if kept.days % 365 == 0 else (kept.days, "day")
    return f"a {unit}" if number == 1 else f"{number} {unit}s"


def day(moment: datetime) -> str:
    """`12 March`, with its year where it is not this one."""
    local = words.local_time(moment)
    this_year = timezone.localtime().year == local.year
    return f"{local.day} {local:%B}" + ("" if this_year else f" {local.year}")
