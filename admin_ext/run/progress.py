"""How far a run is, in words and for the meter."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from admin_ext.parts.sendable import sendable
from admin_ext.parts.words import duration
from jobs.ledger.live import Progress
from jobs.models import Run


@dataclass(frozen=True, slots=True)
class ProgressCard:
    """What the progress card says.

    Attributes:
        percent: 0 to 100, for the meter; None where the total is not known.
        left: "about 3 min left"; "" where nobody can tell.
        tone: of the meter: live while it moves, then how the run ended.
        age: when it last told, for an active run.
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


def last_progress(run: Run) -> Progress | None:
    """What a run that has ended told last."""
    return Progress(**run.progress) if run.progress else None


def progress_card(run: Run, progress: Progress | None) -> ProgressCard | None:
    """The progress in words; None where the run told none."""
    if progress is None:
        return None
    total, share = progress.total, progress.share
    of = f" of {total:,}" if total is not None else ""
    noun = sendable(progress.noun)
    headline = f"{progress.done:,}{of} {noun or 'done'}"
    # 99.6 % is not all of it.
    whole = None if share is None else 100 if progress.done >= (total or 0) else min(int(share * 100), 99)
    words = "" if whole is None else f"{whole} %"
    left = ""
    if run.is_active and progress.left:
        left = f"about {_coarse(progress.left)} left"
    return ProgressCard(
        headline=headline,
        percent="" if share is None else f"{share * 100:.2f}",
        percent_words=words,
        rate="" if progress.rate is None else f"{_number(progress.rate)} {noun or 'items'}/s",
        left=left,
        note=sendable(progress.note),
        tone="live" if run.is_active else "ok" if run.state == "succeeded" else "idle",
        at=datetime.fromtimestamp(progress.at, UTC),
        label=f"{headline}, {words}" if words else headline,
    )


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
