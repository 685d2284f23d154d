"""The processes of the Procfile: started, their lines printed one after the other, stopped without a remainder.

`honcho start` understands the same Procfile. Its own manager is not used here: it signals a process's whole group, so
that Ctrl-C would kill a worker's pool together with the jobs that the worker still lets finish, and it fails when
Ctrl-C comes before every process has reported its number.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TextIO

from honcho.colour import get_colours
from honcho.environ import parse_procfile
from honcho.printer import Message, Printer

from .var_folder import end_leader, kill_group

#: The worker gives its jobs 20 seconds (CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT) and then needs some to put them back.
STOP_SECONDS = 30.0


class Output:
    """Whole lines from many threads to one stream; `gone` once nobody reads it any more."""

    def __init__(self, stream: TextIO) -> None:
        self.gone = False
        self._stream = stream
        self._printer = Printer(stream)
        self._colours: dict[str, str] = {}
        self._lock = threading.Lock()

    def expect(self, names: list[str]) -> None:
        """Give each name a colour, and all of them one column."""
        self._printer.width = max(map(len, names), default=0)
        self._colours = dict(zip(names, get_colours(), strict=False))

    def line_of(self, name: str, data: bytes) -> None:
        """Print one line of a process, with the time and its name before it."""
        message = Message(type="line", data=data, time=datetime.now(), name=name, colour=self._colours.get(name))
        self._guard(lambda: self._printer.write(message))

    def say(self, text: str) -> None:
        """Print a line of the console itself."""

        def write() -> None:
            self._stream.write(text + "\n")
            self._stream.flush()

        self._guard(write)

    def _guard(self, write: Callable[[], None]) -> None:
        try:
            with self._lock:
                write()
        except (OSError, ValueError):
            # The terminal or the pipe is gone. The processes must still be read, or they block on a full pipe.
            self.gone = True


class Processes:
    """The children of one start."""

    def __init__(self, procfile: Path, environment: Mapping[str, str], output: Output, keep_open: list[int]) -> None:
        """
        Args:
            keep_open: file descriptors that the children inherit: the lock that says that they live.

        Raises:
            OSError: the Procfile cannot be read.
        """
        self._commands: Mapping[str, str] = parse_procfile(procfile.read_text()).processes
        self._folder = procfile.parent
        self._environment = dict(environment)
        self._output = output
        output.expect(list(self._commands))
        self._keep_open = keep_open
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._started: dict[str, float] = {}
        self._readers: list[threading.Thread] = []

    @property
    def pids(self) -> dict[str, int]:
        return {name: child.pid for name, child in self._children.items()}

    def start(self) -> None:
        """Start them all, each as the leader of a session of its own, which the terminal's Ctrl-C does not reach."""
        for name in self._commands:
            self._start(name)

    def _start(self, name: str) -> None:
        child = subprocess.Popen(
            ["/bin/sh", "-c", self._commands[name]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self._folder,
            env=self._environment,
            start_new_session=True,
            pass_fds=self._keep_open,
        )
        self._children[name], self._started[name] = child, time.monotonic()
        reader = threading.Thread(target=self._read, args=(name, child), name=f"reader-{name}", daemon=True)
        self._readers.append(reader)
        reader.start()

    def start_again(self, name: str) -> None:
        """Start one that has ended anew, once nothing of it is left."""
        kill_group(self._children[name].pid)
        self._start(name)

    def age(self, name: str) -> float:
        """Seconds since it was started last."""
        return time.monotonic() - self._started[name]

    def _read(self, name: str, child: subprocess.Popen[bytes]) -> None:
        if child.stdout is not None:
            for line in child.stdout:
                self._output.line_of(name, line)

    def ended(self) -> tuple[str, int] | None:
        """The first process found to have ended, with its exit code; None while all run."""
        for name, child in self._children.items():
            if (code := child.poll()) is not None:
                return name, code
        return None

    def stop(self, *, hurry: Callable[[], bool]) -> None:
        """End them all and return when none is left, nor any process that they started.

        Args:
            hurry: asked all the time; True ends the patience with jobs that still run.
        """
        for child in self._children.values():
            if child.poll() is None:
                end_leader(child.pid)
        deadline = time.monotonic() + STOP_SECONDS
        while any(child.poll() is None for child in self._children.values()):
            if time.monotonic() > deadline or hurry():
                break
            time.sleep(0.05)
        for child in self._children.values():
            # Also where the leader has ended: one that was killed leaves its pool behind.
            kill_group(child.pid)
            child.wait()
        for reader in self._readers:
            reader.join(timeout=2)
