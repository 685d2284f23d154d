"""How many messages stand before that of one run."""

from __future__ import annotations

import json
from dataclasses import dataclass

from .broker import Redis
from .queues import lists_of

#: So many messages are looked at: Redis serves nobody else meanwhile, about 2 ms.
MOST_LOOKED_AT = 1000

# As workers take them: the lists of higher priority first, each from its end. A message holds its id as a JSON text.
_AHEAD = """
local ahead, wanted, most = 0, ARGV[1], tonumber(ARGV[2])
for _, key in ipairs(KEYS) do
  local length = redis.pcall('LLEN', key)
  if type(length) == 'number' then
    for place = 1, length do
      if ahead >= most then return {ahead, 0} end
      local message = redis.call('LINDEX', key, -place)
      if message and string.find(message, wanted, 1, true) then return {ahead, 1} end
      ahead = ahead + 1
    end
  end
end
return {ahead, 0}
"""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a run's message is.

    Attributes:
        ahead: how many are taken before it; at least so many where it was not found.
        found: its message is in the queue.
        whole: every message of the queue was looked at.
    """

    ahead: int
    found: bool
    whole: bool


def position_of(client: Redis, queue: str, task_id: str) -> Position:
    """Look for a run's message in its queue; one round trip.

    Raises:
        RedisError: Redis did not answer in time.
    """
    keys = lists_of(queue)
    ahead, found = client.eval(_AHEAD, len(keys), *keys, f'"id": {json.dumps(task_id)}', str(MOST_LOOKED_AT))
    return Position(int(ahead), bool(found), bool(found) or int(ahead) < MOST_LOOKED_AT)
