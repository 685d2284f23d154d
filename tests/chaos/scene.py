"""One chaos from the first process to the last line."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connections

from tests.chaos.books import Books, Watcher, read_books, unfinished
from tests.chaos.databases import Database
from tests.chaos.faults import FAULTS
from tests.chaos.feeder import ENOUGH, NAME, PASSWORD
from tests.chaos.house import House
from tests.chaos.plans import Scale, Step
from tests.chaos.stories import story
from tests.chaos.verdict import Verdict, judge
from tests.e2e.processes import PROJECT, wait_for

#: Seconds after the last fault when the books are compared.
SETTLED = 120
#: Stories told in full.
STORIES = 12

Say = Callable[[str], None]


def play(root: Path, database: Database, seed: int, scale: Scale, say: Say) -> bool:
    """Start everything, do the faults, compare the books; whether anything was broken."""
    call_command("migrate", verbosity=0, interactive=False)
    User.objects.create_superuser(NAME, "chaos@example.com", PASSWORD)
    connections.close_all()
    house, watcher = House(root, database), Watcher()
    feeder: subprocess.Popen[bytes] | None = None
    try:
        house.up()
        began = time.time()
        watcher.start()
        feeder = _feed(house, seed, scale)
        _do(house, scale.plan, random.Random(seed), began, say)
        (root / ENOUGH).touch()
        _wait_for_feeder(feeder, scale)
        took = _settle(scale)
        watcher.stop()
        books = read_books(root, watcher.told)
    finally:
        connections.close_all()
        if feeder is not None:
            feeder.kill()
        house.down()
    verdict = judge(books, house.diary)
    _tell(books, verdict, house, began, say)
    faults = sum(1 for step in scale.plan if step.name != "backup")
    say(f"{time.time() - began:.0f} s, the last {took:.0f} of them without a fault; {_dropped(house, verdict)}")
    say(_last_line(books, verdict, faults, seed))
    return bool(verdict.violations)


def _feed(house: House, seed: int, scale: Scale) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.chaos.feeder", str(scale.runs), str(scale.rate), str(seed)]
    with (house.logs / "feeder.log").open("ab") as log:
        env = {**os.environ, "CHAOS_URL": house.url}
        return subprocess.Popen(command, cwd=PROJECT, env=env, stdout=log, stderr=log)


def _do(house: House, plan: list[Step], chance: random.Random, began: float, say: Say) -> None:
    for step in plan:
        time.sleep(step.pause)
        say(f"{time.time() - began:6.1f} s  {step.name}")
        if step.name == "backup":
            with house.diary.write("backup", "copied", fault=False):
                house.database.backup()
        else:
            FAULTS[step.name](house, chance)


def _wait_for_feeder(feeder: subprocess.Popen[bytes], scale: Scale) -> None:
    limit = scale.runs / scale.rate * 2 + 300
    assert feeder.wait(limit) == 0, "the feeder ended by an error; see its log"


def _settle(scale: Scale) -> float:
    """Until the books are compared; the seconds."""
    began = time.monotonic()
    if scale.hurry:
        wait_for(lambda: not unfinished() or time.monotonic() - began > SETTLED, "every run to end", SETTLED + 10)
    else:
        time.sleep(SETTLED)
    return time.monotonic() - began


def _tell(books: Books, verdict: Verdict, house: House, began: float, say: Say) -> None:
    for event in house.diary.events:
        if not event.fault and event.part != "backup":
            say(f"{event.began - began:6.1f} s  {event.what}")
    kinds = Counter(violation.sentence for violation in verdict.violations)
    for sentence, count in kinds.most_common(20):
        say(f"BROKEN {count} x: {sentence}")
    for violation in [violation for violation in verdict.violations if violation.run][:STORIES]:
        name = books.rows.get(violation.run, books.answers.get(violation.run, {}))
        say(f"\n{violation.run} ({name.get('task_name', name.get('job', '?'))}) {violation.sentence}")
        say(story(violation.run, books, house.diary, house.logs, began))
    by = Counter(answer["by"] for answer in books.answers.values())
    again = sum(1 for answer in books.answers.values() if answer["tries"] > 1)
    say(f"{by['form']:,} accepted by a form, {by['verb']:,} by the verb, {again:,} after asking again; "
        f"states {dict(books.states)}")  # fmt: skip
    if verdict.away or verdict.rewound:
        say(
            f"The restored database: {len(verdict.away):,} runs unknown since; "
            f"{len(verdict.rewound):,} whose execution it forgot, {verdict.repeated:,} of them executed again"
        )
    say(f"The slowest loss was told {verdict.slowest_told:.0f} s after everything that tells was up")


def _dropped(house: House, verdict: Verdict) -> str:
    """Messages that workers dropped because the ledger did not wait for them, by their own logs."""
    dropped = unknown = 0
    for worker in (*house.workers, house.skewed):
        if worker.log.exists():
            for line in worker.log.read_text(errors="replace").splitlines():
                if "not claimed, dropped" in line:
                    dropped += 1
                    unknown += any(run in line for run in verdict.away)
    return f"{dropped:,} messages dropped by the claim, {unknown:,} of them of runs that the database does not know"


def _last_line(books: Books, verdict: Verdict, faults: int, seed: int) -> str:
    states, wrong = books.states, [violation.sentence for violation in verdict.violations]
    doubled = sum("times" in sentence or "twice" in sentence for sentence in wrong)
    missing = sum("not in the database" in sentence or "still" in sentence for sentence in wrong)
    other = len(wrong) - doubled - missing
    return (
        f"{len(books.answers):,} accepted, {states['succeeded']:,} succeeded, {states['failed']:,} failed, "
        f"{states['lost']:,} lost (<= {verdict.hit:,} hit), {len(verdict.away):,} restored away, {doubled:,} doubled, "
        f"{missing:,} missing, {other:,} otherwise wrong, {faults} faults, seed {seed}"
    )
