"""One soak from the first process to the comparison."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from django.core.management import call_command

from jobs.models import Run
from jobs.states import FINISHED
from tests.e2e.processes import Daemon, Stack, wait_for
from tests.soak.compare import compare, read_journal
from tests.soak.publish import publish, publish_reused

#: Seconds until all must have ended.
PATIENCE = 600
#: Differences told in full, of each kind.
TOLD = 5


def play(root: Path, rounds: int, say: Callable[[str], None]) -> bool:
    """Start Redis, two workers of one name and a recorder, publish, wait, compare; whether anything differs."""
    call_command("migrate", verbosity=0, interactive=False)
    stack = Stack(root, os.environ["DATABASE_URL"])
    twin = Daemon("twin", stack.worker.command, stack.worker.log.parent, stack.env, "ready.")
    try:
        stack.up(stack.worker, stack.recorder)
        twin.start()
        began = time.monotonic()
        expected = publish(rounds, root)
        publish_reused(rounds, _wait_for_end)
        published = time.monotonic() - began
        wait_for(lambda: _all_ended(expected.states), "every run to end", PATIENCE)
        took = time.monotonic() - began
        journal = read_journal(root / "journal.jsonl")
        differences = compare(journal, expected)
    finally:
        twin.stop()
        stack.down()
    by_kind = Counter(difference.what for difference in differences)
    for kind in by_kind:
        for difference in [each for each in differences if each.what == kind][:TOLD]:
            say(f"{kind}: {difference.task_id} {difference.detail}")
    found = ", ".join(f"{count} x {kind}" for kind, count in by_kind.items()) or "nothing differs from the journal"
    ids = len({*journal, *expected.states})
    say(f"{ids:,} ids, published in {published:.0f} s, ended after {took:.0f} s; {found}")
    return bool(differences)


def _wait_for_end(task_id: str) -> None:
    ended = Run.objects.filter(task_id=task_id, state__in=FINISHED)
    wait_for(ended.exists, f"{task_id} to end", PATIENCE)


def _all_ended(never: dict[str, str]) -> bool:
    states = dict(Run.objects.values_list("task_id", "state"))
    return never.keys() <= states.keys() and all(state in FINISHED for state in states.values())
