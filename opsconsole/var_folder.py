"""The folder `var/`: what the launcher keeps there, and the locks by which a second start notices the first."""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ENV_FILE = "opsconsole.env"
LOCK_FILE = "up.lock"
_HEADER = """\
# Made by `make up` and read by settings.py; a variable of the environment wins over a line of this file.
# EMBEDDED_REDIS=on: `make up` starts a Redis of its own and keeps REDIS_URL up to date. To use another Redis for
# good, write EMBEDDED_REDIS=off and its REDIS_URL.
"""


class CannotStart(Exception):
    """The console cannot start or go on; the text is one sentence that names the remedy."""


def open_var_folder(path: Path) -> Path:
    """Make the folder if it is missing and see that it can be written.

    Returns:
        The absolute path.

    Raises:
        CannotStart: it cannot be made or written.
    """
    path = path.absolute()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = path / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise CannotStart(
            f"The folder {path} cannot be written ({error.strerror}); start from a folder that you may write, "
            "or name one with OPSCONSOLE_VAR=/folder make up."
        ) from None
    return path


def read_env_file(var: Path) -> dict[str, str]:
    """The `NAME=value` lines of `var/opsconsole.env`; empty when there is none.

    Raises:
        CannotStart: the file exists and cannot be read.
    """
    path = var / ENV_FILE
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise CannotStart(f"{path} cannot be read ({error}); correct it, or move it away to get a new one.") from None
    return {name: value.strip("'\"") for name, value in (m.groups() for m in map(_assignment, lines) if m)}


def _assignment(line: str) -> re.Match[str] | None:
    return re.match(r"(?:export )?([A-Za-z_][A-Za-z0-9_]*)=(.*)$", line.strip())


def write_env_file(var: Path, values: Mapping[str, str]) -> None:
    """Set these lines of `var/opsconsole.env` and keep all others; the file is the owner's alone from the first byte.

    Raises:
        CannotStart: it cannot be written.
    """
    path = var / ENV_FILE
    pending = dict(values)
    lines = []
    for line in path.read_text().splitlines() if path.exists() else _HEADER.splitlines():
        match = _assignment(line)
        lines.append(f"{match[1]}={pending.pop(match[1])}" if match and match[1] in pending else line)
    lines += [f"{name}={value}" for name, value in pending.items()]
    fresh = path.with_suffix(".new")
    try:
        fresh.unlink(missing_ok=True)
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write("\n".join(lines) + "\n")
        fresh.replace(path)
    except OSError as error:
        raise CannotStart(f"{path} cannot be written ({error.strerror}); make it yours, or move it away.") from None


def ensure_env_file(var: Path) -> dict[str, str]:
    """Make `var/opsconsole.env` once, complete it later, and return what it says."""
    values = read_env_file(var)
    wanted = {"SECRET_KEY": secrets.token_urlsafe(50), "HTTPS": "off", "EMBEDDED_REDIS": "on"}
    missing = {name: value for name, value in wanted.items() if name not in values}
    if missing:
        write_env_file(var, missing)
    return {**values, **missing}


@dataclass
class LivingLock:
    """A lock on a file that a process and all children which inherit `fd` hold as long as one of them lives.

    The file's text is a note (JSON) about the holder. Pid files lie after a crash; this lock does not.
    """

    path: Path
    fd: int = field(repr=False)

    @classmethod
    def take(cls, path: Path) -> LivingLock | None:
        """The lock, or None while another holds it.

        Raises:
            CannotStart: the file cannot be opened.
        """
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise CannotStart(f"{path} cannot be opened ({error.strerror}); make it yours, or move it away.") from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            return None
        return cls(path, fd)

    def write_note(self, note: Mapping[str, Any]) -> None:
        """Replace the note."""
        text = json.dumps(dict(note)).encode()
        os.ftruncate(self.fd, 0)
        os.pwrite(self.fd, text, 0)

    def release(self) -> None:
        """Let go; children that inherited the lock keep it."""
        os.close(self.fd)


def read_note(path: Path) -> dict[str, Any]:
    """The holder's note; empty when there is none or it is being written."""
    try:
        note = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def is_alive(pid: object) -> bool:
    """Whether a process with this id exists."""
    if not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def take_over(path: Path, pids: list[int], *, patience: float, hurry: Callable[[], bool]) -> LivingLock | None:
    """End what still holds the lock after its launcher was killed, and take the lock.

    Args:
        pids: the processes that were started, each the leader of a session of its own. SIGTERM first, after `patience`
            seconds SIGKILL to all of each session.
        hurry: asked all the time; True ends the patience.

    Returns:
        The lock, or None when something holds it still.
    """
    for end, seconds in ((end_leader, patience), (kill_group, 5.0)):
        for pid in pids:
            end(pid)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if (lock := LivingLock.take(path)) is not None:
                return lock
            if end is end_leader and hurry():
                break
            time.sleep(0.1)
    return None


def end_leader(pid: int) -> None:
    """SIGTERM to the leader of a session alone: a worker ends its pool itself, and lets jobs finish first.

    Nothing happens when the number belongs to no leader; it may have been given to another process since.
    """
    with suppress(OSError):
        if pid > 1 and os.getsid(pid) == pid:
            os.kill(pid, signal.SIGTERM)


def kill_group(pid: int) -> None:
    """SIGKILL to whatever is left in the group of a session's leader, also when the leader itself is gone."""
    with suppress(OSError):
        if pid > 1:
            os.killpg(pid, signal.SIGKILL)
