"""The log of a run, in words: its lines, what is shown of them, and what comes while one looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from django.contrib.admin.utils import quote
from django.urls import reverse

from admin_ext.parts.keyset import link
from admin_ext.parts.words import local_time, plural
from jobs.ledger.live import Live, LogLine
from jobs.models import Run
from jobs.states import State

#: So many of the last lines stand on the Overview of a run that is active.
LINES_ON_OVERVIEW = 12
_WORDS = {"WARNING": "WARN", "CRITICAL": "FATAL"}
_TONES = {"WARNING": "warn", "WARN": "warn", "ERROR": "bad", "CRITICAL": "bad", "FATAL": "bad"}
_MOVING = {State.RUNNING, State.RETRYING}


@dataclass(frozen=True, slots=True)
class Shown:
    """Which lines are asked for.

    Attributes:
        warnings: only warnings and errors.
        attempt: only those of this attempt; 0 for all.
        last: only so many of the last; 0 for all.
        after: only those beyond this many that were written; what a page has already.
        told: the moment of the progress that the page shows.
    """

    warnings: bool = False
    attempt: int = 0
    last: int = 0
    after: int = 0
    told: str = ""

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> Shown:
        """From the address; what makes no sense there is left out."""
        return cls(
            warnings=parameters.get("level") == "warnings",
            attempt=_number(parameters.get("attempt", "")),
            last=_number(parameters.get("last", "")),
            after=_number(parameters.get("after", "")),
            told=parameters.get("told", "")[:32],
        )


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else 0


@dataclass(frozen=True, slots=True)
class Line:
    """One line; `begins` is the number of the attempt whose lines begin here, 0 within them."""

    at: datetime
    clock: str
    word: str
    tone: str
    text: str
    begins: int


@dataclass(frozen=True, slots=True)
class Log:
    """What is shown of a run's log.

    Attributes:
        known: False when Redis did not answer.
        following: the page asks `more_url` for what comes.
        missing: lines that were written after those that the page has and are not kept.
        kept: "" where all that was written is kept.
        empty: why no line is shown; "" where there are some.
        warnings: how many warnings and errors are kept.
    """

    known: bool
    lines: tuple[Line, ...]
    following: bool
    more_url: str
    missing: str
    kept: str
    empty: str
    last_at: datetime | None
    warnings: int
    shown: Shown


def log_of(run: Run, live: Live, shown: Shown) -> Log:
    """The lines that are asked for, and how to go on."""
    first = live.written - len(live.lines)
    several = len({line.attempt for line in live.lines}) > 1
    lines: list[Line] = []
    attempt = 0
    for number, line in enumerate(live.lines, first + 1):
        if not _matches(line, shown):
            continue
        begins = line.attempt if several and line.attempt != attempt else 0
        attempt = line.attempt
        if number > shown.after:
            lines.append(_line(line, begins))
    missing = max(first - shown.after, 0) if shown.after else 0
    following = run.state in _MOVING
    told = f"{live.progress.at:.3f}" if live.progress else ""
    more = {"level": "warnings" if shown.warnings else "", "attempt": shown.attempt or "", "last": shown.last or ""}
    return Log(
        known=live.known,
        lines=tuple(lines[-shown.last :]),
        following=following,
        more_url=reverse("admin:jobs_run_log", args=[quote(run.task_id)])
        + link(after=max(live.written, shown.after if not live.known else 0), told=told, **more)
        if following
        else "",
        missing=plural(missing, "line") if missing else "",
        kept=f"{len(live.lines):,} of {live.written:,} lines are kept" if live.written > len(live.lines) else "",
        empty="" if lines else _empty(run, live, shown),
        last_at=_moment(live.lines[-1].at) if live.lines else None,
        warnings=sum(_tone(line) != "" for line in live.lines),
        shown=shown,
    )


def has_news(live: Live, shown: Shown) -> bool:
    """Whether a page that has `shown` already lacks something."""
    told = f"{live.progress.at:.3f}" if live.progress else ""
    return live.known and (live.written != shown.after or told != shown.told)


def log_text(live: Live) -> str:
    """The kept lines as a text file."""
    head = f"{len(live.lines):,} of {live.written:,} lines are kept.\n" if live.written > len(live.lines) else ""
    return head + "".join(
        f"{_moment(line.at).isoformat(timespec='milliseconds')} {line.level} attempt {line.attempt}: {line.text}\n"
        for line in live.lines
    )


def _matches(line: LogLine, shown: Shown) -> bool:
    return (not shown.attempt or line.attempt == shown.attempt) and (not shown.warnings or _tone(line) != "")


def _tone(line: LogLine) -> str:
    return _TONES.get(line.level.upper(), "")


def _line(line: LogLine, begins: int) -> Line:
    at = _moment(line.at)
    local = local_time(at)
    clock = f"{local:%H:%M:%S}.{local.microsecond // 100_000}"
    word = _WORDS.get(line.level, line.level)[:8]
    return Line(at, clock, word, _tone(line), line.text, begins)


def _moment(seconds: float) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)


def _empty(run: Run, live: Live, shown: Shown) -> str:
    if not live.known:
        return "Redis does not answer, so its lines are not known now. They are kept, and shown when it is back."
    if live.lines and (shown.warnings or shown.attempt):
        what = "No warning and no error" if shown.warnings else "No line"
        return f"{what} is among the lines that are kept{f' of attempt {shown.attempt}' if shown.attempt else ''}."
    if run.state in _MOVING:
        return "It has not logged anything yet."
    if run.is_active:
        return "It has not started yet. What it logs or prints appears here."
    return "It has not logged anything."
