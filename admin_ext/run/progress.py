"""How far a run is, in words and for the meter."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from admin_ext.parts.words import duration
from jobs.ledger.live import Progress
from jobs.models import Run
from jobs.pipeline.progress import PERCENT


@dataclass(frozen=True, slots=True)
class ProgressCard:
    """What the progress card says.

    Attributes:
        percent: 0 to 100, for the meter; None where the total is not known.
        left: "about 3 min left"; "" where nobody can tell.
        tone: of the meter: live while it moves, then how the run ended.
        at: when it last told.
        state: the last state that its own code has set, `PROGRESS` say; `meta` is what it came with, as text.
    """

    headline: str
    percent: str
    percent_words: str
    rate: str
    left: str
    note: str
    tone: str
    at: datetime | None
    label: str
    state: str = ""
    meta: str = ""


def progress_card(run: Run, progress: Progress | None) -> ProgressCard | None:
    """The progress in words; None where the run told none."""
    if progress is None:
        return None
    total, share, done = progress.total, progress.share, progress.done
    noun, state = progress.noun, progress.state
    # 99.6 % is not all of it.
    whole = None if share is None or done is None else 100 if done >= (total or 0) else min(int(share * 100), 99)
    words = "" if whole is None else f"{whole} %"
    percents = noun == PERCENT
    if done is None:
        headline = state or "Something"
    elif percents:
        headline, words = f"{_count(done)} %", ""
    else:
        headline = f"{_count(done)}{f' of {_count(total)}' if total is not None else ''} {noun or 'done'}"
    left = ""
    if run.is_active and progress.left:
        left = f"about {_coarse(progress.left)} left"
    return ProgressCard(
        headline=headline,
        percent="" if share is None else f"{share * 100:.2f}",
        percent_words=words,
        rate="" if progress.rate is None or percents else f"{_number(progress.rate)} {noun or 'items'}/s",
        left=left,
        note=progress.note,
        tone="live" if run.is_active else "ok" if run.state == "succeeded" else "idle",
        at=_moment(progress.at),
        label=f"{headline}, {words}" if words else headline,
        state="" if done is None else state,
        meta=progress.meta,
    )


def _moment(seconds: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _count(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:,.1f}"


def _number(rate: float) -> str:
    if rate >= 100:
        return f"{rate:,.0f}"
    return f"{rate:.1f}" if rate >= 0.1 else f"{rate:.2g}"


def _coarse(seconds: float) -> str:
    """A guess is not told to the second: whole minutes from two minutes on, whole hours from two hours on."""
    if seconds >= 7200:
        return duration(round(seconds / 3600) * 3600)
    if seconds >= 120:
        return duration(round(seconds / 60) * 60)
    return duration(max(round(seconds), 1))
