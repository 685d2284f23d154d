"""What a run tells while it runs, as it lies in Redis: a list of lines and a hash with the progress, both expiring.

The worker writes them (`jobs.pipeline.live`), pages read them while the run moves, and the recorder moves them into the
ledger with the end.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from redis import Redis

from jobs.fleet.broker import PREFIX

from .facts import keepable

#: What is kept of one run: so many of its last lines, and so many characters of them.
MAX_LINES = 1000
MAX_CHARS = 256_000
#: Longest line kept, in characters.
MAX_LINE = 4000
#: Seconds after which Redis forgets what nobody has recorded.
EXPIRES = 86_400

Line = tuple[float, str, int, str]


def log_key(task_id: str) -> str:
    return f"{PREFIX}log:{task_id}"


def progress_key(task_id: str) -> str:
    return f"{PREFIX}progress:{task_id}"


@dataclass(frozen=True, slots=True)
class Told:
    """What Redis holds of one run.

    Attributes:
        lines: oldest first, each `[epoch seconds, level, attempt, text]`.
        written: how many lines it wrote in all.
    """

    lines: tuple[Line, ...] = ()
    written: int = 0
    progress: dict[str, Any] | None = None

    @property
    def text(self) -> str:
        """The lines as the ledger keeps them."""
        return json.dumps(self.lines, ensure_ascii=False)


def read_told(task_ids: Collection[str], client: Redis) -> dict[str, Told]:
    """What these runs have told so far; those that told nothing are left out. One round trip, none for no ids.

    Raises:
        RedisError: Redis did not answer in time.
    """
    if not task_ids:
        return {}
    pipe = client.pipeline(transaction=False)
    for task_id in task_ids:
        pipe.hgetall(progress_key(task_id))
        pipe.lrange(log_key(task_id), -MAX_LINES, -1)
    answers = pipe.execute()
    found = {}
    for task_id, values, texts in zip(task_ids, answers[::2], answers[1::2], strict=True):
        if values or texts:
            found[task_id] = Told(
                lines=_newest(texts),
                written=max(int(values.get("written", 0)), len(texts)),
                progress=keepable(json.loads(values["progress"])) if "progress" in values else None,
            )
    return found


def _newest(texts: list[str]) -> tuple[Line, ...]:
    """The newest lines that together fit MAX_CHARS: the attempts before the last may have filled the list, too."""
    kept, chars = 0, 0
    for text in reversed(texts):
        if (chars := chars + len(text)) > MAX_CHARS:
            break
        kept += 1
    return tuple((at, level, attempt, text) for at, level, attempt, text in map(json.loads, texts[len(texts) - kept :]))
