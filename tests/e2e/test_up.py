"""`make up` for real: from an empty folder to the ready line, to nothing left; every refusal in one sentence."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from opsconsole.up import HARDLY_BEGUN
from tests.e2e.processes import PROJECT, free_port, wait_for

READY = re.compile(r"^opsconsole is ready: (\S+)  \(self-check run [0-9a-f]{8} succeeded in [\d.]+ s\)$", re.MULTILINE)
PASSWORD = re.compile(r"^Sign in as user admin, password ([a-z2-9]{5}(?:-[a-z2-9]{5}){3})  ", re.MULTILINE)


class Launch:
    """One `python -m opsconsole.up` with its own `var/` and nothing of this process's environment."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.var = folder / "var"
        self.port = free_port()
        self.environment = {
            "HOME": str(folder),
            "PATH": "/usr/bin:/bin",
            "OPSCONSOLE_VAR": str(self.var),
            "PORT": str(self.port),
            "WORKER_CONCURRENCY": "1",
            "WEB_CONCURRENCY": "1",
            **environment,
        }
        self.log = folder / f"up-{self.port}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "opsconsole.up"],
                cwd=PROJECT,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def text(self) -> str:
        return self.log.read_text()

    def await_ready(self) -> str:
        """The URL of the ready line."""

        def ready() -> re.Match[str] | None:
            found = READY.search(self.text)
            assert found or self.process.poll() is None, self.text
            return found

        found = wait_for(ready, f"the ready line in {self.log}", 90)
        assert found is not None
        return found[1]

    def interrupt(self) -> int:
        """Ctrl-C, as often as a person in a hurry presses it; the exit code."""
        self.process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            return self.process.wait(5)
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(20)

    def manage(self, *arguments: str) -> str:
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=PROJECT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout

    def processes(self) -> dict[int, str]:
        """Every living process that was started with this `var/`, by its number."""
        found = {}
        mark = f"OPSCONSOLE_VAR={self.var}".encode()
        for folder in Path("/proc").iterdir():
            with suppress(OSError):
                if folder.name.isdigit():
                    command = b" ".join(_fields(folder / "cmdline")).decode().strip()
                    # Redis writes its title over its environment; the title names its socket.
                    if mark in _fields(folder / "environ") or f"{self.var}/redis.sock" in command:
                        found[int(folder.name)] = command
        return found

    def end(self) -> None:
        """Kill whatever is left, so that a test that failed leaves nothing."""
        for pid in self.processes():
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(10)


def _fields(path: Path) -> list[bytes]:
    return path.read_bytes().split(b"\0")


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., Launch]]:
    launches: list[Launch] = []

    def start(**environment: str) -> Launch:
        launches.append(Launch(tmp_path, **environment))
        return launches[-1]

    yield start
    for one in launches:
        one.end()


def refusal(one: Launch) -> str:
    """The one sentence with which a start ended; fails on anything else."""
    assert one.process.wait(60) == 1, one.text
    lines = one.text.splitlines()
    assert len(lines) == 1, one.text
    assert not one.processes()
    return lines[0]


def test_from_nothing_to_ready_and_back_to_nothing(launch: Callable[..., Launch]) -> None:
    first = launch()
    url = first.await_ready()
    assert url == f"http://127.0.0.1:{first.port}/admin/"
    password = PASSWORD.search(first.text)
    assert password
    with urllib.request.urlopen(url, timeout=10) as page:  # noqa: S310 - our own address
        assert page.status == 200
        assert page.url.startswith(f"{url}login/")
    assert stat.S_IMODE((first.var / "opsconsole.env").stat().st_mode) == 0o600
    commands = " ".join(first.processes().values())
    for name in ("gunicorn", "celery -A opsconsole worker", "celery -A opsconsole beat", "recorder", "redis-server"):
        assert name in commands

    second = launch()
    assert refusal_while_running(second) == (
        f"opsconsole: The console already runs at {url} (process {first.process.pid}); "
        "stop that one with Ctrl-C before you start it again."
    )

    # Commands by hand find the same database and Redis through var/opsconsole.env.
    assert re.match(r"self-check run \w{8} succeeded", first.manage("self_check"))
    again = re.match(r"user admin, password (\S+)\n$", first.manage("reset_admin"))
    assert again
    assert again[1] != password[1]

    shut_down_as_the_page_does(first)
    assert re.match(r"self-check run \w{8} succeeded", first.manage("self_check"))

    assert first.interrupt() == 0
    assert first.text.endswith("Stopped.\n")
    assert "Traceback" not in first.text
    assert not first.processes()
    everywhere = [path for path in first.var.rglob("*") if path.is_file()]
    assert not [path for path in everywhere if password[1].encode() in path.read_bytes()]


def shut_down_as_the_page_does(one: Launch) -> None:
    """Its worker is told to go, and another takes its place; all else goes on."""
    before = {
        pid: command for pid, command in one.processes().items() if "recorder" in command or "gunicorn" in command
    }
    asked = "from celery import current_app; current_app.control.shutdown()"
    wait_for(lambda: "ready." in one.text, "the worker")
    # One that has hardly begun is taken for one that cannot live.
    wait_for(lambda: _age(one, "celery -A opsconsole worker") > HARDLY_BEGUN, "the worker to have lived for a while")
    one.manage("shell", "-c", asked)
    wait_for(lambda: "The worker was shut down; it is started again." in one.text, "the end of the worker", 40)
    wait_for(lambda: one.text.count(" ready.") > 1, "another worker", 40)
    assert before.items() <= one.processes().items()


def _age(one: Launch, command: str) -> float:
    """Seconds since the oldest of these processes was started."""
    ticks = os.sysconf("SC_CLK_TCK")
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    found = [pid for pid, words in one.processes().items() if command in words]
    began = [int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]) / ticks for pid in found]
    return uptime - min(began, default=uptime)


def refusal_while_running(one: Launch) -> str:
    assert one.process.wait(60) == 1, one.text
    return one.text.strip()


def test_a_start_after_a_kill_ends_what_was_left_and_keeps_the_data(launch: Callable[..., Launch]) -> None:
    first = launch()
    first.await_ready()
    before = first.processes()
    first.process.kill()
    first.process.wait(10)
    assert len(first.processes()) == len(before) - 1, "the others live on: that is what the next start must end"

    second = launch()
    second.await_ready()
    assert not PASSWORD.search(second.text), "the administrator of the first start is still there"
    assert not before.keys() & second.processes().keys()

    # A process that ends by itself ends all, and is named.
    (recorder,) = [pid for pid, command in second.processes().items() if command.endswith("manage.py recorder")]
    os.kill(recorder, signal.SIGKILL)
    assert second.process.wait(60) == 1
    assert (
        "opsconsole: recorder ended by itself (killed by SIGKILL), so all were stopped; its lines above say why.\n"
        in second.text
    )
    assert not second.processes()


def test_ctrl_c_before_it_is_ready_leaves_nothing(launch: Callable[..., Launch]) -> None:
    one = launch()
    wait_for(lambda: (one.var / "redis.sock").exists(), "Redis to come up", 30)
    assert one.interrupt() == 0
    assert "Traceback" not in one.text
    assert not one.processes()


def test_a_taken_port_is_one_sentence(launch: Callable[..., Launch]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        sentence = refusal(launch(PORT=str(port)))
    assert sentence == f"opsconsole: Port {port} is taken; choose another: PORT={port + 1} make up."


def test_a_redis_that_does_not_answer_is_one_sentence_without_the_password(launch: Callable[..., Launch]) -> None:
    port = free_port()
    sentence = refusal(launch(REDIS_URL=f"redis://:hidden@127.0.0.1:{port}/0"))
    assert sentence == (
        f"opsconsole: Redis at 127.0.0.1:{port} does not answer; start it, correct REDIS_URL, "
        "or unset REDIS_URL to use the Redis that comes with the console."
    )


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://root@127.0.0.1/console", "the console runs on SQLite and PostgreSQL"),
        ("nonsense", "DATABASE_URL"),
        ("postgres://console:hidden@127.0.0.1:{port}/console", "start it, correct DATABASE_URL, or unset DATABASE_URL"),
    ],
)
def test_a_database_url_that_does_not_work_is_one_sentence(launch: Callable[..., Launch], url: str, words: str) -> None:
    sentence = refusal(launch(DATABASE_URL=url.format(port=free_port())))
    assert words in sentence
    assert "hidden" not in sentence


def test_a_file_that_is_no_database_is_one_sentence(launch: Callable[..., Launch], tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "opsconsole.sqlite3").write_text("not a database, but long enough to look like a file" * 50)
    sentence = refusal(launch())
    assert "opsconsole.sqlite3 cannot be used (file is not a database)" in sentence
    assert "move the file away" in sentence


def test_a_folder_that_cannot_be_written_is_one_sentence(launch: Callable[..., Launch]) -> None:
    sentence = refusal(launch(OPSCONSOLE_VAR="/proc/opsconsole"))
    assert sentence.startswith("opsconsole: The folder /proc/opsconsole cannot be written (")
    assert "OPSCONSOLE_VAR=/folder make up" in sentence


@pytest.mark.parametrize(
    ("python", "sentence"),
    [
        ("exit 1", "{python} is older than 3.11; install a newer one, or name one: make PYTHON=python3.11 up"),
        ("case $2 in *version*) ;; *) exit 1 ;; esac", "{python} comes without venv; install it"),
        (None, "there is no {python} here; install Python 3.11 or newer"),
    ],
)
def test_make_says_in_one_sentence_which_python_it_wants(tmp_path: Path, python: str | None, sentence: str) -> None:
    fake = tmp_path / "python3"
    if python is not None:
        fake.write_text(f"#!/bin/sh\n{python}\n")
        fake.chmod(0o755)
    (tmp_path / "requirements").mkdir()
    for name in ("Makefile", "requirements/install", "requirements/base.txt"):
        shutil.copy(PROJECT / name, tmp_path / name)
    answer = subprocess.run(
        ["make", f"PYTHON={fake}", "up"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    first, *rest = answer.stderr.splitlines()
    assert first.startswith("opsconsole: " + sentence.format(python=fake))
    assert [line[:9] for line in rest] == ["make: ***"]
    assert not (tmp_path / ".venv").exists()
