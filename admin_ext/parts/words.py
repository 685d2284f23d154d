"""Times, sizes and values in the console's words. Nothing here touches a request or a database."""

from __future__ import annotations

import json
import math
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from jobs.text import in_zone

#: Longest text of one value on a page, in characters.
LONGEST_VALUE = 2000
#: A structure whose JSON is longer stands on many lines.
ONE_LINE = 60


def local_time(moment: datetime) -> datetime:
    """The moment by the clocks of TIME_ZONE, whatever its year."""
    return in_zone(moment, timezone.get_current_timezone())


def duration(seconds: float | None) -> str:
    """`0.3 s`, `28 s`, `4 min 10 s`, `2 h 5 min`, `3 d 4 h`; "unknown" for None."""
    if seconds is None or not math.isfinite(seconds):
        return "unknown"
    if seconds < 0.05:
        return "under 0.1 s"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, unit, smaller, small_unit in ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit}" + (f" {rest} {small_unit}" if rest else "")
    return f"{whole} s"


def ago(moment: datetime | None, now: datetime | None = None) -> str:
    """`just now`, `12 min ago`, `in 3 h`; from a day on weekday and clock, then the date."""
    if moment is None:
        return "unknown"
    now = now or timezone.now()
    seconds = (now - moment).total_seconds()
    if abs(seconds) < 1:
        return "just now"
    if abs(seconds) >= 86_400:
        return _day_and_clock(local_time(moment), local_time(now))
    coarse = _coarse(abs(seconds))
    return f"{coarse} ago" if seconds > 0 else f"in {coarse}"


def _coarse(seconds: float) -> str:
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


def clock(moment: datetime | None, now: datetime | None = None) -> str:
    """`14:32:04` today, `Mon 14:32` within six days, `5 Oct 14:32` this year, `5 Oct 2025` before."""
    if moment is None:
        return "unknown"
    local, today = local_time(moment), local_time(now or timezone.now())
    return local.strftime("%H:%M:%S") if local.date() == today.date() else _day_and_clock(local, today)


def _day_and_clock(local: datetime, today: datetime) -> str:
    if abs(local.date() - today.date()) < timedelta(days=7):
        return local.strftime("%a %H:%M")
    if local.year == today.year:
        return f"{local.day} {local:%b %H:%M}"
    return f"{local.day} {local:%b %Y}"


def exact(moment: datetime | None) -> str:
    """The moment to the second with its zone: `Sat 22 Nov 2025, 16:50:02 UTC`."""
    if moment is None:
        return "unknown"
    local = local_time(moment)
    return local.strftime(f"%a {local.day} %b %Y, %H:%M:%S %Z")


def file_size(count: int) -> str:
    """`312 B`, `48 KB`, `5.1 MB`."""
    if count < 1000:
        return f"{count} B"
    if count < 999_500:
        return f"{count / 1000:.0f} KB"
    size, unit = (count / 1e6, "MB") if count < 999_500_000 else (count / 1e9, "GB")
    return f"{size:.1f} {unit}" if size < 9.95 else f"{size:.0f} {unit}"


def capped(count: int, cap: int) -> str:
    """`18,204`, or `10,000+` when counting stopped at the cap."""
    return f"{count:,}" if count <= cap else f"{cap:,}+"


def plural(count: int, one: str, many: str = "") -> str:
    """`1 run`, `3 runs`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def value(thing: Any) -> str:
    """One argument or result as staff read it; structures as JSON, short ones in one line, cut at LONGEST_VALUE."""
    if thing is None:
        return "not given"
    if isinstance(thing, bool):
        return "yes" if thing else "no"
    if isinstance(thing, (dict, list, tuple)):
        text = json.dumps(thing, ensure_ascii=False, default=str)
        if len(text) > ONE_LINE:
            text = json.dumps(thing, ensure_ascii=False, indent=2, default=str)
    else:
        text = str(thing)
    if not text:
        return "empty text"
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}… ({len(text):,} characters)"


def initials(name: str) -> str:
    """`AP` for Ana Petrova, `A` for ana, `?` for nobody."""
    words = [word for word in name.split() if word[0].isalnum()]
    if not words:
        return "?"
    return (words[0][0] + (words[-1][0] if len(words) > 1 else "")).upper()
