"""How fast the recorder records, beside a stock worker that stores its own results, and how much memory it takes.

    python -m tests.bench.ingest [FILE.json]

BENCH_ROUNDS (7) interleaved rounds of BENCH_RESULTS (5,000) results, and BENCH_STOCK (600) through a worker with the
backend django-db. Then a recorder works off backlogs of BENCH_BACKLOGS (10000,100000,1000000) entries. With
TEST_DATABASE_URL on PostgreSQL (`.ci/with-postgres python -m …`), else on SQLite.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from redis import Redis

from tests.bench.history import PROJECT, Side, _environment

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "7"))
RESULTS = int(os.environ.get("BENCH_RESULTS", "5000"))
STOCK = int(os.environ.get("BENCH_STOCK", "600"))
BACKLOGS = [int(count) for count in os.environ.get("BENCH_BACKLOGS", "10000,100000,1000000").split(",") if count]
KINDS = ("observed", "console")
_PUBLISH = """
import django
django.setup()
from tests.bench.stock_worker import app
for _ in range({}):
    app.send_task("tests.bench.noop.noop")
"""


def main() -> int:
    """Measure, print the table, write the figures."""
    with tempfile.TemporaryDirectory(prefix="opsconsole-bench-") as folder:
        database = os.environ.get("TEST_DATABASE_URL") or f"sqlite:///{folder}/bench.sqlite3"
        with _environment(database, Path(folder)) as env:
            figures = bench(env, Redis(unix_socket_path=f"{folder}/redis.sock"))
    figures["database"] = database.partition(":")[0]
    _print(figures)
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(json.dumps(figures, indent=1))
    return 0


def bench(env: dict[str, str], redis: Redis) -> dict[str, Any]:
    """Results a second of each side in turn, then the memory."""
    env = {**env, "TASK_MODULES": "tests.bench.noop", "BENCH_BACKEND": "django-db", "LOG_LEVEL": "WARNING"}
    rates: dict[str, list[float]] = {name: [] for name in (*KINDS, "stock")}
    side = _child([sys.executable, "-m", "tests.bench.ingest_side"], env)
    ours = Side(side)
    ours.ask({"do": "drain"})
    try:
        for number in range(ROUNDS):
            sys.stderr.write(f"round {number + 1} of {ROUNDS}\n")
            rates["stock"].append(_stock(ours, env))
            for kind in KINDS:
                ours.ask({"do": "fill", "kind": kind, "count": RESULTS})
                rates[kind].append(RESULTS / ours.ask({"do": "drain"})["seconds"])
        memory = {count: _memory(ours, env, redis, count) for count in BACKLOGS}
    finally:
        side.kill()
        side.wait()
    medians = {name: statistics.median(values) for name, values in rates.items()}
    ratios = {
        kind: statistics.median(o / s for o, s in zip(rates[kind], rates["stock"], strict=True)) for kind in KINDS
    }
    return {"rounds": rates, "results a second": medians, "times stock": ratios, "recorder MB": memory}


def _child(command: list[str], env: dict[str, str]) -> subprocess.Popen[str]:
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
    return subprocess.Popen(command, cwd=PROJECT, env=env, **pipes)


def _stock(ours: Side, env: dict[str, str]) -> float:
    """Results a second that a stock worker with two processes stores; it starts when all its messages wait."""
    since = ours.ask({"do": "last"})["last"]
    subprocess.run([sys.executable, "-c", _PUBLISH.format(STOCK)], cwd=PROJECT, env=env, check=True)
    command = [str(Path(sys.executable).parent / "celery"), "-A", "tests.bench.stock_worker", "worker", "-c", "2"]
    command += ["--without-gossip", "--without-mingle", "-l", "ERROR"]
    worker = subprocess.Popen(command, cwd=PROJECT, env=env, stdout=subprocess.DEVNULL)
    try:
        while (told := ours.ask({"do": "stored", "since": since}))["count"] < STOCK:
            time.sleep(0.5)
    finally:
        worker.terminate()
        worker.wait()
    return float((STOCK - 1) / told["seconds"])


def _memory(ours: Side, env: dict[str, str], redis: Redis, count: int) -> dict[str, float]:
    """A real recorder works off so many entries: the most memory it ever had, and the entries a second."""
    entries = ours.ask({"do": "fill", "kind": "observed", "count": count // 2})["entries"]
    began = time.monotonic()
    recorder = subprocess.Popen([sys.executable, "manage.py", "recorder"], cwd=PROJECT, env=env)
    try:
        while redis.xlen("opsconsole:facts"):
            time.sleep(0.1)
        took = time.monotonic() - began
        status = Path(f"/proc/{recorder.pid}/status").read_text()
    finally:
        recorder.terminate()
        recorder.wait()
    kilobytes = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    return {"entries": entries, "MB": kilobytes / 1024, "entries a second": entries / took}


def _print(figures: dict[str, Any]) -> None:
    out = sys.stdout
    out.write(f"\n{figures['database']}; results a second, median of {ROUNDS} rounds\n\n")
    for name, rate in figures["results a second"].items():
        ratio = figures["times stock"].get(name)
        out.write(f"{name:<12}{rate:10.0f}{f'{ratio:9.1f}x stock' if ratio else ''}\n")
    for count, told in figures["recorder MB"].items():
        out.write(
            f"backlog {count:>10,}: at most {told['MB']:.0f} MB, {told['entries a second']:,.0f} entries a second\n"
        )
    out.flush()


if __name__ == "__main__":
    sys.exit(main())
