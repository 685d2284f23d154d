"""Facts: what workers and publishers report about executions, and their form on the durable stream.

One fact is one entry of the Redis stream `opsconsole:facts` with one field `f`, the JSON text of `Fact`. Producers only
append; the recorder's ingest reads, merges, acknowledges and trims.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import BeforeValidator, Field, TypeAdapter

from jobs.fleet import headers
from jobs.fleet.broker import FACTS_KEY, key_of
from jobs.fleet.headers import MOST_COUNTED, count, recorded_id
from jobs.text import is_odd_json, read_json

VERSION = 1
#: What stream and database keep of a value and of a traceback, in characters.
MAX_RESULT = 256_000
MAX_TRACEBACK = 64_000


#: Epoch seconds that a database can keep as a time.
Epoch = Annotated[float, Field(ge=0, lt=250_000_000_000)]
Seconds = Annotated[float, Field(ge=0, lt=1_000_000_000)]
Count = Annotated[int, Field(ge=0, lt=MOST_COUNTED)]
#: Facts of earlier releases have numbers.
ActorKey = Annotated[str, BeforeValidator(headers.key_text), Field(max_length=255)]


class Kind(StrEnum):
    """What a fact tells."""

    #: Code published an observed task.
    PUBLISHED = "published"
    #: A worker was seen at it, before anything else told of its start.
    STARTED = "started"
    #: An attempt ended, well or badly, or asked for its automatic retry.
    ENDED = "ended"
    #: Somebody else than the execution itself set a state by hand that ends nothing: `progress` has it.
    SET = "set"
    #: Code saved a group's result (`GroupResult.save()`); `task_id` is the group's id, `result` its tuple as JSON.
    GROUP = "group"


@dataclass(slots=True)
class Fact:
    """One report. Times are epoch seconds by the reporter's clock; `n` numbers the execution, None where unknown."""

    kind: Kind
    task_id: str
    at: Epoch
    n: Count | None = None
    task: str = ""
    #: Celery's state: SUCCESS, FAILURE, RETRY, REVOKED, …
    state: str = ""
    #: Of a task that raised `Ignore`: the state that it had set by hand and that its stored result keeps.
    left_state: str = ""
    #: True where Celery announced the state without the worker's own word.
    provisional: bool = False
    guaranteed: bool = False
    #: False: of something that nobody has published as a task; where the ledger has no such run, it makes none.
    makes_run: bool = True
    worker: str = ""
    #: Of a start: the id of the worker's process (`jobs.fleet.beacon.Beacon.boot`).
    process: str = ""
    queue: str = ""
    release: str = ""
    retries: Count = 0
    #: Of a retry: when the next attempt is due. Of a publish: not before then.
    eta: Epoch | None = None
    expires: Epoch | None = None
    #: When the task of this id was first published: tells one use of an id from the next.
    published: Epoch | None = None
    started_at: Epoch | None = None
    runtime: Seconds | None = None
    #: The return value, or Celery's description of the exception, as JSON text.
    result: str | None = None
    traceback: str = ""
    truncated: bool = False
    error_type: str = ""
    error_message: str = ""
    #: What the exception says it is: its attribute `fingerprint`.
    fingerprint: str = ""
    note: str = ""
    files: list[dict[str, Any]] = field(default_factory=list)
    #: `[args, kwargs]` as kombu's tagged JSON.
    arguments: str = ""
    arguments_exact: bool = True
    source: str = ""
    actor_id: ActorKey | None = None
    actor_label: str = ""
    root_id: str = ""
    parent_id: str = ""
    schedule_name: str = ""
    group_id: str = ""
    origin: str = ""
    priority: Annotated[int, Field(ge=0, lt=2**15)] | None = None
    #: What else the message says (`jobs.pipeline.delivery`).
    delivery: dict[str, Any] = field(default_factory=dict)
    #: The last progress that it told, as `jobs.pipeline.live.Counter.values` writes it.
    progress: dict[str, Any] | None = None
    #: It told lines or progress, which wait in Redis.
    told: bool = False
    #: What django-celery-results keeps beside a result: children, argument reprs.
    meta: dict[str, Any] = field(default_factory=dict)
    version: int = VERSION

    def entry(self) -> dict[str, str]:
        """The fields of the stream entry, which `read_entry` can read whatever the message held that it tells of."""
        told = {name: value for name in _NAMES if (value := getattr(self, name)) != _DEFAULTS.get(name, _NEVER)}
        for name, readable in _READABLE:
            if name in told:
                told[name] = readable(told[name])
        return {"f": _to_json(told)}


_to_json = json.JSONEncoder(default=str).encode
_BARE = Fact(kind=Kind.ENDED, task_id="", at=0)
_FACTS = TypeAdapter(Fact)
_NAMES = tuple(_BARE.__dataclass_fields__)
_NEVER = object()
#: What a fact need not carry.
_DEFAULTS: dict[str, Any] = {name: getattr(_BARE, name) for name in _NAMES if name not in {"kind", "task_id", "at"}}


def _id(value: Any) -> str:
    """Of another task or of a group; "" where it is no id."""
    return recorded_id(value) if isinstance(value, (str, UUID)) and value else ""


def _line(value: Any) -> str:
    return value if isinstance(value, str) and len(value) <= 255 else str(value)[:255]


def _epoch(value: Any) -> float | None:
    usable = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 250_000_000_000
    return float(value) if usable else None


#: What a message may have put into a fact, in a form that the tables take.
_READABLE: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    ("task_id", recorded_id),
    *((name, _id) for name in ("root_id", "parent_id", "group_id")),
    *((name, _line) for name in ("task", "worker", "queue", "schedule_name", "origin")),
    *((name, _epoch) for name in ("eta", "expires", "published")),
    ("retries", lambda value: count(value) or 0),
)


def read_entry(entry: dict[str, str]) -> Fact:
    """The fact of a stream entry.

    Raises:
        ValueError: the entry is not one of ours or of a version that this release cannot read.
    """
    try:
        text = entry["f"]
        # No database keeps what is not safe; one such fact would hold up all others.
        fact = _FACTS.validate_python(read_json(text)) if is_odd_json(text) else _FACTS.validate_json(text)
    except (KeyError, ValueError, RecursionError) as error:
        raise ValueError(f"unreadable fact: {error}") from error
    if fact.version > VERSION:
        raise ValueError(f"a fact of version {fact.version}; this release reads up to {VERSION}")
    return fact


def append(pipe: Any, fact: Fact) -> None:
    """Queue the fact's XADD on a redis-py pipeline (or send it, on a client)."""
    pipe.xadd(key_of(FACTS_KEY), fact.entry())


def execution_number(request: Any) -> int | None:
    """The fencing token of a task's request; None for a run that code published, and without a request."""
    return None if request is None else headers.execution_number(vars(request))


def cut(text: str, limit: int) -> tuple[str, bool]:
    """`text` of at most `limit` characters, and whether something was cut; a traceback keeps its end, too."""
    if len(text) <= limit:
        return text, False
    return text[: limit // 2] + "\n… cut …\n" + text[-(limit // 2 - 10) :], True
