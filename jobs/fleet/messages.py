"""The messages in a queue, as a page may show them: never unpickled, never whole when they are large.

Redis itself cuts them. A message is JSON around a body; a long one comes without its body, and one that is long without
it, too, by its length alone.
"""

from __future__ import annotations

import json
from base64 import b64decode
from binascii import Error as NotBase64
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jobs.text import safe_text

from .broker import Redis, undecoded
from .headers import count, own_headers, recorded_id
from .queues import lists_of, steps

#: Longest message that is read with its arguments, and longest one that is read without them, in bytes.
MOST_WITH_BODY = 32_000
MOST_WITHOUT_BODY = 16_000
#: A script sends no more than this: many long messages must not hold Redis up.
MOST_SENT = 2_000_000
#: Over so many messages it is told which tasks they are of.
COUNTED = 1000

# Where the body is text, its end is the first quote that no odd number of backslashes precedes.
WITHOUT_BODY = """
local function without_body(message)
  local _, at = string.find(message, '^%s*{%s*"body":%s*"')
  if not at then return nil end
  local from = at + 1
  while true do
    local quote = string.find(message, '"', from, true)
    if not quote then return nil end
    local slashes = quote - 1
    while slashes > at and string.byte(message, slashes) == 92 do slashes = slashes - 1 end
    if (quote - 1 - slashes) % 2 == 0 then return string.sub(message, 1, at) .. string.sub(message, quote) end
    from = quote + 1
  end
end
"""
# The last ones of each list first, as workers take them.
_NEXT = (
    WITHOUT_BODY
    + """
local wanted, with_body, most, budget = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local shown = {}
for number, key in ipairs(KEYS) do
  local place = -1
  while #shown < wanted and budget > 0 do
    local message = redis.pcall('LINDEX', key, place)
    if type(message) ~= 'string' then break end
    local text, cut = message, 0
    if #message > with_body then text, cut = without_body(message), 1 end
    if not text or #text > most then text, cut = '', 2 end
    shown[#shown + 1] = {number, #message, cut, text}
    budget, place = budget - #text - 64, place - 1
  end
end
return shown
"""
)


@dataclass(frozen=True, slots=True)
class Waiting:
    """One message.

    Attributes:
        priority: the step that it waits in.
        size: in bytes.
        task: its task's name; "" where it cannot be read.
        published: when, epoch seconds; None where it does not tell.
        not_before: epoch seconds; None for one that may run at once.
        arguments: `[args, kwargs]` in kombu's tagged JSON; "" where they were not read, and `why_not` says why.
        execution: its number, for a run that the console accepted.
        first_published: when its id was first published: tells one use of an id from the next.
    """

    priority: int
    size: int
    task: str = ""
    task_id: str = ""
    published: float | None = None
    not_before: float | None = None
    origin: str = ""
    arguments: str = ""
    why_not: str = ""
    execution: int | None = None
    retries: int = 0
    first_published: float | None = None


@dataclass(frozen=True, slots=True)
class Contents:
    """The beginning of a queue: its next messages, and how many of the first `counted` are of each task."""

    messages: tuple[Waiting, ...]
    by_task: tuple[tuple[str, int], ...]
    counted: int


def read_contents(client: Redis, queue: str, shown: int) -> Contents:
    """What workers take next from `queue`; one round trip.

    Args:
        shown: how many messages are read with their arguments.

    Raises:
        RedisError: Redis did not answer in time.
    """
    keys = lists_of(queue)
    pipe = client.pipeline(transaction=False)
    for wanted, with_body in ((shown, MOST_WITH_BODY), (COUNTED, 0)):
        most = max(MOST_WITHOUT_BODY, with_body)
        limits = (wanted, with_body, most, MOST_SENT)
        undecoded(pipe, "EVAL", _NEXT, len(keys), *keys, *limits)
    first, counted = pipe.execute()
    tasks = Counter(waiting.task for waiting in _read(counted))
    return Contents(tuple(_read(first)), tuple(tasks.most_common()), len(counted))


def read_rows(rows: list[list[Any]]) -> list[Waiting]:
    """The messages of a script's answer: for each the number of its list, its size, how it was cut, and its text."""
    return list(_read(rows))


def _read(rows: list[list[Any]]) -> Iterator[Waiting]:
    of_steps = steps()
    for number, size, cut, text in rows:
        yield read_message(bytes(text), priority=of_steps[int(number) - 1], size=int(size), cut=int(cut))


def read_message(text: bytes, *, priority: int, size: int, cut: int = 0) -> Waiting:
    """What a message tells, whatever it is.

    Args:
        cut: 0 for a whole message, 1 for one without its body, 2 for one of which nothing was read.
    """
    if cut == 2:
        return Waiting(priority, size, why_not="too long to be read")
    try:
        message = json.loads(text)
        headers, properties = _mapping(message.get("headers")), _mapping(message.get("properties"))
    except (ValueError, AttributeError, RecursionError):
        return Waiting(priority, size, why_not="not JSON")
    ours = own_headers(headers)
    arguments, why_not = ("", "too long to be read") if cut else _arguments(message, properties)
    return Waiting(
        priority=priority,
        size=size,
        task=_text(headers.get("task")),
        task_id=recorded_id(headers["id"]) if "id" in headers else "",
        published=ours.published,
        not_before=_moment(headers.get("eta")),
        origin=_text(headers.get("origin")).removeprefix("gen"),
        arguments=arguments,
        why_not=why_not,
        execution=ours.execution,
        retries=count(headers.get("retries")) or 0,
        first_published=ours.first_published,
    )


def _arguments(message: dict[str, Any], properties: dict[str, Any]) -> tuple[str, str]:
    """`[args, kwargs]` as text, or why not. Only JSON is looked into; any other content may be code."""
    kind, body = _text(message.get("content-type")), str(message.get("body"))
    if kind != "application/json":
        return "", f"{kind or 'of no known kind'}, never decoded"
    if _mapping(message.get("headers")).get("compression"):
        return "", "compressed"
    try:
        text = b64decode(body, validate=True) if properties.get("body_encoding") == "base64" else body
        args, kwargs = json.loads(text)[:2]
        if isinstance(args, list) and isinstance(kwargs, dict):
            return json.dumps([args, kwargs]), ""
    except (ValueError, TypeError, KeyError, NotBase64, RecursionError):
        pass
    return "", "not readable"


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    """At most 255 characters that a page and a database take."""
    if not isinstance(value, str):
        return ""
    return safe_text(value[:255])


def _moment(value: Any) -> float | None:
    try:
        return datetime.fromisoformat(value).timestamp() if isinstance(value, str) else None
    except (ValueError, OverflowError):
        return None
