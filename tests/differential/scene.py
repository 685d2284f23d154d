"""One comparison from the first process to the last word."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from django.core.management import call_command
from kombu.utils import json

from jobs.fleet.broker import DEAD_KEY, FACTS_KEY
from jobs.fleet.headers import recorded_id
from jobs.fleet.quarantined import QUARANTINE_KEY
from jobs.models import Run
from tests.differential.compare import Compared, both_sides, compare
from tests.e2e.processes import Stack, wait_for


def play(root: Path, *, seed: int, number: int, say: Callable[[str], None]) -> bool:
    """Whether ours did what the stock worker did, and the ledger has it all."""
    call_command("migrate", verbosity=0, interactive=False)
    stack = Stack(root, os.environ["DATABASE_URL"])
    try:
        stack.up(stack.recorder)
        compared, unrecorded = meet_all(stack, seed=seed, number=number, say=say)
    finally:
        stack.down()
    say(compared.text())
    for line in unrecorded:
        say(line)
    return compared.is_same and not unrecorded


def meet_all(stack: Stack, *, seed: int, number: int, say: Callable[[str], None]) -> tuple[Compared, list[str]]:
    """What came of the messages, and what of them the ledger lacks; the recorder runs already."""
    with both_sides(stack) as (stock, ours):
        compared = compare(stock, ours, seed=seed, number=number, say=say)
        wait_for(lambda: not ours.messages.xlen(FACTS_KEY), "every fact to be recorded", 60)
        unrecorded = _unrecorded(compared)
        if dead := ours.messages.xlen(DEAD_KEY):
            unrecorded.append(f"{dead} facts could not be recorded: {ours.messages.xrange(DEAD_KEY, count=3)!r}")
        say(f"Ours set aside {ours.messages.llen(QUARANTINE_KEY):,}")
    return compared, unrecorded


def _unrecorded(compared: Compared) -> list[str]:
    found = compared.executed
    ids = {one.mark: recorded_id(json.loads(json.dumps(one.task_id))) for one in found if one.task_id is not ...}
    known = set(Run.objects.filter(task_id__in=ids.values()).values_list("task_id", flat=True))
    return [f"not recorded: {one.mark} {one.what}" for one in found if ids.get(one.mark, "") not in known]
