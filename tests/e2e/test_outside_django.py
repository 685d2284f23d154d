"""A program that uses Celery without Django, where none is installed: its tasks are observed, by Redis alone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django_celery_results.models import TaskResult

from jobs.catalog.registry import find_job
from jobs.errors import UnknownJob
from jobs.fleet.headers import ATTEMPT_HEADER
from jobs.models import Run
from jobs.states import Source, State
from tests.e2e.conftest import finished
from tests.e2e.processes import PROJECT, Daemon, Stack, wait_for

#: The program as it was, before the lines of the document.
PROGRAM = """\
import logging
import os
import time
from pathlib import Path

from celery import Celery
from celery.utils.log import get_task_logger

app = Celery("plain", broker=os.environ["BROKER"], backend="rpc://")
app.conf.task_default_queue = "plain"
app.conf.worker_prefetch_multiplier = 3
"""
TASKS = """

from jobs import attach, check_cancelled, progress

logger = get_task_logger(__name__)


@app.task
def add(x, y):
    return x + y


@app.task
def log_in(user, password, token=""):
    raise ValueError(f"{user} is unknown")


@app.task(bind=True, default_retry_delay=0.1, max_retries=2)
def flaky(self):
    if not self.request.retries:
        raise self.retry(exc=ConnectionError("away"))
    return self.request.retries


@app.task
def go_on(flag):
    for row in progress(range(3), noun="letters"):
        check_cancelled()
        logger.info("letter %s", row)
        print("printed")
    while not Path(flag).exists():
        time.sleep(0.05)
    return "posted"


@app.task
def attach_one():
    attach("a.txt", "x", content_type="text/plain")


@app.task
def touch(path):
    Path(path).touch()
"""
#: What is no part of the environment of a program without Django.
ABSENT = re.compile(r"django|unfold|pytest|playwright|mypy|ruff", re.IGNORECASE)


class Program:
    """The program's folder, how it is run, and its worker."""

    def __init__(self, top: Path, stack: Stack) -> None:
        packages, self.folder = top / "packages", top / "program"
        packages.mkdir()
        self.folder.mkdir()
        for path in Path(sysconfig.get_path("purelib")).iterdir():
            if not ABSENT.search(path.name):
                (packages / path.name).symlink_to(path)
        (packages / "jobs").symlink_to(PROJECT / "jobs")
        (self.folder / "plain.py").write_text(PROGRAM + lines_to_type() + TASKS)
        self.env = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{packages}:{self.folder}",
            "PYTHONUNBUFFERED": "1",
            "BROKER": f"redis+socket://{stack.socket}",
            "RELEASE": "2026.12",
        }
        # -S: what is installed for this interpreter is not there, Django among it.
        self.python = [sys.executable, "-S"]
        command = [*self.python, "-m", "celery", "-A", "plain", "worker", "-l", "INFO", "-c", "1", "-n", "plain@tests"]
        self.worker = Daemon("plain", command, top, self.env, "ready.")
        self.worker.cwd = self.folder

    def run(self, code: str) -> list[str]:
        done = subprocess.run(
            [*self.python, "-c", code], cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.split()

    def send(self, call: str) -> Run:
        """The run of `add.delay(1, 2)` once it has ended."""
        (task_id,) = self.run(f"import plain; print(plain.{call}.id)")
        return finished(task_id)


def lines_to_type() -> str:
    """What the document says to write."""
    text = (PROJECT / "docs" / "integrate.md").read_text()
    (lines,) = re.findall(
        r"At the end of the module that makes the application:\n\n```python\n(.*?)```", text, re.DOTALL
    )
    return str(lines)


@pytest.fixture(scope="module")
def program(running: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    running.up(running.worker, running.recorder)
    program = Program(tmp_path_factory.mktemp("outside"), running)
    program.worker.start()
    yield program
    program.worker.stop()


def test_there_is_no_django(program: Program) -> None:
    assert program.run("from importlib.util import find_spec; print(find_spec('django'))") == ["None"]
    loaded = "import sys, plain; plain.app.finalize(); print([m for m in sys.modules if m.startswith('django')])"
    assert program.run(loaded) == ["[]"]


def test_what_it_publishes_and_executes_is_recorded(program: Program) -> None:
    task_id, result = program.run("import plain; r = plain.add.delay(20, y=22); print(r.id, r.get(timeout=20))")
    assert result == "42"
    run = finished(task_id)
    assert (run.task_name, run.state, run.source, run.guaranteed) == ("plain.add", State.SUCCEEDED, Source.CODE, False)
    assert (run.queue, run.worker, run.release) == ("plain", "plain@tests", "2026.12")
    assert json.loads(run.arguments) == [[20], {"y": 22}] and run.arguments_exact
    assert run.started_at and run.finished_at and run.started_at >= run.accepted_at
    assert TaskResult.objects.get(task_id=task_id).result == "42"


def test_a_failure_and_what_sounds_like_a_secret(program: Program) -> None:
    run = program.send("log_in.delay('ana', 'hunter2 is long', token='t-o-k-e-n')")
    assert (run.state, run.error_type, run.error_message) == (State.FAILED, "ValueError", "ana is unknown")
    row = TaskResult.objects.get(task_id=run.task_id)
    assert "ana" in run.arguments and "ana" in row.task_args
    for text in (run.arguments, row.task_args, row.task_kwargs, row.result, row.traceback):
        assert "hunter2" not in text and "t-o-k-e-n" not in text
    assert not run.arguments_exact


def test_an_automatic_retry(program: Program) -> None:
    run = program.send("flaky.delay()")
    assert (run.state, run.attempt) == (State.SUCCEEDED, 2)
    assert [one.error_type for one in run.attempts.all()] == ["ConnectionError"]


def test_lines_progress_and_the_worker_while_it_runs(program: Program, stack: Stack, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    (task_id,) = program.run(f"import plain; print(plain.go_on.delay({str(flag)!r}).id)")
    wait_for(lambda: task_id in (stack.told("plain@tests") or {}).get("running", {}), "its worker to tell of it")
    wait_for(lambda: Run.objects.filter(task_id=task_id, state=State.RUNNING).exists(), "the run to be seen at work")
    told = stack.told("plain@tests")
    assert told is not None and (told["machine"], told["files"], told["release"]) == ("", "", "2026.12")
    flag.touch()
    run = finished(task_id)
    assert run.state == State.SUCCEEDED
    lines = [text for _, _, _, text in json.loads(run.log.lines)]
    assert [text for text in lines if text.startswith("letter")] == ["letter 0", "letter 1", "letter 2"]
    assert lines.count("printed") == 3
    assert run.progress is not None and (run.progress["done"], run.progress["noun"]) == (3, "letters")


def test_what_needs_the_console_is_refused_in_a_sentence(program: Program) -> None:
    run = program.send("attach_one.delay()")
    assert (run.state, run.error_type) == (State.FAILED, "JobsError") and "without Django" in run.error_message


def test_the_console_starts_nothing_there(program: Program, tmp_path: Path) -> None:
    with pytest.raises(UnknownJob):
        find_job("plain.add")
    path = tmp_path / "touched"
    # As if a console knew this task, and had accepted a run of it.
    send = f"plain.touch.apply_async([{str(path)!r}], headers={{{ATTEMPT_HEADER!r}: 1}})"
    (task_id,) = program.run(f"import plain; print({send}.id)")
    wait_for(lambda: f"Run {task_id}, execution 1: dropped" in program.worker.log.read_text(), "it to be dropped")
    assert program.run("import plain; print(plain.add.delay(1, 1).get(timeout=20))") == ["2"]
    assert not path.exists()


def test_its_pages(program: Program) -> None:
    run = program.send("log_in.delay('ana', 'hunter2 is long')")
    client = Client()
    client.force_login(User.objects.get(username="ana"))
    page = client.get(f"/admin/jobs/run/{run.task_id}/change/")
    assert page.status_code == 200 and "plain.log_in" in page.content.decode()
    for path in ("/admin/jobs/run/", "/admin/", "/admin/jobs/run/workers/", "/admin/jobs/run/queues/"):
        assert client.get(path, follow=True).status_code == 200, path
