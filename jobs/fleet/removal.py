"""Taking the ready messages out of a queue, a portion at a time; each can be put back until it is dropped."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from .beacon import read_beacons
from .broker import PREFIX, Redis, key_of, undecoded
from .entries import answers_of, read
from .messages import MOST_WITHOUT_BODY, WITHOUT_BODY, Waiting, read_rows
from .queues import configured, lists_of
from .samples import read_latest

#: Messages of one portion; Redis serves nobody else meanwhile, about 2 ms.
PORTION = 500
#: What was taken out and neither dropped nor put back, because this process died, is kept for so many seconds.
KEPT = 7 * 86_400

# The messages go to a list of their own in one step: a worker gets a message, or it is in that list.
_TAKE = (
    WITHOUT_BODY
    + """
local taken, wanted, most, budget = {}, tonumber(ARGV[1]), tonumber(ARGV[2]), 2000000
for number = 2, #KEYS do
  while #taken < wanted and budget > 0 do
    local message = redis.pcall('RPOPLPUSH', KEYS[number], KEYS[1])
    if type(message) ~= 'string' then break end
    local text, cut = without_body(message), 1
    if not text or #text > most then text, cut = '', 2 end
    taken[#taken + 1] = {number - 1, #message, cut, text}
    budget = budget - #text - 64
  end
end
if #taken > 0 then redis.call('EXPIRE', KEYS[1], ARGV[3]) end
return taken
"""
)
_PUT_BACK = """
for _, number in ipairs(ARGV) do
  local message = redis.call('LPOP', KEYS[1])
  if message then redis.call('RPUSH', KEYS[tonumber(number) + 1], message) end
end
"""


def is_queue(client: Redis, name: str) -> bool:
    """Whether settings, a worker, or the recorder's look at the bindings name this queue; any other list is not ours.

    Raises:
        RedisError: Redis did not answer in time.
    """
    if name in configured():
        return True
    latest, beacons = read_latest(client), read_beacons(client).beacons
    return (latest is not None and name in latest.found) or any(name in beacon.queues for beacon in beacons)


class Removal:
    """One purge of one queue. Every method raises RedisError when Redis does not answer in time."""

    def __init__(self, client: Redis, queue: str) -> None:
        self._client = client
        self._lists = lists_of(queue)
        self._aside = key_of(f"{PREFIX}purging:{uuid.uuid4().hex}")
        self._numbers: list[int] = []

    def ready(self) -> int:
        """How many messages are ready now."""
        pipe = self._client.pipeline(transaction=False)
        for key in self._lists:
            pipe.llen(key)
        return sum(read(key, answer, int, 0) for key, answer in zip(self._lists, answers_of(pipe), strict=True))

    def take(self, most: int) -> Sequence[Waiting]:
        """Take the next messages out, at most PORTION and `most`; without their arguments."""
        limits = (min(PORTION, most), MOST_WITHOUT_BODY, KEPT)
        keys = [self._aside, *self._lists]
        rows = undecoded(self._client, "EVAL", _TAKE, len(keys), *keys, *limits)
        self._numbers = [int(row[0]) for row in rows]
        return read_rows(rows)

    def put_back(self) -> None:
        """Put the portion back where it was."""
        keys = [self._aside, *self._lists]
        undecoded(self._client, "EVAL", _PUT_BACK, len(keys), *keys, *reversed(self._numbers))

    def drop(self, pipe: Redis) -> None:
        """Forget the portion, together with what else is on `pipe`."""
        pipe.delete(self._aside)
