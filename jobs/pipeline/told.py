"""What a run tells while it runs, as it lies in Redis: a list of lines and a hash with the progress, both expiring.

The worker writes them (`jobs.pipeline.live`), pages read them while the run moves, and the recorder moves them into the
ledger with the end.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, TypeAdapter
from redis import Redis

from jobs.fleet.broker import PREFIX, key_of
from jobs.fleet.entries import answers_of, note_unreadable, read
from jobs.text import read_json

from .facts import Epoch

#: What is kept of one run: so many of its last lines, and so many characters of them.
MAX_LINES = 1000
MAX_CHARS = 256_000
#: Longest line kept, in characters.
MAX_LINE = 4000
#: Seconds after which Redis forgets what nobody has recorded.
EXPIRES = 86_400

_Text = Annotated[str, Field(max_length=MAX_CHARS)]
Line = tuple[Epoch, Annotated[str, Field(max_length=255)], Annotated[int, Field(ge=0, lt=2**31)], _Text]
_LINE = TypeAdapter(Line)
_EPOCH: TypeAdapter[float] = TypeAdapter(Epoch)
_WRITTEN = TypeAdapter(Annotated[int, Field(ge=0, lt=2**53)])


def log_key(task_id: str) -> str:
    return key_of(f"{PREFIX}log:{task_id}")


def progress_key(task_id: str) -> str:
    return key_of(f"{PREFIX}progress:{task_id}")


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
    answers = answers_of(pipe)
    found = {}
    for task_id, one, two in zip(task_ids, answers[::2], answers[1::2], strict=True):
        key = progress_key(task_id)
        values: dict[str, str] = read(key, one, dict, {})
        texts: list[str] = read(log_key(task_id), two, list, [])
        if values or texts:
            found[task_id] = Told(
                lines=_newest(task_id, texts),
                written=max(read(key, values.get("written"), _WRITTEN.validate_python, 0), len(texts)),
                progress=read(key, values.get("progress"), _progress, None),
            )
    return found


def _progress(text: str) -> dict[str, Any]:
    """A progress as a worker has written it, without what a database does not keep; pages look at the rest of it.

    Raises:
        ValueError, LookupError, TypeError: it is none.
    """
    values = read_json(text)
    _EPOCH.validate_python(values["at"])
    return dict(values)


def _newest(task_id: str, texts: list[str]) -> tuple[Line, ...]:
    """The newest lines that together fit MAX_CHARS: the attempts before the last may have filled the list, too."""
    kept: list[Line] = []
    chars = 0
    for text in reversed(texts):
        if (chars := chars + len(text)) > MAX_CHARS:
            if not kept:
                note_unreadable(log_key(task_id), "its last line is too long")
            break
        line = read(log_key(task_id), text, lambda one: _LINE.validate_python(read_json(one)), None)
        if line is not None:
            kept.append(line)
    return tuple(reversed(kept))
