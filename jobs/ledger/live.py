"""What a run has told: its log and its progress, from Redis while it moves and from the ledger when it has ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from jobs.fleet.breaker import ask
from jobs.models import Run, RunLog
from jobs.pipeline.told import Told, read_told
from jobs.text import read_json

from .redaction import hide_in_text

#: What of a progress is text.
_TEXTS = ("noun", "note", "state", "meta")
#: No count and no moment is larger.
_LARGEST = 1e15


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line that the run logged or printed; `at` in epoch seconds by the worker's clock."""

    at: float
    level: str
    attempt: int
    text: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is. `began` and `at` (the last news) are epoch seconds by the worker's clock.

    Attributes:
        done: None where the run has set a state by hand whose meta has no number that tells.
        total: None where it is not known.
        state: the last state that was set by hand, `PROGRESS` say; `meta` is the text of what it came with.
    """

    done: float | None
    total: float | None
    noun: str
    note: str
    began: float
    at: float
    state: str = ""
    meta: str = ""

    @property
    def share(self) -> float | None:
        """0.0 to 1.0; None where the total is not known."""
        return min(max(self.done / self.total, 0.0), 1.0) if self.total and self.done is not None else None

    @property
    def rate(self) -> float | None:
        """How many a second, since it began; None as long as nothing is done."""
        seconds = self.at - self.began
        return self.done / seconds if self.done and self.done > 0 and seconds > 0 else None

    @property
    def left(self) -> float | None:
        """Seconds until the total is reached at this rate."""
        if self.total is None or self.done is None or self.rate is None:
            return None
        return max(self.total - self.done, 0) / self.rate


@dataclass(frozen=True, slots=True)
class Live:
    """What a run has told.

    Attributes:
        known: False when it still moves and Redis did not answer.
        lines: the last ones, oldest first.
        written: how many lines it wrote in all.
    """

    known: bool
    progress: Progress | None = None
    lines: tuple[LogLine, ...] = ()
    written: int = 0


def live_of(run: Run) -> Live:
    """The log and progress of `run` without secrets: one bounded round trip while it is active, one query when it has
    ended; nothing of a run that is withheld."""
    if run.withheld:
        return Live(True)
    if not run.is_active:
        log = RunLog.objects.filter(run_id=run.pk).first()
        lines = _kept_lines(log.lines) if log else []
        return Live(True, progress_of(run.progress), _lines(lines), log.written if log else 0)
    told = ask(lambda client: read_told([run.task_id], client))
    if told is None:
        return Live(known=False, progress=progress_of(run.progress))
    one = told.get(run.task_id, Told())
    return Live(True, progress_of(one.progress or run.progress), _lines(one.lines), one.written)


def _kept_lines(text: str) -> list[Any]:
    """The lines of a log as the ledger keeps it, without those that are none."""
    try:
        found = read_json(text)
    except ValueError:
        return []
    return [line for line in found if _is_line(line)] if isinstance(found, list) else []


def _is_line(line: Any) -> bool:
    """Whether it is `[epoch seconds, level, attempt, text]`."""
    if not (isinstance(line, list) and len(line) == 4):
        return False
    at, level, attempt, text = line
    return type(at) in (int, float) and type(attempt) is int and isinstance(level, str) and isinstance(text, str)


def _lines(lines: Iterable[Any]) -> tuple[LogLine, ...]:
    return tuple(
        LogLine(float(at), str(level), int(attempt), hide_in_text(str(text))) for at, level, attempt, text in lines
    )


def progress_of(values: Any) -> Progress | None:
    """The progress as a worker has told it, without secrets; None where it told none, or something that is none."""
    if not isinstance(values, Mapping):
        return None
    at, texts = _number(values.get("at")), {name: hide_in_text(str(values.get(name) or "")) for name in _TEXTS}
    if at is None:
        return None
    began = _number(values.get("began"))
    return Progress(
        _number(values.get("done")), _number(values.get("total")), began=at if began is None else began, at=at, **texts
    )


def _number(value: Any) -> float | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < _LARGEST else None
