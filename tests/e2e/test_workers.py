"""Every number of the Workers page against what real workers truly hold, by Celery's own inspection and by /proc."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from kombu import Exchange, Queue, pools

from jobs.fleet.beacon import read_beacons
from jobs.fleet.day import read_day
from jobs.models import AuditEvent
from tests.e2e.client import Person
from tests.e2e.conftest import PASSWORD
from tests.e2e.processes import BIN, Daemon, Stack, wait_for
from tests.jobs_under_test import book, hold

LIST = "/admin/jobs/run/workers/"
#: Node name, pool, queue, slots, and how many runs it is given.
WORKERS = (("one@tests", "prefork", "default", 2, 6), ("two@tests", "threads", "reports", 3, 2))
SOLO = ("solo@tests", "solo", "spare", 1, 2)


@dataclass(frozen=True, slots=True)
class Shown:
    """What the list shows of one worker."""

    state: str
    used: int
    slots: int
    reserved: int
    memory: float
    queues: str


@dataclass
class Fleet:
    """Three workers of three pools that hold runs until the flag exists."""

    stack: Stack
    daemons: dict[str, Daemon]
    flag: Path
    ids: dict[str, list[str]]
    person: Person


@pytest.fixture(scope="module")
def fleet(running: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    running.up()
    # Tests before may have started another Redis: what this process had connected to is gone.
    pools.reset()
    app: Any = current_app
    app._pool = app.amqp._producer_pool = None
    for daemon in (running.recorder, running.worker):
        daemon.stop()
    running.client().flushall()
    # Queues are declared: nobody may name one that no setting knows.
    env, daemons = {**running.env, "QUEUES": "default,reports,spare"}, {}
    for name, pool, queue, slots, _ in (*WORKERS, SOLO):
        command = [str(BIN / "celery"), "-A", "opsconsole", "worker", "-n", name, "-P", pool, "-Q", queue]
        command += ["-c", str(slots), "-l", "INFO", "--without-gossip", "--without-mingle"]
        daemons[name] = Daemon(name, command, running.root / "logs", env, "ready.")
    flag = tmp_path_factory.mktemp("workers") / "go"
    try:
        with ThreadPoolExecutor() as together:
            list(together.map(Daemon.start, daemons.values()))
        running.up(running.web)
        person = Person(running.url)
        person.sign_in("ana", PASSWORD)
        ids = {
            name: [
                hold.apply_async(args=[str(flag)], queue=Queue(queue, Exchange(queue), routing_key=queue)).id
                for _ in range(count)
            ]
            for name, _, queue, _, count in (*WORKERS, SOLO)
        }
        yield Fleet(running, daemons, flag, ids, person)
    finally:
        flag.touch()
        for daemon in daemons.values():
            if daemon.process is not None and daemon.process.poll() is None:
                daemon.kill()
        running.client().flushall()


def shown(person: Person, text: str = "") -> dict[str, Shown]:
    """The rows of the list."""
    rows = {}
    for row in re.findall(r'<tr class="oc-row.*?</tr>', text or person.get(LIST).text, re.S):
        name = unescape(re.findall(r'class="oc-subject"[^>]*>([^<]*)<', row)[0])
        state = re.findall(r"</span>([^<]*)</span></td>", row)[0]
        words = re.search(r"<b>(\d+)</b> of (\d+)(?: \+ (\d+) reserved)?", row)
        memory = re.search(r'data-c="memory">([\d.]+) (MB|GB)', row)
        queues = re.findall(r'data-c="queues">([^<]*)<', row)[0]
        used, slots, reserved = (int(one or 0) for one in words.groups()) if words else (-1, -1, -1)
        size = float(memory[1]) * {"MB": 1e6, "GB": 1e9}[memory[2]] if memory else -1.0
        rows[name] = Shown(state, used, slots, reserved, size, queues)
    return rows


def resident(pid: int) -> int:
    """Bytes of a process, by another file of /proc than the beacon reads."""
    line = next(one for one in Path(f"/proc/{pid}/status").read_text().splitlines() if one.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def test_every_number_is_what_the_workers_hold(fleet: Fleet) -> None:
    names = [name for name, *_ in WORKERS]
    inspect = current_app.control.inspect(destination=names, timeout=5)

    def settled() -> dict[str, Shown] | None:
        rows, active = shown(fleet.person), inspect.active() or {}
        full = all(len(active.get(name, ())) == min(slots, count) for name, _, _, slots, count in WORKERS)
        solo_runs = any(book(one) for one in fleet.ids[SOLO[0]])
        agree = full and all(rows.get(name) and rows[name].used == len(active[name]) for name in names)
        return rows if agree and solo_runs and rows[SOLO[0]].used == 1 else None

    rows = wait_for(settled, "the page and the workers to agree", 20)
    stats: Any = inspect.stats()
    active: Any = inspect.active()
    reserved: Any = inspect.reserved()
    queues: Any = inspect.active_queues()
    beacons = {beacon.worker: beacon for beacon in read_beacons(fleet.stack.client()).beacons}
    for name in names:
        row, told, beacon = rows[name], stats[name], beacons[name]
        assert (row.slots, beacon.pid) == (told["pool"]["max-concurrency"], told["pid"])
        assert (row.used, row.reserved) == (len(active[name]), len(reserved[name]))
        assert row.queues == ", ".join(sorted(one["name"] for one in queues[name]))
        assert beacon.prefetch == told["prefetch_count"]
        assert beacon.processed == sum(told["total"].values()) == row.used
        assert {one["id"]: one["time_start"] for one in active[name]} == {
            task_id: began for task_id, (began, _) in beacon.started.items()
        }
        assert {task for task, _ in beacon.tasks.values()} == {hold.name}
        processes = told["pool"].get("processes", [])
        assert sorted(map(int, beacon.children or {})) == sorted(processes)
        assert row.memory == pytest.approx(sum(map(resident, [told["pid"], *processes])), rel=0.2)
    assert rows["one@tests"].reserved == 2  # prefetch of one for each slot
    assert rows["one@tests"].state == "Busy" and rows["two@tests"].state == "Ready"
    # A solo worker is deaf while it works: only its job and /proc can tell.
    solo, beacon = rows[SOLO[0]], beacons[SOLO[0]]
    assert set(beacon.started) == {one for one in fleet.ids[SOLO[0]] if book(one)} and len(beacon.started) == 1
    assert (solo.used, solo.slots, solo.reserved, fleet.stack.client().llen("spare")) == (1, 1, 0, 1)
    assert beacon.pid == book(*beacon.started)[0]["pid"]
    assert solo.memory == pytest.approx(resident(beacon.pid), rel=0.2)
    day = read_day(fleet.stack.client(), SOLO[0], beacon.at)
    assert day[-1] is not None and day[-1].memory == pytest.approx(resident(beacon.pid), rel=0.2)
    wait_for(lambda: shown(fleet.person)[SOLO[0]].state == "Busy, no answer", "the page to tell that it is deaf")
    assert inspect_of(SOLO[0]).ping() is None


def inspect_of(name: str) -> Any:
    return current_app.control.inspect(destination=[name], timeout=1)


def test_a_killed_worker_is_told_within_six_seconds_and_then_as_gone(fleet: Fleet) -> None:
    fleet.daemons["two@tests"].kill()
    killed = time.monotonic()

    def told(*words: str) -> bool:
        return shown(fleet.person)["two@tests"].state in words

    wait_for(lambda: told("No news", "Gone"), "the page to miss its beat", 6)
    # The page asks for itself every two seconds.
    assert time.monotonic() - killed < 6 - 2, f"{time.monotonic() - killed:.1f} s"
    wait_for(lambda: told("Gone"), "the page to tell that it is gone", 8)
    page = fleet.person.get(f"{LIST}worker/?name=two@tests").text
    assert "It had 2 runs at work when it was last heard" in page


def ask(fleet: Fleet, name: str, verb: str, **values: str) -> str:
    """Send a verb as its page does; what the next page says."""
    address = f"{LIST}worker/ask/?name={name}&verb={verb}"
    assert fleet.person.get(address).status == 200
    answer = fleet.person.post(address, reason="OPS-1", **values)
    assert answer.status == 200
    return unescape(answer.text)


def test_verbs_reach_the_workers_and_tell_who_answered(fleet: Fleet) -> None:
    assert "Answered by 1 of 1 worker; 1 of 1 show it already." in ask(fleet, "one@tests", "grow", slots="1")
    stats: Any = inspect_of("one@tests").stats()
    # Celery tells the size it began with as the most; its processes tell the truth.
    assert len(stats["one@tests"]["pool"]["processes"]) == 3 == shown(fleet.person)["one@tests"].slots
    assert "Answered by 1 of 1" in ask(fleet, "one@tests", "start", queue="reports")
    queues: Any = inspect_of("one@tests").active_queues()
    assert {one["name"] for one in queues["one@tests"]} == {"default", "reports"}
    assert "Answered by 1 of 1" in ask(fleet, "one@tests", "stop", queue="default")
    assert shown(fleet.person)["one@tests"].queues == "reports"
    # It works in its main process: nobody can know now whether it has heard.
    silent = ask(fleet, SOLO[0], "stop", queue="spare")
    assert "Answered by 0 of 1 worker; solo@tests gave no answer and may do it later" in silent
    assert "0 of 1 show it already" in silent
    trail = AuditEvent.objects.filter(object_type="worker").order_by("pk")
    begun = trail.filter(verb="begin_command").values_list("details__command", flat=True)
    assert list(begun) == ["grow_pool", "start_consuming", "stop_consuming", "stop_consuming"]
    acts = trail.exclude(verb="begin_command").values_list("verb", "details__answered")
    assert list(acts) == [("grow_pool", 1), ("start_consuming", 1), ("stop_consuming", 1), ("stop_consuming", 0)]


def test_a_warm_stop_is_heard_until_the_last_run_has_ended(fleet: Fleet) -> None:
    said = ask(fleet, "one@tests", "shutdown")
    assert "one@tests is stopping" in said
    worker = fleet.daemons["one@tests"].process
    assert worker is not None
    client, until = fleet.stack.client(), time.monotonic() + 6

    def beats() -> int:
        return next((one.beat for one in read_beacons(client).beacons if one.worker == "one@tests"), 0)

    first = beats()
    wait_for(lambda: beats() > first > 0, "it to beat on while its runs last", 8)
    assert (
        shown(fleet.person)["one@tests"].state == "Stopping" and worker.poll() is None and time.monotonic() < until + 4
    )
    fleet.flag.touch()
    worker.wait(20)
    assert shown(fleet.person)["one@tests"].state == "Stopped"
    wait_for(lambda: shown(fleet.person)[SOLO[0]].queues == "none", "the solo worker to do what it heard", 10)
