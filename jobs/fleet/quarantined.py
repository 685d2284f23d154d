"""The messages that workers set aside (`jobs.pipeline.quarantine`): to be looked at, put back or discarded."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from jobs.text import safe_text

from .breaker import ask
from .broker import PREFIX, Redis, RedisError, RedisRefused, key_of, list_key, page_client, undecoded
from .dead_letters import Moved
from .entries import answers_of, ask_entry, read

QUARANTINE_KEY = PREFIX + "quarantine"
#: So many are kept, the newest ones.
QUARANTINE_KEPT = 1000
#: Entries of one round trip; each is at most some 100 KB.
_PORTION = 20
#: One press moves for no longer than this, in seconds.
_PATIENCE = 5.0

# An entry is either here or in its queue, however many people press at once. Redis may refuse the write, so it comes
# first. The place tells that the entry is still here: another press may have been faster. What names a key that is no
# list stays, and keeps no other from its queue.
_MOVE = """
local moved, stuck = 0, 0
for number, entry in ipairs(ARGV) do
  if number % 2 == 1 and redis.call('LPOS', KEYS[1], entry, 'RANK', -1) then
    local target = KEYS[(number + 3) / 2]
    if target ~= '' then
      local added = redis.pcall('LPUSH', target, ARGV[number + 1])
      if type(added) == 'table' and added['err'] then
        if string.sub(added['err'], 1, 9) ~= 'WRONGTYPE' then return {moved, added['err'], stuck} end
        stuck = stuck + 1
        target = nil
      end
    end
    if target then
      redis.call('LREM', KEYS[1], -1, entry)
      moved = moved + 1
    end
  end
end
return {moved, '', stuck}
"""


@dataclass(frozen=True, slots=True)
class Quarantined:
    """How many there are, and of the newest: when (epoch seconds), from which queue, and why."""

    count: int
    at: float
    queue: str
    why: str


@dataclass(frozen=True, slots=True)
class SetAside:
    """One message.

    Attributes:
        id: by which it is found.
        at: when it was set aside, epoch seconds of the worker's clock.
        text: as it lay in the queue; at most some 64,000 characters.
        size: characters of the whole.
        whole: `text` is exactly what lay there; only such a message can be put back.
        entry: as it lies in Redis.
    """

    id: str
    at: float
    queue: str
    worker: str
    why: str
    text: str
    size: int
    whole: bool
    entry: bytes

    @property
    def can_go_back(self) -> bool:
        return self.whole and bool(self.queue)


@dataclass(frozen=True, slots=True)
class Meant:
    """Which messages are meant: the one with this id, or all that were set aside until then, epoch seconds."""

    id: str = ""
    until: float = 0.0

    def includes(self, one: SetAside) -> bool:
        return one.id == self.id if self.id else one.at <= self.until


def quarantined(count: int, newest: bytes | None) -> Quarantined | None:
    """What the list's length and its first entry say; None where there is none."""
    if not count or newest is None:
        return None
    one = _read(newest)
    return Quarantined(count, one.at, one.queue, one.why)


def look_at_messages(first: int, most: int) -> tuple[list[SetAside], int] | None:
    """The messages from the place `first` on, newest first, and how many there are; None when Redis does not answer."""

    def look(client: Redis) -> tuple[list[SetAside], int]:
        pipe = client.pipeline(transaction=False)
        pipe.llen(key_of(QUARANTINE_KEY))
        undecoded(pipe, "LRANGE", key_of(QUARANTINE_KEY), first, first + most - 1)
        total, entries = answers_of(pipe)
        key = key_of(QUARANTINE_KEY)
        return [_read(entry) for entry in read(key, entries, list, [])], read(key, total, int, 0)

    return ask(look)


def find_message(message_id: str) -> SetAside | None:
    """The message with this id; None where it is not there any more, and when Redis does not answer."""

    def read(client: Redis) -> SetAside | None:
        last = -1
        while there := _portion(client, last):
            if found := next((one for one in there if one.id == message_id), None):
                return found
            last -= len(there)
        return None

    return ask(read)


def put_messages_back(meant: Meant) -> Moved:
    """Give messages back to their queues, oldest first, each once; what cannot go back stays and is counted."""
    return _move(meant, lambda one: list_key(one.queue, _priority(one.text)) if one.can_go_back else None)


def discard_messages_there(meant: Meant) -> Moved:
    """Remove messages for good."""
    return _move(meant, lambda one: "")


def _move(meant: Meant, target_of: Callable[[SetAside], str | None]) -> Moved:
    """Each message into the list that `target_of` names: "" for none, None lets it stay."""
    ends, moved, stuck, last = time.monotonic() + _PATIENCE, 0, 0, -1
    try:
        client = page_client()
        while True:
            there = _portion(client, last)
            # Those that go leave their places to newer ones; what stays is stepped over.
            meant_here = [one for one in there if meant.includes(one)]
            going = [(one, target) for one in meant_here if (target := target_of(one)) is not None]
            stuck += len(meant_here) - len(going)
            last -= len(there) - len(going)
            count, refused, stayed = _run(client, going) if going else (0, "", 0)
            moved, stuck, last = moved + count, stuck + stayed, last - stayed
            if refused or len(there) < _PORTION:
                return Moved(moved, stuck, refused=refused)
            if time.monotonic() > ends:
                return Moved(moved, stuck, further="more")
    except RedisRefused as error:
        return Moved(moved, stuck, refused=str(error))
    except RedisError:
        return Moved(moved, stuck, answered=False)


def _run(client: Redis, going: Sequence[tuple[SetAside, str]]) -> tuple[int, str, int]:
    keys = [key_of(QUARANTINE_KEY), *(target for _, target in going)]
    texts = [part for one, _ in going for part in (one.entry, one.text)]
    count, refused, stayed = undecoded(client, "EVAL", _MOVE, len(keys), *keys, *texts)
    return int(count), bytes(refused).decode(errors="replace"), int(stayed)


def _portion(client: Redis, last: int) -> list[SetAside]:
    """Those that end with the place `last`, oldest first; counted from the old end, which new ones do not shift."""
    ask_redis = partial(undecoded, client, "LRANGE", key_of(QUARANTINE_KEY), last - _PORTION + 1, last)
    entries: list[bytes] = ask_entry(key_of(QUARANTINE_KEY), ask_redis, list, [])
    return [_read(entry) for entry in reversed(entries)]


def _read(entry: bytes) -> SetAside:
    """Never raises: whoever can write into Redis can write there, too."""
    try:
        found = json.loads(entry)
        values: dict[str, Any] = found if isinstance(found, dict) else {}
    except (ValueError, RecursionError):
        values = {}
    text, at, size = _text(values.get("message")), values.get("at"), values.get("size")
    return SetAside(
        id=hashlib.sha1(entry, usedforsecurity=False).hexdigest(),
        at=float(at) if isinstance(at, int | float) and 0 <= at < 1e11 else 0.0,
        queue=_text(values.get("queue"))[:500],
        worker=_text(values.get("worker"))[:500],
        why=_text(values.get("why"))[:500],
        text=text,
        size=size if isinstance(size, int) and len(text) <= size < 2**53 else len(text),
        whole=values.get("whole") is True and "message" in values,
        entry=entry,
    )


def _text(value: Any) -> str:
    return safe_text(value) if isinstance(value, str) else ""


def _priority(text: str) -> int | None:
    try:
        priority = json.loads(text)["properties"]["priority"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return priority if isinstance(priority, int) and 0 <= priority <= 9 else None
