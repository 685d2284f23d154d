"""The stream of facts as pages see it: what waits on it, how far behind the recorder is, and what could not be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .breaker import ask
from .broker import DEAD_KEY, FACTS_GROUP, FACTS_KEY, Redis, RedisError, key_of, undecoded
from .entries import ANOTHER_TYPE, is_of_another_type, note_unreadable, read
from .looks import LOOKS_KEY, Looks, told_looks

#: Only the id leaves Redis: the oldest entry itself may be large.
_OLDEST = """
local oldest = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
return oldest and oldest[1] or ''
"""


@dataclass(frozen=True, slots=True)
class Stream:
    """What Redis says of the stream; None where it did not say.

    Attributes:
        length: entries that are not recorded yet; ingest removes what it has recorded.
        pending: of those, read by a recorder and not acknowledged.
        lag: seconds, by Redis' clock, since the oldest of them came; 0.0 while none waits.
        dead: entries set aside because they could not be read.
        memory_used, memory_limit: bytes; None where Redis has no limit.
        looks: how much needs a look, where a recorder has counted it lately.
    """

    length: int | None = None
    pending: int | None = None
    lag: float | None = None
    dead: int | None = None
    memory_used: int | None = None
    memory_limit: int | None = None
    looks: Looks | None = None

    @property
    def undelivered(self) -> int | None:
        """Entries that no recorder has read yet."""
        if self.length is None or self.pending is None:
            return None
        return max(self.length - self.pending, 0)

    @property
    def memory_share(self) -> float | None:
        """How full Redis is, 0 to 1; None where that is not known or nothing limits it."""
        if self.memory_used is None or not self.memory_limit:
            return None
        return self.memory_used / self.memory_limit


def read_stream() -> Stream:
    """The stream now, in one round trip of at most 0.3 s; nothing known, at once, while Redis is known to be away."""
    return ask(_read) or Stream()


def _read(client: Redis) -> Stream:
    pipe = client.pipeline(transaction=False)
    pipe.time()
    pipe.xlen(key_of(FACTS_KEY))
    pipe.xpending(key_of(FACTS_KEY), FACTS_GROUP)
    pipe.eval(_OLDEST, 1, key_of(FACTS_KEY))
    pipe.xlen(key_of(DEAD_KEY))
    pipe.info("memory")
    undecoded(pipe, "GET", key_of(LOOKS_KEY))
    # What Redis refuses to this user is unknown; the rest is told all the same.
    now, length, pending, oldest, dead, memory, looks = pipe.execute(raise_on_error=False)
    for key, answer in ((key_of(FACTS_KEY), length), (key_of(DEAD_KEY), dead)):
        if is_of_another_type(answer):
            note_unreadable(key, ANOTHER_TYPE)
    limits = memory if isinstance(memory, dict) else {}
    return Stream(
        length=_count(length),
        pending=_pending(pending),
        lag=_lag(now, oldest),
        dead=_count(dead),
        memory_used=_count(limits.get("used_memory")),
        memory_limit=_count(limits.get("maxmemory")) or None,
        looks=read(key_of(LOOKS_KEY), looks, told_looks, None) if not _is_refused(looks) else None,
    )


def _is_refused(answer: Any) -> bool:
    return isinstance(answer, RedisError) and not is_of_another_type(answer)


def _count(answer: Any) -> int | None:
    return answer if isinstance(answer, int) else None


def _pending(answer: Any) -> int | None:
    if isinstance(answer, RedisError):
        # Before the first recorder there is no group, and nothing has been read.
        return 0 if "NOGROUP" in str(answer) else None
    return _count(answer["pending"])


def _lag(now: Any, oldest: Any) -> float | None:
    if isinstance(now, RedisError) or isinstance(oldest, RedisError):
        return None
    if not oldest:
        return 0.0
    seconds, micros = now
    came = int(str(oldest).partition("-")[0]) / 1000
    return max(float(seconds) + float(micros) / 1e6 - came, 0.0)
