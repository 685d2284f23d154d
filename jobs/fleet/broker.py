"""The only door to Redis outside the pipeline: clients with bounded waits, key names, and what a queue's lists hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import redis
import redis.sentinel
from celery import current_app
from kombu.utils.url import url_to_parts

from jobs.compat import settings

#: Begins the names of our own keys. In Redis each bears the application's prefix before it: `key_of`.
PREFIX = "opsconsole:"
#: Celery's broker for tests, inside of one process.
MEMORY = "memory://"
SENTINEL, SENTINEL_PORT = "sentinel://", 26379
FACTS_KEY = PREFIX + "facts"
FACTS_GROUP = "recorder"
#: Entries that the recorder could not read: kept for a person to look at, at most so many.
DEAD_KEY = FACTS_KEY + ":dead"
DEAD_KEPT = 10_000
BEACONS_KEY = PREFIX + "beacons"
PROBE_KEY = PREFIX + "probe"
#: Which database this Redis serves.
IDENTITY_KEY = PREFIX + "identity"

Redis = redis.Redis
RedisError = redis.RedisError
#: Redis wants another password, or one at all.
RedisUnknown = redis.AuthenticationError
#: Redis answered, and the answer is no.
RedisRefused = redis.ResponseError


def address(app: Any = None) -> str:
    """Where Redis is: the broker of an application's settings (the current one's where none is given), whichever of
    Celery's ways (`-b`, the environment) has named it."""
    return str((app or current_app).conf.broker_url or "")


def has_redis(app: Any = None) -> bool:
    """False where the broker is `memory://`, as in the tests of a project: then nothing is recorded or asked.

    Asked anew each time: one process may have several applications, one after the other.
    """
    return not address(app).startswith(MEMORY)


def address_setting() -> str:
    """The name of the setting that says where Redis is, as the project has written it."""
    joined = getattr(settings, "CONSOLE_JOINED", None)
    return str(joined.address_setting) if joined else "CELERY_BROKER_URL"


class _NoRedis(redis.Connection):
    """Fails at once instead of looking for a server."""

    def connect(self) -> None:
        raise redis.ConnectionError(f"the broker is {MEMORY}, so there is no Redis")


def connect(url: str, *, timeout: float, retries: int = 0, options: Mapping[str, Any] | None = None) -> redis.Redis:
    """A client whose every wait is bounded, and which connects as kombu does, with TLS and by sentinels too.

    Args:
        url: `redis://`, `rediss://`, `unix://`, kombu's spelling of a socket, `redis+socket://`, or the nodes of
            `sentinel://` with `;` between them; of `memory://` every command fails at once.
        timeout: seconds for connecting and for each answer.
        retries: how often redis-py tries again after a lost connection.
        options: the transport options that say how sentinels are asked; else the application's.
    """
    if url.startswith(MEMORY):
        return redis.Redis(connection_pool=redis.ConnectionPool(connection_class=_NoRedis))
    how: dict[str, Any] = {
        "decode_responses": True,
        # What is no text must not be what ends a process: what is made of it is checked (`jobs.fleet.entries`).
        "encoding_errors": "replace",
        "retry": redis.retry.Retry(redis.backoff.ConstantBackoff(0.05), retries),
        "socket_timeout": timeout,
    }
    if url.startswith("redis+socket://"):
        parts = url_to_parts(url)
        return redis.Redis(
            unix_socket_path=f"/{parts.path}",
            username=parts.username,
            password=parts.password,
            db=int(parts.query.get("virtual_host", "0").strip("/")),
            **how,
        )
    if url.startswith("unix://"):
        return redis.Redis.from_url(url, **how)
    how["socket_connect_timeout"] = timeout
    if url.startswith(SENTINEL):
        return _primary(url.split(";"), how, _transport_options() if options is None else options)
    if tls := _tls():
        how |= {**tls, "connection_class": redis.SSLConnection}
    return redis.Redis.from_url(url, **how)


def _primary(nodes: Sequence[str], how: dict[str, Any], options: Mapping[str, Any]) -> redis.Redis:
    """A client of whichever server the sentinels name, asked anew for each connection."""
    first = url_to_parts(nodes[0])
    places = [(node.hostname or "127.0.0.1", node.port or SENTINEL_PORT) for node in map(url_to_parts, nodes)]
    bounds = {name: how[name] for name in ("socket_timeout", "socket_connect_timeout")}
    if tls := _tls():
        how |= {**tls, "ssl": True}
    if first.username:
        how["username"] = first.username
    if first.password:
        how["password"] = first.password
    untyped: Any = redis.sentinel.Sentinel
    sentinels = untyped(
        places,
        min_other_sentinels=options.get("min_other_sentinels", 0),
        sentinel_kwargs={**bounds, **(options.get("sentinel_kwargs") or {})},
    )
    how["db"] = int((first.path or "").strip("/") or 0)
    client: redis.Redis = sentinels.master_for(options.get("master_name", ""), **how)
    return client


def _tls() -> dict[str, Any]:
    """What the application's setting says of TLS; an address may say it too."""
    said = current_app.conf.broker_use_ssl
    return dict(said) if isinstance(said, Mapping) else {}


def page_client() -> redis.Redis:
    """The client of the web process: a page would rather say "unknown" than wait."""
    return _client(address(), 0.3, 0)


def steady_client() -> redis.Redis:
    """The client of recorder and beacon threads: waits up to 5 s and tries a lost connection once more."""
    return _client(address(), 5, 1)


@cache
def _client(url: str, timeout: float, retries: int) -> redis.Redis:
    return connect(url, timeout=timeout, retries=retries)


def forget_clients() -> None:
    """Drop the cached clients; a child process must not share its parent's sockets."""
    _client.cache_clear()


def undecoded(pipe: Any, *command: Any) -> Any:
    """Send a command whose answer stays bytes: what others wrote into Redis need not be text."""
    return pipe.execute_command(*command, NEVER_DECODE=True)


def transport_option(option: str, default: Any) -> Any:
    """What the application sets of its broker's transport options, else kombu's default."""
    return _transport_options().get(option, default)


@cache
def _transport_options() -> Mapping[str, Any]:
    """Read once: Celery looks for a setting under three spellings, which is a tenth of reading a few queues."""
    return current_app.conf.broker_transport_options or {}


def list_key(queue: str, priority: int | None) -> str:
    """The Redis list that holds `queue`'s messages of `priority` (kombu/transport/redis.py, `_q_for_pri`)."""
    steps: list[int] = list(transport_option("priority_steps", [0, 3, 6, 9]))
    step = max((s for s in steps if s <= (priority or 0)), default=steps[0])
    name = f"{queue}{transport_option('sep', chr(6) + chr(22))}{step}" if step else queue
    return key_of(name)


def key_of(name: str) -> str:
    """The Redis key of something of ours or of kombu's: with the application's `global_keyprefix` before its name."""
    return key_prefix() + name


def key_prefix() -> str:
    """What the application puts before all keys of its broker; "" where it says nothing."""
    return str(transport_option("global_keyprefix", "") or "")
