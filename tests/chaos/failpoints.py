"""Failpoints: a file in CHAOS_FAILPOINTS arms one; the first process that reaches it takes the file away and dies.

They wrap what the product calls, in the chaos' own entry modules; the product knows nothing of them.
"""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.db.transaction import Atomic, get_connection

#: In the order in which a request or a portion of the books passes them.
MOMENTS = ("before-commit", "after-commit", "after-response")


def arm(folder: Path, name: str) -> Path:
    """Arm a failpoint; the file is gone once it has killed."""
    path = folder / name
    path.touch()
    return path


def reach(name: str) -> None:
    """Die here, as by `kill -9`, if this failpoint is armed."""
    try:
        os.unlink(Path(os.environ["CHAOS_FAILPOINTS"]) / name)
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def wrap_commits(place: Callable[[], str | None]) -> None:
    """Make every outermost transaction of this process pass `<place>.before-commit` and `<place>.after-commit`.

    Args:
        place: where this thread is at the moment; None where no failpoint lies.
    """
    leave = Atomic.__exit__

    @functools.wraps(leave)
    def exit_(self: Any, exc_type: Any, exc_value: Any, traceback: Any) -> Any:
        where = place() if exc_type is None else None
        outermost = where is not None and not get_connection(self.using).savepoint_ids
        if outermost:
            reach(f"{where}.before-commit")
        answer = leave(self, exc_type, exc_value, traceback)
        if outermost:
            reach(f"{where}.after-commit")
        return answer

    Atomic.__exit__ = exit_  # type: ignore[method-assign]
