"""The three books, read: what the console answered, what its database says, and what the jobs themselves wrote."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.db import DatabaseError, InterfaceError, connection

from jobs.models import Attempt, AuditEvent, Run
from jobs.states import FINISHED, State

#: What closes an execution in the outside book.
CLOSING = {"end", "fail", "retry"}


@dataclass(slots=True)
class Execution:
    """What the outside book says of execution `n` of a run; times are epoch seconds on the machine's clock."""

    run: str
    n: int
    worker: str
    starts: list[float] = field(default_factory=list)
    #: How it ended by its own word, "" where it never said.
    closed: str = ""
    closed_at: float = 0.0

    @property
    def began(self) -> float:
        return self.starts[0]


@dataclass(frozen=True, slots=True)
class Books:
    """All three, by run."""

    answers: dict[str, dict[str, Any]]
    outside: dict[str, list[dict[str, Any]]]
    executions: dict[str, dict[int, Execution]]
    rows: dict[str, dict[str, Any]]
    attempts: dict[str, list[tuple[int, str]]]
    audited: Counter[str]
    #: When each lost run was first seen to be so.
    told: dict[str, float]

    @property
    def states(self) -> Counter[str]:
        return Counter(str(row["state"]) for row in self.rows.values())


def read_books(folder: Path, told: dict[str, float]) -> Books:
    """Read them all; call it when nothing moves any more."""
    answers = {line["run"]: line for line in _lines(folder / "answers.jsonl")}
    columns = ("pk", "task_id", "task_name", "state", "state_note", "attempt", "worker", "provisional", "published_at",
               "publish_after", "publish_count", "started_at", "claimed_at", "finished_at", "accepted_at", "retries",
               "error_type", "error_message")  # fmt: skip
    rows = {row["task_id"]: row for row in Run.objects.filter(guaranteed=True).values(*columns)}
    attempts: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for run, number, outcome in Attempt.objects.values_list("run__task_id", "number", "outcome"):
        attempts[run].append((number, outcome))
    events = AuditEvent.objects.filter(verb="start_run", outcome="done").values_list("object_id", flat=True)
    # Last: what the database knows of has been written before.
    outside: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in _lines(folder / "outside.jsonl"):
        outside[line["run"]].append(line)
    executions = {run: _executions(lines) for run, lines in outside.items()}
    return Books(answers, dict(outside), executions, rows, dict(attempts), Counter(events), told)


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _executions(lines: list[dict[str, Any]]) -> dict[int, Execution]:
    found: dict[int, Execution] = {}
    for line in lines:
        one = found.setdefault(line["n"], Execution(line["run"], line["n"], line["worker"]))
        if line["ev"] == "start":
            one.starts.append(line["t"])
        elif line["ev"] in CLOSING:
            one.closed, one.closed_at = line["ev"], line["t"]
    return found


class Watcher:
    """Notes when a run is first told to be lost, by asking the database once a second."""

    def __init__(self) -> None:
        self.told: dict[str, float] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watcher", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(1):
            try:
                lost = set(Run.objects.filter(state=State.LOST, guaranteed=True).values_list("task_id", flat=True))
            except (DatabaseError, InterfaceError):
                connection.close()
                continue
            now = time.time()
            # Told too early and taken back: only the last time counts.
            self.told = {run: at for run, at in self.told.items() if run in lost}
            for run in lost:
                self.told.setdefault(run, now)
        connection.close()


def unfinished() -> int:
    """How many accepted runs are in no final state."""
    return Run.objects.filter(guaranteed=True).exclude(state__in=FINISHED).count()
