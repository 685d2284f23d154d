"""The message headers that the console adds and the only readers of them, and the id under which a run is kept.

Their names begin with `opsconsole_`, because a message belongs to the project whose task it starts: its own headers are
read by nobody here. Anybody can write any header, so a value that none of ours can have counts as absent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobs.states import Source
from jobs.text import safe_text

OWN_PREFIX = "opsconsole_"
#: Of a message that the dispatcher publishes; with Celery's `retries` it numbers the execution.
ATTEMPT_HEADER = OWN_PREFIX + "attempt"
#: The moment of publishing, in epoch seconds by the publisher's clock; renewed at each publish.
PUBLISHED_HEADER = OWN_PREFIX + "published_at"
#: The moment of the first publish of this use of a task id; automatic retries carry it on.
FIRST_PUBLISHED_HEADER = OWN_PREFIX + "first_published_at"
#: Who asked for it, and by what: a value of `Source`, a user's key, and the user's name.
SOURCE_HEADER = OWN_PREFIX + "source"
ACTOR_HEADER = OWN_PREFIX + "actor_id"
ACTOR_LABEL_HEADER = OWN_PREFIX + "actor_label"
OWN_HEADERS = (
    *(ATTEMPT_HEADER, PUBLISHED_HEADER, FIRST_PUBLISHED_HEADER),
    *(SOURCE_HEADER, ACTOR_HEADER, ACTOR_LABEL_HEADER),
)

#: Executions are numbered below this: sums of two still fit the tables.
MOST_COUNTED = 1_000_000_000
_SOURCES = frozenset(Source)
#: What the tables hold of an id, in characters.
_LONGEST_ID = 255
#: The run of all messages that came without an id, or with an empty one: Celery executes them.
_NO_ID = "(no id)"


@dataclass(frozen=True, slots=True)
class OwnHeaders:
    """What a message's own headers of ours say; None or "" for what they do not say. Times are epoch seconds."""

    execution: int | None = None
    published: float | None = None
    first_published: float | None = None
    source: str = ""
    actor_id: str | None = None
    actor_label: str = ""


def own_headers(headers: Mapping[str, Any]) -> OwnHeaders:
    """Ours among the headers of a message, whatever they hold."""
    source, label = headers.get(SOURCE_HEADER), headers.get(ACTOR_LABEL_HEADER)
    return OwnHeaders(
        execution=execution_number(headers),
        published=_moment(headers.get(PUBLISHED_HEADER)),
        first_published=_moment(headers.get(FIRST_PUBLISHED_HEADER)),
        source=source if isinstance(source, str) and source in _SOURCES else "",
        actor_id=key_text(headers.get(ACTOR_HEADER)),
        actor_label=label[:255] if isinstance(label, str) else "",
    )


def execution_number(headers: Mapping[str, Any]) -> int | None:
    """The fencing token of an execution: header `opsconsole_attempt` + `retries`; None where no such header is ours."""
    attempt = count(headers.get(ATTEMPT_HEADER))
    retries = count(headers.get("retries") or 0)
    return None if attempt is None or retries is None else attempt + retries


def recorded_id(task_id: Any) -> str:
    """The id under which an execution is kept: that of its message wherever the tables can hold it.

    Celery executes whatever the id is. A UUID, a number and the like are kept as their text. Of one that is longer than
    255 characters, or holds what no database takes as text, the beginning is kept and the SHA-256 of the whole.
    """
    text = task_id if isinstance(task_id, str) else "" if task_id is None else str(task_id)
    if not text:
        return _NO_ID
    kept = safe_text(text)
    if kept == text and len(text) <= _LONGEST_ID:
        return text
    mark = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
    return f"{kept[: _LONGEST_ID - len(mark) - 1]}~{mark}"


def key_text(value: Any) -> str | None:
    """The key of a user as text; releases before this one wrote numbers."""
    if isinstance(value, str) and value:
        return safe_text(value)[:255]
    number = count(value, below=2**63)
    return None if number is None else str(number)


def count(value: Any, *, below: int = MOST_COUNTED) -> int | None:
    """`value` where it is a whole number from 0 up to what a database keeps."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < below else None


def _moment(value: Any) -> float | None:
    usable = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 2**33
    return float(value) if usable else None
