"""What a message that was set aside still tells: task, run, arguments, text; without secrets, never unpickled."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Any

from jobs.catalog.registry import find_job
from jobs.errors import UnknownJob
from jobs.fleet.dead_letters import DeadLetter
from jobs.fleet.messages import read_message
from jobs.fleet.quarantined import SetAside
from jobs.text import safe_text

from .dead_letter_text import is_withheld, told
from .readable import NOTHING, Withheld
from .redaction import HIDDEN
from .shown_arguments import without_secrets
from .summary import NOT_SHOWN

#: The body of a message that is not whole JSON: nobody could tell what in it is secret.
_BODY = re.compile(r'("body"\s*:\s*)"(?:[^"\\]|\\.)*"?', re.DOTALL)
#: Arguments as Python spells them: nobody can tell which of them are secret.
_SPELLED = ("argsrepr", "kwargsrepr")
_LONGEST = 4_000


@dataclass(frozen=True, slots=True)
class MessageText:
    """What could be read of it.

    Attributes:
        task, task_id: "" where they cannot be read.
        arguments: as JSON without secrets; where they are not shown, why not.
        text: the message without its body; without secrets.
        cut: there is more than `text`.
        is_json: False where nothing but the look of a name tells what is secret.
        withheld: the viewer may not read it: `arguments` and `text` say so.
    """

    task: str
    task_id: str
    arguments: str
    text: str
    cut: bool
    is_json: bool
    withheld: bool = False


def message_text(one: SetAside, withheld: Withheld = NOTHING) -> MessageText:
    """Read it as far as that goes; never raises, whatever it holds. `withheld`: of these tasks nothing but the name."""
    found = _message_text(one)
    if not is_withheld(found.task, one.text, withheld, whole=one.size == len(one.text)):
        return found
    return replace(found, arguments=NOT_SHOWN, text=NOT_SHOWN, withheld=True)


def _message_text(one: SetAside) -> MessageText:
    raw = one.text.encode(errors="replace")
    waiting = read_message(raw, priority=0, size=len(raw))
    values = _without_body(one.text) if one.size == len(one.text) else None
    shown = _BODY.sub(rf'\1"{HIDDEN}"', one.text) if values is None else values
    letter = DeadLetter("", "", "", shown, len(shown.encode(errors="replace")), has_fact=True)
    found = told(letter)
    return MessageText(
        task=waiting.task,
        task_id=waiting.task_id,
        arguments=_arguments(waiting.arguments, waiting.task) if waiting.arguments else waiting.why_not,
        text=found.text,
        cut=found.cut or one.size > len(one.text),
        is_json=values is not None and found.is_json,
    )


def _without_body(text: str) -> str | None:
    """The message without its body and without arguments in Python's spelling; None where it is no whole object."""
    try:
        values: Any = json.loads(text)
        if not isinstance(values, dict):
            return None
        headers = values.get("headers")
        if isinstance(headers, dict):
            hidden = {name: HIDDEN for name in _SPELLED if name in headers}
            values["headers"] = {**headers, **hidden}
        if "body" in values:
            values["body"] = HIDDEN
        return json.dumps(values)
    except (ValueError, RecursionError):
        return None


def _arguments(arguments: str, task: str) -> str:
    try:
        job = find_job(task)
    except UnknownJob:
        job = None
    try:
        shown = json.dumps(without_secrets(arguments, job), ensure_ascii=False)
    except (ValueError, TypeError, AttributeError, RecursionError):
        return "cannot be shown"
    return safe_text(shown)[:_LONGEST]
