"""`make up`: all that the console needs, started, tried once through the real path, and stopped together.

In the order of this file: the address, the folder `var/` and its lock, Redis, the database, the processes, the proof.
Whatever an operator can get wrong ends in one sentence on standard error and exit code 1.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from . import embedded_redis
from .processes import Output, Processes
from .readiness import Manage, Prepared, Readiness
from .var_folder import (
    LOCK_FILE,
    CannotStart,
    LivingLock,
    ensure_env_file,
    is_alive,
    open_var_folder,
    read_note,
    take_over,
    write_env_file,
)

BASE_DIR = Path(__file__).resolve().parent.parent
#: A worker that says farewell was shut down by a person, unless it has hardly begun: seconds.
HARDLY_BEGUN = 10.0
#: How long what an earlier, killed start left behind may take to end: the worker's soft stop and some.
LEFTOVER_SECONDS = 30.0


class StopRequest:
    """Counts the requests to stop. A plain number: a signal handler must not touch a lock."""

    def __init__(self) -> None:
        self.count = 0

    def listen(self) -> None:
        """Take Ctrl-C, `kill` and a closed terminal as requests; a terminal that was told to be ignored stays so."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.count += 1

    def requested(self) -> bool:
        return self.count > 0

    def repeated(self) -> bool:
        return self.count > 1


@dataclass(frozen=True, slots=True)
class Address:
    """Where the web process listens."""

    host: str
    port: int

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Address:
        """HOST and PORT of the environment.

        Raises:
            CannotStart: PORT is no port.
        """
        text = environment.get("PORT") or "8000"
        if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65536:
            raise CannotStart(f"PORT must be a number from 1 to 65535, not {text!r}; for instance PORT=8001 make up.")
        return cls(environment.get("HOST") or "127.0.0.1", int(text))

    @property
    def reachable_host(self) -> str:
        """The host for a browser on this machine."""
        return "127.0.0.1" if self.host in {"0.0.0.0", "[::]"} else self.host  # noqa: S104 - compared, not bound

    @property
    def url(self) -> str:
        return f"http://{self.reachable_host}:{self.port}"

    def check_free(self) -> None:
        """See that the web process will be able to listen.

        Raises:
            CannotStart: the port is taken or not allowed, or the host is not of this machine.
        """
        try:
            family, kind, protocol, _, where = socket.getaddrinfo(
                self.host.strip("[]"), self.port, type=socket.SOCK_STREAM
            )[0]
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(where)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                other = self.port + 1 if self.port < 65535 else 8000
                raise CannotStart(f"Port {self.port} is taken; choose another: PORT={other} make up.") from None
            if error.errno == errno.EACCES:
                raise CannotStart(
                    f"Port {self.port} is not for ordinary users; choose one from 1024 up: PORT=8000 make up."
                ) from None
            raise CannotStart(
                f"HOST={self.host} is no address of this machine ({error.strerror}); unset HOST to use 127.0.0.1."
            ) from None


def main() -> int:
    """Start, run until asked to stop, stop. Returns the exit code."""
    stop = StopRequest()
    stop.listen()
    try:
        _up(dict(os.environ), stop)
    except CannotStart as problem:
        sys.stderr.write(f"opsconsole: {problem}\n")
        return 1
    finally:
        try:
            sys.stdout.flush()
        except OSError:
            # The reader is gone; without this the interpreter complains about it when it ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _up(environment: dict[str, str], stop: StopRequest) -> None:
    address = Address.of(environment)
    var = open_var_folder(Path(environment.get("OPSCONSOLE_VAR") or BASE_DIR / "var"))
    lock = _take_lock(var / LOCK_FILE, stop)
    note: dict[str, int | str] = {"pid": os.getpid(), "url": f"{address.url}/"}
    lock.write_note(note)
    address.check_free()
    environment |= _surroundings(environment, var, address)
    redis = _start_redis(environment, var, stop)
    try:
        if stop.requested():
            return
        manage = Manage(BASE_DIR, environment, var, stop.requested)
        prepared = Prepared.by(manage)
        if prepared is None:
            return
        output = Output(sys.stdout)
        processes = Processes(BASE_DIR / "Procfile", environment, output, keep_open=[lock.fd])
        try:
            processes.start()
            note["url"] = address.url + prepared.home
            lock.write_note({**note, "children": processes.pids})
            readiness = Readiness(manage, prepared, address.url, output)
            readiness.start()
            while _watch(processes, redis, readiness, output, stop):
                processes.start_again("worker")
                lock.write_note({**note, "children": processes.pids})
        finally:
            if stop.count == 1:
                output.say("Stopping; jobs that run have 20 seconds to end. Ctrl-C again ends them now.")
            stop.count = max(stop.count, 1)
            processes.stop(hurry=stop.repeated)
    finally:
        if redis is not None:
            redis.stop()
    output.say("Stopped.")


def _take_lock(path: Path, stop: StopRequest) -> LivingLock:
    lock = LivingLock.take(path)
    if lock is not None:
        return lock
    note = read_note(path)
    if is_alive(note.get("pid")):
        raise CannotStart(
            f"The console already runs at {note.get('url')} (process {note.get('pid')}); "
            "stop that one with Ctrl-C before you start it again."
        )
    children = note.get("children")
    pids = [pid for pid in children.values() if isinstance(pid, int)] if isinstance(children, dict) else []
    lock = take_over(path, pids, patience=LEFTOVER_SECONDS, hurry=stop.requested)
    if lock is None:
        raise CannotStart(
            f"Processes of an earlier start still run (of the sessions {', '.join(map(str, pids)) or 'unknown'}); "
            "end them with kill, then start again."
        )
    return lock


def _surroundings(environment: Mapping[str, str], var: Path, address: Address) -> dict[str, str]:
    """What the processes find in their environment besides what is there already."""
    shared_memory = Path("/dev/shm")  # noqa: S108 - gunicorn makes its own unpredictable names there
    return {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", os.defpath)]),
        "OPSCONSOLE_VAR": str(var),
        "HOST": address.host,
        "PORT": str(address.port),
        "PYTHONUNBUFFERED": "1",
        # A heartbeat file on a slow disk makes gunicorn kill workers that are well.
        "WORKER_TMP_DIR": str(shared_memory) if os.access(shared_memory, os.W_OK) else tempfile.gettempdir(),
    }


def _start_redis(environment: dict[str, str], var: Path, stop: StopRequest) -> embedded_redis.EmbeddedRedis | None:
    """Check the given Redis, or start one and put its REDIS_URL into the environment and `var/opsconsole.env`."""
    kept = ensure_env_file(var)
    given = environment.get("REDIS_URL") or ("" if kept["EMBEDDED_REDIS"] == "on" else kept.get("REDIS_URL", ""))
    if given:
        embedded_redis.check_given(given, {**kept, **environment})
        environment["REDIS_URL"] = given
        return None
    started = embedded_redis.start(var, kept.get("REDIS_URL", ""), stopping=stop.requested)
    if kept.get("REDIS_URL") != started.url or kept["EMBEDDED_REDIS"] != "on":
        write_env_file(var, {"REDIS_URL": started.url, "EMBEDDED_REDIS": "on"})
    environment["REDIS_URL"] = started.url
    return started


def _watch(
    processes: Processes,
    redis: embedded_redis.EmbeddedRedis | None,
    readiness: Readiness,
    output: Output,
    stop: StopRequest,
) -> bool:
    """Return False when asked to stop, and True where the worker was shut down from the console's own pages.

    Raises:
        CannotStart: a process ended by itself, or the console did not become usable.
    """
    while not stop.requested() and not output.gone:
        if (ended := processes.ended()) is not None:
            name, code = ended
            if name == "worker" and code == 0 and processes.age(name) > HARDLY_BEGUN:
                output.say("The worker was shut down; it is started again.")
                return True
            raise CannotStart(f"{name} ended by itself ({_how(code)}), so all were stopped; its lines above say why.")
        if redis is not None and (redis_code := redis.ended()) is not None:
            raise CannotStart(f"Redis ended by itself ({_how(redis_code)}), so all were stopped; {redis.log} says why.")
        if readiness.problem:
            raise CannotStart(readiness.problem)
        time.sleep(0.1)
    return False


def _how(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


if __name__ == "__main__":
    sys.exit(main())
