"""Every number of the Queues page against what Redis and real workers truly hold: counted anew, by another way."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from jobs.fleet.samples import LATEST_KEY
from tests.e2e.client import Person
from tests.e2e.conftest import PASSWORD
from tests.e2e.processes import BIN, PROJECT, Daemon, Stack, wait_for
from tests.e2e.queue_settings import NAMES, OPTIONS

LIST = "/admin/jobs/run/queues/"
PREFIX, BETWEEN = OPTIONS["global_keyprefix"], OPTIONS["sep"]
#: Node name, pool, queues, and whether it acknowledges late.
WORKERS = (
    ("early@tests", "prefork", "q000", ""),
    ("late@tests", "threads", "q001,q003", "yes"),
    ("solo@tests", "solo", "q002", ""),
)


@dataclass(frozen=True, slots=True)
class Held:
    """What Redis and the outside book say of one queue."""

    ready: int
    reserved: int
    held: int
    running: int


@pytest.fixture
def workers(running: Stack, tmp_path: Path) -> Iterator[Path]:
    """Redis, three workers of three pools, recorder and web with the settings of queue_settings; their flag."""
    book = tmp_path / "book.jsonl"
    env = {**running.env, "DJANGO_SETTINGS_MODULE": "tests.e2e.queue_settings", "OUTSIDE_BOOK": str(book)}
    for daemon in (running.recorder, running.worker, running.web):
        daemon.stop()
    running.up()
    running.client().flushall()
    daemons = []
    for name, pool, listens, late in WORKERS:
        command = [str(BIN / "celery"), "-A", "opsconsole", "worker", "-n", name, "-P", pool, "-Q", listens]
        command += ["-c", "1" if pool == "solo" else "2", "-l", "INFO", "--without-gossip", "--without-mingle"]
        daemons.append(Daemon(name, command, running.root / "logs", {**env, "ACKS_LATE": late}, "ready."))
    daemons.append(Daemon("queues-recorder", running.recorder.command, running.root / "logs", env, "leads."))
    daemons.append(Daemon("queues-web", running.web.command, running.root / "logs", env, "Listening at"))
    flag = tmp_path / "go"
    try:
        for daemon in daemons:
            daemon.start()
        yield flag
    finally:
        flag.touch()
        for daemon in daemons:
            if daemon.process is not None:
                daemon.kill()
        running.client().flushall()


def test_every_number_is_what_redis_and_the_workers_hold(running: Stack, workers: Path) -> None:
    env = {**running.env, "DJANGO_SETTINGS_MODULE": "tests.e2e.queue_settings"}
    written = workers.parent / "queues.json"
    command = [sys.executable, "-m", "tests.e2e.publish_many", str(workers), str(written)]
    subprocess.run(command, cwd=PROJECT, env=env, check=True, timeout=60)
    client, book = running.client(), workers.parent / "book.jsonl"
    queue_of = json.loads(written.read_text())
    person = Person(running.url)
    person.sign_in("ana", PASSWORD)

    def agree() -> tuple[dict[str, Held], dict[str, Held]] | None:
        true, shown = truth(client, book, queue_of), page(person, ("q000", "q001", "q002", "q003", "q1"))
        settled = sum(one.running for one in true.values()) == 5 and true["q003"].held == 5
        return (true, shown) if settled and all(shown[name] == true[name] for name in shown) else None

    true, shown = wait_for(agree, "the page to tell what is true", 30)
    assert sum(one.ready + one.reserved + one.held + one.running for one in true.values()) == 3 * 13 + 5 + 550
    assert true["q000"].running == 2 and true["q000"].reserved == 8 and true["q000"].ready == 3
    assert true["q001"].running == 2 and true["q001"].reserved > 0 and true["q002"].running == 1
    assert len([name for name in shown if name.startswith("q1")]) == 100
    assert true["q109"].ready == 10 and "1 of priority 0, 1 of priority 1" in person.get(f"{LIST}?q=q109").text
    names_of_the_recorder(client)


def names_of_the_recorder(client: Redis) -> None:
    """The recorder measures, by the same options, and takes no queue of Celery's own for an unexpected one."""

    def measured() -> dict[str, Any] | None:
        latest = json.loads(client.get(OPTIONS["global_keyprefix"] + LATEST_KEY) or "{}")
        # A queue has a rate once it was measured twice.
        return latest if latest.get("window") and set(latest["rates"]) == set(NAMES) else None

    assert wait_for(measured, "the recorder to have measured each twice", 30)["found"] == []


def truth(client: Redis, book: Path, queue_of: dict[str, str]) -> dict[str, Held]:
    """Every list by itself, every message with a worker parsed whole, and what the jobs themselves have noted."""
    at_work = {line["id"] for line in map(json.loads, book.read_text().splitlines())} if book.exists() else set()
    reserved: Counter[str] = Counter()
    held: Counter[str] = Counter()
    for value in client.hgetall(PREFIX + OPTIONS["unacked_key"]).values():
        message, _, routing = json.loads(value)
        name, headers = routing.removeprefix("to."), message["headers"]
        if headers["id"] in at_work:
            continue
        if headers["eta"] and datetime.fromisoformat(headers["eta"]).timestamp() > time.time():
            held[name] += 1
        else:
            reserved[name] += 1
    started = Counter(queue_of[task_id] for task_id in at_work)
    return {
        name: Held(
            sum(client.llen(f"{PREFIX}{name}{BETWEEN}{step}" if step else PREFIX + name) for step in range(10)),
            reserved[name],
            held[name],
            started[name],
        )
        for name in NAMES
    }


def page(person: Person, names: tuple[str, ...]) -> dict[str, Held]:
    """What the page shows for queues whose names begin so."""
    shown = {}
    for asked in names:
        text = person.get(f"{LIST}?q={asked}").text
        for row in re.findall(r'<tr class="oc-row.*?</tr>', text, re.S):
            (name,) = map(unescape, re.findall(r'class="oc-subject"[^>]*>([^<]*)<', row))
            numbers = dict(re.findall(r'<td class="oc-num[^"]*" data-l="(\w+)">\s*(?:<span[^>]*>)?(\d+)', row))
            shown[name] = Held(*(int(numbers[one]) for one in ("Ready", "Reserved", "Held", "Running")))
    return shown
