"""Messages with anything in any place, by a seed: most are nearly whole, so that they get far."""

from __future__ import annotations

import base64
import copy
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.differential.tasks import NAME

KINDS = ("plain", "plain", "plain", "late", "quiet", "limited", "paced", "failing")
UUID = {"__type__": "uuid", "__value__": {"hex": "0d5c6f0e00004000800000000000abcd"}}
TAGGED = (
    UUID,
    {"__type__": "decimal", "__value__": "1.5"},
    {"__type__": "datetime", "__value__": "2026-03-29T01:30:00+00:00"},
    {"__type__": "bytes", "__value__": "AP8="},
    {"__type__": "bytes", "__value__": "aGVsbG8=", "encoding": "base64"},
    {"__type__": "nobody", "__value__": 1},
)
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 7, 1.5, 1e300, float("nan"), float("inf"), 10**30, -(2**40)),
    *("", "a", "7", "1.5", "ab", "é", "\x00", "half \ud800 pair", "../../x", "x" * 255, "x" * 256, "x" * 10_000),
    *([], [1], [None], [1, 2], [1, 2, 3], ["a", "b"], [[1], [2]], {}, {"a": 1}, {"a": 1, "b": 2}, {"id": {}}),
    *TAGGED,
)
#: A header of Celery's, of a library's or of a project's.
HEADERS = (
    *("lang", "shadow", "eta", "expires", "group", "group_index", "retries", "timelimit", "root_id", "parent_id"),
    *("argsrepr", "kwargsrepr", "origin", "ignore_result", "replaced_task_nesting", "stamped_headers", "stamps"),
    *("callbacks", "errbacks", "chord", "chain", "meth", "utc", "reply_to", "correlation_id", "delivery_info"),
    *("hostname", "args", "kwargs", "headers", "properties", "is_eager", "called_directly", "loglevel", "logfile"),
    *("taskset", "periodic_task_name", "celery_beat_task", "meta", "time_limit", "soft_time_limit", "groups"),
    *("actor_id", "actor_label", "run_attempt", "source", "published_at", "first_published_at", "started_at"),
    *("started_clock", "claimed", "replaced", "run_files", "retry_eta", "redelivered", "x-death"),
    *("opsconsole_actor_id", "opsconsole_actor_label", "opsconsole_source", "opsconsole_published_at"),
    *("opsconsole_first_published_at", "opsconsole_execution", "opsconsole_attempt"),
)
#: Those on which a worker has been seen to end, or to execute what we did not.
TENDER = ("timelimit", "retries", "stamped_headers", "stamps", "eta", "expires", "group", "root_id", "shadow")
EMBEDDED = ("callbacks", "errbacks", "chain", "chord")
PROPERTIES = (
    *("correlation_id", "reply_to", "delivery_mode", "delivery_info", "priority", "delivery_tag", "redelivered"),
    *("content_type", "expiration", "body_encoding"),
)
ENVELOPE = ("body", "content-type", "content-encoding", "headers", "properties")
SIGNATURE: dict[str, Any] = {
    "task": NAME + "quiet",
    "args": [],
    "kwargs": {},
    "options": {},
    "subtask_type": None,
    "immutable": True,
}


@dataclass(frozen=True, slots=True)
class Generated:
    """One message.

    Attributes:
        mark: what its execution writes into the journal.
        task_id: its header `id`, as JSON has it; `...` where it has none that could be looked up.
        text: as it lies in the queue; `soon` stands for a moment shortly after it is sent.
        what: what was changed of a whole one.
        later: it is not executed at once.
    """

    mark: str
    task_id: Any
    text: str
    what: str
    later: bool = False

    def sent(self) -> str:
        """The text to send now."""
        return self.text.replace(SOON, (datetime.now(UTC) + timedelta(seconds=0.3)).isoformat())


SOON = "<soon>"
MOMENTS = (
    *(SOON, "2020-01-01T00:00:00+00:00", "2020-01-01T00:00:00", "2999-12-31T23:59:59+00:00", "0001-01-01T00:00:00"),
    *("9999-12-31T23:59:59.999999-23:59", "0001-01-01T00:00:00+23:59", "2026-02-30T00:00:00", "2026-01-01", "tomorrow"),
)
LIMITS: tuple[Any, ...] = (
    [None, None],
    [5, 3],
    [1e300, None],
    [None, "x"],
    ["x", 5],
    ["5", "4"],
    [0, 0],
    [-1, None],
    [1, 2, 3],
    "ab",
)
LIMITS += ([None, 10**400], [10**400, None], {"a": 1, "b": 2}, [[1], None], "abc", [True, None], [None, UUID], 5, [1])


class _Chance(random.Random):
    def choice(self, seq: Any) -> Any:
        """A value of its own: what is chosen for a message is changed in there."""
        return copy.deepcopy(super().choice(seq))


def generate(seed: int, number: int) -> Iterator[Generated]:
    """`number` messages; the same seed gives the same ones."""
    chance = _Chance(seed)
    for place in range(number):
        yield _one(chance, f"m{place}")


def _one(chance: random.Random, mark: str) -> Generated:
    told: list[str] = []
    body: Any = [[chance.choice([1, "é", None])], {}, dict.fromkeys(EMBEDDED)]
    message = _whole(mark, chance.choice(KINDS))
    for _ in range(chance.choices([1, 2, 3, 4], [6, 3, 2, 1])[0]):
        change, weight = zip(*_CHANGES, strict=True)
        body = chance.choices(change, weight)[0](chance, message, body, told)
    if isinstance(body, str):
        message["body"] = base64.b64encode(body.encode(errors="replace")).decode()
    elif "body" in message and message["body"] is None:
        message["body"] = base64.b64encode(json.dumps(body).encode()).decode()
    headers = message.get("headers")
    if isinstance(headers, dict) and headers.get("expires") and "id" in headers:
        # What has expired revokes its id while the worker lives, and one of the two lives longer than the other.
        headers["id"] = f"{mark}-0000-4000-8000-000000000000"
    task_id = headers.get("id", ...) if isinstance(headers, dict) else ...
    text = json.dumps(message)
    return Generated(mark, task_id, text, "; ".join(told), SOON in text)


def _whole(mark: str, kind: str) -> dict[str, Any]:
    """As Celery sends it; its body is put in at the end."""
    tag = f"{mark}-0000-4000-8000-000000000000"
    headers = {"lang": "py", "task": NAME + kind, "id": tag, "root_id": tag, "retries": 0, "timelimit": [None, None]}
    headers |= {**dict.fromkeys(("shadow", "eta", "expires", "group", "parent_id")), "argsrepr": "()"}
    return {
        "body": None,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": headers | {"kwargsrepr": "{}", "origin": "gen1@host", "mark": mark},
        "properties": {
            "correlation_id": tag,
            "reply_to": "somebody",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": "default"},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": tag,
        },
    }


def _id(chance: random.Random, message: dict[str, Any], body: Any, told: list[str]) -> Any:
    value = chance.choice([*ODD, UUID, UUID, "x" * 300])
    if isinstance(message.get("headers"), dict):
        told.append(f"id={value!r:.60}")
        message["headers"]["id"] = value
    return body


def _header(chance: random.Random, message: dict[str, Any], body: Any, told: list[str]) -> Any:
    name = chance.choice(HEADERS + TENDER * 4)
    value = chance.choice(ODD)
    if name in {"eta", "expires"} and chance.random() < 0.8:
        value = chance.choice(MOMENTS)
    if name in {"timelimit"} and chance.random() < 0.8:
        value = chance.choice(LIMITS)
    if name == "opsconsole_attempt" and type(value) is int:
        value = "first"  # a message of the console's, whose run nobody knows, is dropped
    if isinstance(message.get("headers"), dict):
        told.append(f"{name}={value!r:.60}")
        message["headers"][name] = value
        if name == "stamped_headers" and chance.random() < 0.5:
            message["headers"]["stamps"] = chance.choice(ODD)
    return body


def _body(chance: random.Random, message: dict[str, Any], body: Any, told: list[str]) -> Any:
    changed: Any = chance.choice(
        [
            *(5, None, [], [[]], [[], {}], [[], {}, {}, {}], "", "{nope", "nöpe", [5, {}, {}], [[], [], {}]),
            *([[], {}, 5], [[], {}, None], ["abc", {}, {}], [{"a": 1}, {}, {}], [[], {"mark": 1}, {}], {"args": []}),
            *([[], {"self": 1}, {}], {"task": NAME + "plain", "id": "p1", "args": [], "kwargs": {}}),
            [[chance.choice(ODD)], {"x": chance.choice(ODD)}, {}],
        ]
    )
    told.append(f"body={changed!r:.60}")
    return changed


def _embed(chance: random.Random, message: dict[str, Any], body: Any, told: list[str]) -> Any:
    name = chance.choice([*EMBEDDED, *HEADERS])
    value = chance.choice([*ODD, [SIGNATURE], SIGNATURE, [SIGNATURE, 5], [{"task": "nobody.knows"}]])
    if isinstance(body, list) and len(body) == 3 and isinstance(body[2], dict):
        told.append(f"embed {name}={value!r:.60}")
        return [body[0], body[1], {**body[2], name: value if name != "opsconsole_attempt" else "first"}]
    return body


def _property(chance: random.Random, message: dict[str, Any], body: Any, told: list[str]) -> Any:
    name = chance.choice(PROPERTIES)
    value = chance.choice([*ODD, {"exchange": "", "routing_key": "nowhere"}, {"exchange": 5, "routing_key": [1]}])
    if isinstance(message.get("properties"), dict):
        told.append(f"{name}={value!r:.60}")
        message["properties"][name] = value
    return body


def _without(chance: random.Random, message: dict[str, Any], body: Any, told: list[str]) -> Any:
    parts = [message, message.get("headers"), message.get("properties")]
    part = chance.choices([one for one in parts if isinstance(one, dict) and one])[0]
    name = chance.choice([one for one in part if one != "mark"] or ["mark"])
    told.append(f"without {name}")
    part.pop(name, None)
    return body


def _envelope(chance: random.Random, message: dict[str, Any], body: Any, told: list[str]) -> Any:
    name = chance.choice(ENVELOPE)
    value = chance.choice([*ODD, "application/x-python-serialize", "application/data", "utf-16", "binary"])
    told.append(f"{name}={value!r:.60}")
    message[name] = value
    return body


_Change = Callable[[random.Random, dict[str, Any], Any, list[str]], Any]
_CHANGES: tuple[tuple[_Change, int], ...] = (
    *((_id, 6), (_header, 24), (_body, 4), (_embed, 6), (_property, 6), (_without, 2), (_envelope, 1)),
)
