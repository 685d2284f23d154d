"""A broken run, told from the three books, the diary and the logs: what somebody needs to find out why."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.chaos.books import Books
from tests.chaos.house import Diary

#: Seconds around a run's own lines for which the diary is told.
AROUND = 60


def story(run: str, books: Books, diary: Diary, logs: Path, began: float) -> str:
    """Every line that any book has about it, by time since the beginning of the chaos."""
    lines: list[tuple[float, str]] = []
    if (answer := books.answers.get(run)) is not None:
        asked = (
            f"answered: accepted ({answer['by']}, try {answer['tries']}, first asked at {answer['asked'] - began:.1f})"
        )
        lines.append((answer["t"], asked))
    for line in books.outside.get(run, []):
        lines.append((line["t"], f"outside: {line['ev']} of execution {line['n']} by {line['worker']} [{line['pid']}]"))
    if (row := books.rows.get(run)) is not None:
        for name in ("accepted_at", "published_at", "claimed_at", "started_at", "finished_at", "publish_after"):
            if row[name] is not None:
                lines.append((row[name].timestamp(), f"database: {name}"))
    if run in books.told:
        lines.append((books.told[run], "database: seen to be lost"))
    first, last = min((at for at, _ in lines), default=began), max((at for at, _ in lines), default=began)
    for event in diary.events:
        if first - AROUND <= event.began <= last + AROUND:
            what = f"{event.part}: {event.what} {event.worker} (until {event.ended - began:.1f})"
            lines.append((event.began, f"   {'fault' if event.fault else 'event'} {what}"))
    told = [f"    {at - began:7.1f}  {text}" for at, text in sorted(lines)]
    if row is not None:
        told.append(f"    the row: { {name: str(value) for name, value in row.items() if not name.endswith('_at')} }")
        told.append(f"    attempts: {sorted(books.attempts.get(run, []))}, audit events: {books.audited[run]}")
    return "\n".join([*told, *(f"    {line}" for line in _logged(run, logs))])


def _logged(run: str, logs: Path) -> Iterator[str]:
    for path in sorted(logs.glob("*.log")):
        with path.open(errors="replace") as log:
            for line in log:
                if run in line:
                    yield f"{path.stem}: {line.strip()[:300]}"
