"""Redis as teams have it, started for real: TLS with certificates of one's own, a replica and sentinels."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

from redis import Redis

from tests.e2e.processes import Daemon, free_port, wait_for

SERVER = shutil.which("redis-server") or ""
OPENSSL = shutil.which("openssl") or ""
PASSWORD = "one-of-the-tests"  # noqa: S105
MASTER = "orders"


def server(folder: Path, name: str, *options: str) -> Daemon:
    """A Redis with files of its own; it listens where `options` say."""
    place = folder / name
    place.mkdir()
    command = [SERVER, "--dir", str(place), "--save", "", "--appendonly", "yes", *options]
    return Daemon(name, command, folder, {}, "eady to accept connections")


def certificates(folder: Path) -> dict[str, Path]:
    """An authority of one's own, and what it has signed for `localhost` and for a client: ca, crt, key."""
    made = {name: folder / f"tls.{name}" for name in ("ca", "cakey", "crt", "key", "csr", "ext")}
    made["ext"].write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    new = ["-newkey", "rsa:2048", "-nodes", "-subj"]
    _openssl("req", "-x509", *new, "/CN=An authority", "-days", "2", "-keyout", made["cakey"], "-out", made["ca"])
    _openssl("req", *new, "/CN=localhost", "-keyout", made["key"], "-out", made["csr"])
    signed = ["-in", made["csr"], "-CA", made["ca"], "-CAkey", made["cakey"], "-CAcreateserial", "-days", "2"]
    _openssl("x509", "-req", *signed, "-extfile", made["ext"], "-out", made["crt"])
    return made


def _openssl(*words: object) -> None:
    subprocess.run([OPENSSL, *map(str, words)], check=True, capture_output=True)


class Sentinels:
    """A primary, its replica, and three sentinels that agree by two."""

    def __init__(self, folder: Path) -> None:
        self.ports = [free_port() for _ in range(2)]
        self.watch = [free_port() for _ in range(3)]
        auth = ("--requirepass", PASSWORD, "--masterauth", PASSWORD)
        self.servers = [server(folder, f"redis-{port}", "--port", str(port), *auth) for port in self.ports]
        self.servers[1].command += ["--replicaof", "127.0.0.1", str(self.ports[0])]
        self.sentinels = [self._sentinel(folder, port) for port in self.watch]

    def _sentinel(self, folder: Path, port: int) -> Daemon:
        config = folder / f"sentinel-{port}.conf"
        config.write_text(
            f"port {port}\ndir {folder}\nrequirepass {PASSWORD}\nsentinel sentinel-pass {PASSWORD}\n"
            f"sentinel monitor {MASTER} 127.0.0.1 {self.ports[0]} 2\nsentinel auth-pass {MASTER} {PASSWORD}\n"
            f"sentinel down-after-milliseconds {MASTER} 1000\nsentinel failover-timeout {MASTER} 10000\n"
        )
        return Daemon(f"sentinel-{port}", [SERVER, str(config), "--sentinel"], folder, {}, "+monitor")

    @property
    def url(self) -> str:
        return ";".join(f"sentinel://:{PASSWORD}@127.0.0.1:{port}/0" for port in self.watch)

    def start(self) -> None:
        for daemon in self.servers:
            daemon.start()
        wait_for(lambda: "master_link_status:up" in self._info(1), "the replica to follow", 30)
        for daemon in self.sentinels:
            daemon.start()
        asked: Any = Redis(port=self.watch[0], password=PASSWORD, decode_responses=True)

        def known() -> tuple[int, int]:
            told = asked.sentinel_master(MASTER)
            return told["num-slaves"], told["num-other-sentinels"]

        wait_for(lambda: known() == (1, 2), "the sentinels to know all", 30)

    def _info(self, which: int) -> str:
        with Redis(port=self.ports[which], password=PASSWORD) as client:
            return "\n".join(f"{name}:{value}" for name, value in client.info("replication").items())

    def fail_over(self) -> None:
        """The primary dies as its host would; returns when the replica has taken its place."""
        self.servers[0].kill()
        wait_for(lambda: "role:master" in self._info(1), "the replica to become the primary", 60)

    def stop(self) -> None:
        for daemon in (*self.sentinels, *self.servers):
            daemon.stop()
