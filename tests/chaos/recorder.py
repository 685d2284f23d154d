"""The recorder with failpoints: `python -m tests.chaos.recorder`. Each chore has its own, by the name of its thread."""

from __future__ import annotations

import threading
from typing import Any

import django

django.setup()

from django.core.management import call_command  # noqa: E402 - models only after setup
from django.db.models import QuerySet  # noqa: E402

from jobs.recorder.dispatch import Dispatcher  # noqa: E402
from jobs.recorder.ingest import Ingest  # noqa: E402
from tests.chaos.failpoints import reach, wrap_commits  # noqa: E402


def main() -> None:
    """Run `manage.py recorder` with the failpoints of ingest and dispatch in it."""
    wrap_commits(lambda: "ingest" if threading.current_thread().name == "ingest" else None)
    _wrap_updates()
    _wrap_step(Ingest, "ingest")
    _wrap_step(Dispatcher, "dispatch")
    call_command("recorder")


def _wrap_updates() -> None:
    """The dispatcher commits each statement by itself: after it has published, and before it says so."""
    update = QuerySet.update

    def update_(self: Any, **values: Any) -> int:
        if "published_at" not in values:
            return update(self, **values)
        reach("dispatch.before-commit")
        changed = update(self, **values)
        reach("dispatch.after-commit")
        return changed

    QuerySet.update = update_  # type: ignore[method-assign]


def _wrap_step(chore: type, name: str) -> None:
    """After a step that did something: acknowledged, or published and noted."""
    step = chore.step  # type: ignore[attr-defined]

    def step_(self: Any, **options: Any) -> int:
        done: int = step(self, **options)
        if done:
            reach(f"{name}.after-response")
        return done

    chore.step = step_  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
