"""How much needs a look, as the recorder counts it every few seconds for the sidebar of every page."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from .broker import PREFIX, Redis, key_of

LOOKS_KEY = PREFIX + "looks"
#: Seconds for which a count is told: a recorder that is gone counts no more.
LOOKS_KEPT = 60
_Count = Annotated[int, Field(ge=0, le=1_000_000)]


@dataclass(frozen=True, slots=True)
class Looks:
    """How many troubles there are in all, and those of schedules, queues and workers."""

    all: _Count = 0
    schedules: _Count = 0
    queues: _Count = 0
    workers: _Count = 0


_LOOKS = TypeAdapter(Looks)


def looks_of(keys: Iterable[str]) -> Looks:
    """Counted by what the keys of troubles begin with."""
    names = [key.partition(":")[0] for key in keys]
    return Looks(len(names), names.count("schedule"), names.count("queue"), names.count("worker"))


def write_looks(client: Redis, looks: Looks) -> None:
    """Tell it to every page.

    Raises:
        RedisError: Redis did not answer in time, or takes no writes.
    """
    client.set(key_of(LOOKS_KEY), json.dumps(asdict(looks)), ex=LOOKS_KEPT)


def told_looks(answer: Any) -> Looks:
    """What LOOKS_KEY holds.

    Raises:
        ValueError: nobody of this release wrote it.
    """
    return _LOOKS.validate_json(answer)
