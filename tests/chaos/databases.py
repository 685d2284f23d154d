"""The databases that the chaos runs on: each can fail in its own ways, and be put back to what it was minutes ago."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import time
from abc import ABC, abstractmethod
from pathlib import Path

from tests.e2e.processes import free_port, wait_for


class Database(ABC):
    """One database of its own, in a folder of its own."""

    url: str

    @abstractmethod
    def start(self) -> None:
        """Make it ready to be used."""

    @abstractmethod
    def outage(self, seconds: float) -> None:
        """Take it away for so long."""

    @abstractmethod
    def backup(self) -> None:
        """Keep a copy, while it is in use."""

    @abstractmethod
    def restore(self) -> None:
        """Put the copy in its place, while the console is running."""

    @abstractmethod
    def stop(self) -> None:
        """End what `start` started."""


class Sqlite(Database):
    """A file. It cannot be stopped: its outage is somebody who holds the write lock."""

    def __init__(self, folder: Path) -> None:
        self._path, self._copy = folder / "chaos.sqlite3", folder / "backup.sqlite3"
        self.url = f"sqlite:///{self._path}"

    def start(self) -> None:
        """A file needs no server."""

    def stop(self) -> None:
        """Nothing was started."""

    def outage(self, seconds: float) -> None:
        connection = sqlite3.connect(self._path, timeout=60, isolation_level=None)
        connection.execute("BEGIN EXCLUSIVE")
        time.sleep(seconds)
        connection.execute("ROLLBACK")
        connection.close()

    def backup(self) -> None:
        self._over(self._path, self._copy)

    def restore(self) -> None:
        # By SQLite's own way, into the file that others have open: one transaction for them.
        self._over(self._copy, self._path)

    @staticmethod
    def _over(source: Path, target: Path) -> None:
        read, write = sqlite3.connect(source, timeout=60), sqlite3.connect(target, timeout=60)
        read.backup(write)
        read.close()
        write.close()


class Postgres(Database):
    """A cluster of its own. Commits reach the operating system, so that a killed server keeps them."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._port = folder / "postgres", free_port()
        self._data, self._copy = self._folder / "data", self._folder / "backup"
        self._programs = programs()
        self._owner: list[str] = []
        self.url = f"postgres://postgres@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        self._folder.mkdir()
        if os.getuid() == 0:
            # PostgreSQL refuses to run as root.
            shutil.chown(self._folder, "nobody", "nogroup")
            self._owner = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups", "env"]
            self._owner.append(f"HOME={self._folder}")
        self._run("initdb", "--pgdata", str(self._data), "--username", "postgres", "--auth", "trust", "--no-sync",
                  "--encoding", "UTF8", "--locale", "C.UTF-8")  # fmt: skip
        self._go()

    def outage(self, seconds: float) -> None:
        self.stop()
        time.sleep(seconds)
        self._go()

    def backup(self) -> None:
        self._run("pg_basebackup", "-h", "127.0.0.1", "-p", str(self._port), "-U", "postgres", "-D", str(self._copy),
                  "--checkpoint", "fast", "--no-sync")  # fmt: skip

    def restore(self) -> None:
        self.stop()
        self._data.rename(self._folder / "lost")
        self._copy.rename(self._data)
        self._go()

    def stop(self) -> None:
        """As a power cut: nobody is told, nothing is written any more."""
        self._run("pg_ctl", "--pgdata", str(self._data), "--mode", "immediate", "--silent", "stop")

    def _go(self) -> None:
        options = f"-p {self._port} -k {self._folder} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=200"
        log = str(self._folder / "server.log")
        self._run("pg_ctl", "--pgdata", str(self._data), "--log", log, "--silent", "--wait", "start", "-o", options)
        wait_for(lambda: self._answers(), "PostgreSQL to answer", 60)

    def _answers(self) -> bool:
        command = [str(self._programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self._port)]
        return subprocess.run(command, check=False).returncode == 0

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._owner, str(self._programs / program), *arguments]
        subprocess.run(command, cwd=self._folder, check=True, stdout=subprocess.DEVNULL, timeout=180)


def programs() -> Path:
    """Where the newest installed PostgreSQL has its programs.

    Raises:
        SystemExit: there is none.
    """
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    on_path = shutil.which("initdb")
    if not found and on_path is None:
        raise SystemExit("There is no PostgreSQL server on this machine; install it, or set CHAOS_ON=sqlite.")
    return found[-1].parent if found else Path(str(on_path)).resolve().parent


KINDS: dict[str, type[Sqlite] | type[Postgres]] = {"sqlite": Sqlite, "postgresql": Postgres}
