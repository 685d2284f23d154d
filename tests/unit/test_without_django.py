"""What a worker of a joined application imports needs no Django: the program has none (docs/integrate.md)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys
from importlib.machinery import PathFinder


class WithoutDjango(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.startswith("django") else super().find_spec(name, path, target)


sys.meta_path[:] = [WithoutDjango if finder is PathFinder else finder for finder in sys.meta_path]

from celery import Celery, shared_task
from celery.contrib.testing.worker import start_worker
from kombu.utils.imports import symbol_by_name

from jobs import attach, check_cancelled, integrate, progress

app = Celery("plain", broker="memory://", backend="cache+memory://")
integrate(app)


@app.task(bind=True)
def add(self, x, y):
    check_cancelled()
    return x + y + len(list(progress([], noun="rows")))


# Where the broker is a Redis these are looked up by name.
symbol_by_name("jobs.pipeline.backend:RecordingBackend")
symbol_by_name("jobs.pipeline.backend:RecordingSentinelBackend")
with start_worker(app, pool="solo", perform_ping_check=False, shutdown_timeout=30):
    assert add.delay(1, 2).get(timeout=20) == 3
assert not [name for name in sys.modules if name.partition(".")[0] == "django"]
print("no Django was needed")
"""


def test_a_worker_of_a_joined_application_imports_no_django(tmp_path: Path) -> None:
    program = tmp_path / "plain.py"
    program.write_text(PROGRAM)
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, str(program)]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert "no Django was needed" in done.stdout, done.stdout + done.stderr
