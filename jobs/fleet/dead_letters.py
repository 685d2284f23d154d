"""Facts set aside: entries of the stream that the recorder could not read, to be looked at, put back or discarded.

They may hold anything, of any size. So Redis itself cuts and moves them, by scripts: none travels whole to a page, and
what is put back is the very same bytes. A script is one step for everybody else, so that an entry is always in exactly
one of the two streams, however many people press at once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .breaker import ask
from .broker import DEAD_KEY, FACTS_KEY, RedisRefused, key_of
from .entries import ANOTHER_TYPE, is_of_another_type, note_unreadable

#: What a page gets of one entry, in bytes.
MOST_TEXT = 64_000
_MOST_WHY = 500
#: One script looks at no more entries and bytes than these: Redis answers nobody else meanwhile.
_LOOKED_AT = 500
_BYTES = 8_000_000
#: In the reason of an entry of a newer release (`jobs.pipeline.facts.read_entry`).
NEWER = "a fact of version"
_ID = re.compile(r"\d{1,20}-\d{1,20}")

#: In both scripts: walk(visit) calls visit(entry, fields by name) for each entry in reach that the filter lets through.
_WALK = """
local dead, from, to, needle, wants, most = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local looked_at, most_bytes, downwards = tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8] == 'down'
local function walk(visit)
    local found, looked, bytes = 0, 0, 0
    while found < most and looked < looked_at and bytes < most_bytes do
        local entry
        if downwards then entry = redis.call('XREVRANGE', dead, from, to, 'COUNT', 1)[1]
        else entry = redis.call('XRANGE', dead, from, to, 'COUNT', 1)[1] end
        if not entry then return '' end
        from = '(' .. entry[1]
        looked = looked + 1
        local named, size = {}, 0
        for i = 1, #entry[2], 2 do
            named[entry[2][i]] = entry[2][i + 1]
            size = size + #entry[2][i] + #entry[2][i + 1]
        end
        bytes = bytes + size
        local has = string.find(named['why'] or '', needle, 1, true) ~= nil
        if wants == '' or has == (wants == 'with') then
            found = found + 1
            local stop = visit(entry, named, size)
            if stop then return stop end
        end
    end
    return from
end
"""
_LOOK = (
    _WALK
    + """
local shown = {}
local next_from = walk(function(entry, named, size)
    local text = named['f']
    if not text then
        local parts = {}
        for i = 1, math.min(#entry[2], 200), 2 do
            if entry[2][i] ~= 'id' and entry[2][i] ~= 'why' then
                parts[#parts + 1] = string.sub(entry[2][i], 1, 200) .. ': ' .. string.sub(entry[2][i + 1], 1, 2000)
            end
        end
        text = table.concat(parts, '\\n')
    else size = #text end
    shown[#shown + 1] = {entry[1], string.sub(named['id'] or '', 1, 64), string.sub(named['why'] or '', 1, WHY),
                         string.sub(text, 1, TEXT), size, named['f'] and 1 or 0}
end)
return {next_from, shown}
""".replace("WHY", str(_MOST_WHY)).replace("TEXT", str(MOST_TEXT))
)
_MOVE = (
    _WALK
    + """
local moved, stuck, trouble = 0, 0, ''
local next_from = walk(function(entry)
    if ARGV[9] == 'back' then
        local fields = {}
        for i = 1, #entry[2], 2 do
            if entry[2][i] ~= 'id' and entry[2][i] ~= 'why' then
                fields[#fields + 1] = entry[2][i]
                fields[#fields + 1] = entry[2][i + 1]
            end
        end
        if #fields == 0 then fields = {'empty', ''} end
        -- More than the interpreter can hand over at once; a fact has one field.
        if #fields > 4000 then stuck = stuck + 1 return nil end
        local added = redis.pcall('XADD', KEYS[2], '*', unpack(fields))
        if type(added) == 'table' and added['err'] then trouble = added['err'] return '' end
    end
    redis.call('XDEL', dead, entry[1])
    moved = moved + 1
    return nil
end)
return {next_from, moved, stuck, trouble}
"""
)
_COUNT = (
    _WALK
    + """
local count = 0
local next_from = walk(function() count = count + 1 end)
return {next_from, count}
"""
)


@dataclass(frozen=True, slots=True)
class Which:
    """Which entries are meant.

    Attributes:
        newer: True: those of a newer release; False: all others; None: both.
        since, until: the oldest and the newest id that count, "" for no bound.
    """

    newer: bool | None = None
    since: str = ""
    until: str = ""

    @classmethod
    def one(cls, entry_id: str) -> Which:
        """This entry alone."""
        return cls(since=entry_id, until=entry_id)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One entry as it lies there, cut.

    Attributes:
        id: by which it is found; its first part is when it was set aside, in milliseconds.
        fact_id: its id on the stream of facts.
        text: the fact's text, or all fields where it has no fact; at most MOST_TEXT bytes, undecodable ones replaced.
        size: bytes of the whole.
        has_fact: it has the field that every fact has.
    """

    id: str
    fact_id: str
    why: str
    text: str
    size: int
    has_fact: bool

    @property
    def whole(self) -> bool:
        return self.has_fact and self.size <= MOST_TEXT


@dataclass(frozen=True, slots=True)
class Looked:
    """A page of entries, newest first. `further` is where one that ended early goes on; "" at the end."""

    letters: tuple[DeadLetter, ...]
    further: str


@dataclass(frozen=True, slots=True)
class Moved:
    """What became of a wish to put back or discard.

    Attributes:
        count: entries that were moved, for certain.
        stuck: entries that can only be discarded.
        refused: why Redis refused the rest, in its own words; "" where it did not.
        answered: False where Redis stopped answering: more may have been moved than it told.
        further: where to go on; "" at the end.
    """

    count: int = 0
    stuck: int = 0
    refused: str = ""
    answered: bool = True
    further: str = ""


def is_entry_id(text: str) -> bool:
    """Whether `text` has the form of an entry's id."""
    return _ID.fullmatch(text) is not None


def look(which: Which, *, most: int, upwards_from: str = "", downwards_from: str = "") -> Looked | None:
    """At most `most` entries older than the id `downwards_from`, newer than `upwards_from`, or the newest.

    One round trip. It may end before `most` when entries are many or large; `further` goes on.

    Returns:
        None when Redis does not answer.
    """
    up = bool(upwards_from)
    start = upwards_from or downwards_from
    # One more than asked for tells whether there is more.
    answer = _run(_LOOK, which, f"({start}" if start else "", most + 1, "up" if up else "down")
    if answer is None or isinstance(answer, RedisRefused):
        return None
    further, shown = answer
    letters = [
        DeadLetter(_text(one), _text(fact), _text(why), _text(text), int(size), bool(has_fact))
        for one, fact, why, text, size, has_fact in shown
    ]
    goes_on = _text(further).lstrip("(")
    if len(letters) > most:
        letters = letters[:most]
        goes_on = letters[-1].id
    return Looked(tuple(reversed(letters)) if up else tuple(letters), goes_on)


def count(which: Which, *, rounds: int = 25) -> int | None:
    """How many entries there are; None when Redis does not answer, or they are too many or too large to count."""
    total, start = 0, ""
    for _ in range(rounds):
        answer = _run(_COUNT, which, start, _LOOKED_AT, "down")
        if answer is None or isinstance(answer, RedisRefused):
            return None
        start = _text(answer[0])
        total += int(answer[1])
        if not start:
            return total
    return None


def put_back(which: Which, *, after: str = "") -> Moved:
    """Move entries to the end of the stream of facts, oldest first; one round trip, so perhaps not all of them."""
    return _move("back", which, after)


def discard(which: Which, *, after: str = "") -> Moved:
    """Remove entries for good; otherwise as `put_back`."""
    return _move("away", which, after)


def _move(where: str, which: Which, after: str) -> Moved:
    answer = _run(_MOVE, which, f"({after}" if after else "", _LOOKED_AT, "up", where)
    if answer is None:
        return Moved(answered=False)
    if isinstance(answer, RedisRefused):
        return Moved(refused=str(answer))
    further, moved, stuck, trouble = answer
    return Moved(int(moved), int(stuck), _text(trouble), further=_text(further).lstrip("("))


def _run(script: str, which: Which, start: str, most: int, direction: str, *more: str) -> Any:
    """The script's answer in bytes: entries need not be text. RedisRefused is returned: Redis did answer."""
    since, until = which.since or "-", which.until or "+"
    bounds = (start or since, until) if direction == "up" else (start or until, since)
    wants = {None: "", True: "with", False: "without"}[which.newer]
    limits: Sequence[str | int] = (most, _LOOKED_AT, _BYTES)

    def read(client: Any) -> Any:  # redis-py gives this call no types
        try:
            return client.execute_command(
                "EVAL", script, 2, key_of(DEAD_KEY), key_of(FACTS_KEY), *bounds, NEWER, wants, *limits, direction,
                *more, NEVER_DECODE=True,
            )  # fmt: skip
        except RedisRefused as error:
            if is_of_another_type(error):
                note_unreadable(key_of(DEAD_KEY), ANOTHER_TYPE)
            return error

    return ask(read)


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
