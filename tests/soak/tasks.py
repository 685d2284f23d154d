"""What `tests.tasks_observed` lacks: tasks as odd as other people's programs hold them. All write into the journal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery import shared_task
from celery.exceptions import Reject

from tests.tasks_observed import tell


class ClientError(Exception):
    """Built as many client libraries build theirs: the constructor wants more than `args` keep."""

    def __init__(self, status: int, *, body: str) -> None:
        super().__init__(f"{status}: {body}")
        self.status, self.body = status, body


class NoPickleError(Exception):
    """Holds what no process can hand to another."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.handle = sys.stderr


class SilentError(Exception):
    """Cannot say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


class Unspeakable:
    """A value that cannot even be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no words")


@shared_task(bind=True)
def report_states(self: Any, seconds: float) -> str:
    """Every state that a person may set by hand; none of them is an end."""
    tell("start", [seconds])
    for state in ("PROGRESS", "halfway", "STARTED", "PENDING", "RETRY", "RECEIVED"):
        self.update_state(state=state, meta={"current": 1, "total": 2})
        time.sleep(seconds / 6)
    tell("succeeded")
    return "all told"


@shared_task(bind=True)
def report_and_break(self: Any) -> None:
    tell("start")
    self.update_state(state="PROGRESS", meta={"progress": 50})
    tell("failed")
    raise ClientError(502, body="bad gateway")


@shared_task
def break_oddly(kind: str) -> None:
    tell("start", [kind])
    tell("failed")
    errors: dict[str, Callable[[], Exception]] = {
        "client": lambda: ClientError(404, body="no such order"),
        "no pickle": lambda: NoPickleError("kept a handle"),
        "silent": lambda: SilentError(1, 2),
        "arguments": lambda: ValueError("a", object(), b"\xff"),
        "surrogate": lambda: ValueError("a file called \udcff"),
    }
    raise errors[kind]()


@shared_task
def leave() -> None:
    """Ends its process."""
    tell("start")
    tell("lost")
    sys.stdout.flush()
    raise SystemExit(3)


@shared_task
def give_unspeakable() -> Any:
    tell("start")
    tell("succeeded")
    return Unspeakable()


@shared_task(bind=True, acks_late=True)
def put_back_once(self: Any, mark: str) -> None:
    """Goes back into its queue the first time."""
    tell("start", [mark])
    if not Path(mark).exists():
        Path(mark).touch()
        tell("put back")
        raise Reject("later", requeue=True)
    tell("succeeded")


@shared_task(bind=True)
def read_headers(self: Any, /, **expected: Any) -> None:
    """Fails unless it finds its project's own headers as they were sent."""
    tell("start", **expected)
    found = {name: self.request.get(name) for name in expected}
    tell("succeeded" if found == expected else "failed")
    assert found == expected, found


@shared_task
def total(numbers: Any) -> int:
    tell("start", [numbers])
    tell("succeeded")
    return len(numbers)


@shared_task
def note_error(task_id: str) -> None:
    """An errback: Celery publishes it with the id of what failed."""
    tell("start", [task_id])
    tell("succeeded")


@shared_task
def double(number: int) -> int:
    """For `map` and `starmap`, which call it without a run of its own."""
    return number * 2


@shared_task
def double_or_break(number: int) -> int:
    if number > 1:
        raise LookupError(f"no {number}")
    return number * 2
