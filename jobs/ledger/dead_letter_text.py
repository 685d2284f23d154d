"""What a fact that was set aside still tells: of which run and task, and its text without secrets."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Any

from jobs.catalog.registry import find_job
from jobs.errors import UnknownJob
from jobs.fleet.dead_letters import MOST_TEXT, DeadLetter
from jobs.text import safe_text

from .readable import NOTHING, Withheld
from .redaction import HIDDEN, hide_in_text, redact, redact_said
from .shown_arguments import without_secrets
from .summary import NOT_SHOWN

#: Characters of a fact's text that a page shows.
LONGEST_SHOWN = 4_000
_LONGEST_NAME = 255
_NAMED = {name: re.compile(rf'"{name}":\s*("(?:[^"\\]|\\.){{0,600}}")') for name in ("task_id", "task")}
#: Arguments as Python spells them: nobody can tell which of them are secret.
_SPELLED = {"args", "kwargs"}


@dataclass(frozen=True, slots=True)
class Told:
    """What could be read of it.

    Attributes:
        task_id, task: "" where they cannot be read.
        text: indented where it is JSON; without secrets; at most LONGEST_SHOWN characters.
        is_json: False where nothing but the look of a name tells what is secret.
        cut: there is more than `text`.
        withheld: the viewer may not read it: `text` says so.
    """

    task_id: str
    task: str
    text: str
    is_json: bool
    cut: bool
    withheld: bool = False


def told(letter: DeadLetter, withheld: Withheld = NOTHING) -> Told:
    """Read it as far as that goes; never raises, whatever it holds. `withheld`: of these tasks nothing but the name."""
    found = _told(letter)
    if not is_withheld(found.task, letter.text, withheld, whole=letter.whole):
        return found
    return replace(found, text=NOT_SHOWN, withheld=True)


def is_withheld(task: str, text: str, withheld: Withheld, *, whole: bool) -> bool:
    """Whether a text tells of a guarded task: where no name can be read, if it is cut or one is anywhere in it."""
    if task or not withheld:
        return task in withheld
    return not whole or any(name in text for name in withheld)


def _told(letter: DeadLetter) -> Told:
    values = _values(letter.text) if letter.whole else None
    if isinstance(values, dict):
        try:
            task_id, task = _name(values.get("task_id")), _name(values.get("task"))
            text = json.dumps(_shown(values, task), ensure_ascii=False, indent=2)
        except RecursionError:
            values = None
        else:
            return Told(task_id, task, _beginning(text), is_json=True, cut=len(text) > LONGEST_SHOWN)
    # Hidden before it is cut: half a secret is one, too.
    text = hide_in_text(letter.text[: 2 * LONGEST_SHOWN])
    return Told(
        _found("task_id", letter.text),
        _found("task", letter.text),
        _beginning(text),
        is_json=False,
        cut=letter.size > MOST_TEXT or len(letter.text) > 2 * LONGEST_SHOWN or len(text) > LONGEST_SHOWN,
    )


def _beginning(text: str) -> str:
    return safe_text(text[:LONGEST_SHOWN])


def _values(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _shown(values: dict[str, Any], task: str) -> dict[str, Any]:
    shown: dict[str, Any] = redact(values)
    if isinstance(values.get("arguments"), str) and values["arguments"]:
        shown["arguments"] = _arguments(values["arguments"], task)
    if isinstance(values.get("result"), str):
        result = _values(values["result"])
        shown["result"] = hide_in_text(values["result"]) if result is None else redact_said(result)
    if isinstance(shown.get("meta"), dict):
        shown["meta"] = {name: HIDDEN if name in _SPELLED else value for name, value in shown["meta"].items()}
    for name in ("traceback", "error_message"):
        if isinstance(shown.get(name), str):
            shown[name] = hide_in_text(shown[name])
    return shown


def _arguments(text: str, task: str) -> Any:
    """Without what the task's job declares secret; hidden as a whole where they are not as the ledger keeps them."""
    try:
        job = find_job(task)
    except UnknownJob:
        job = None
    try:
        return without_secrets(text, job)
    except (ValueError, TypeError, AttributeError, RecursionError):
        return HIDDEN


def _name(value: Any) -> str:
    return safe_text(value) if isinstance(value, str) and len(value) <= _LONGEST_NAME else ""


def _found(name: str, text: str) -> str:
    """The value of a name in text that is no JSON, or not all of it."""
    found = _NAMED[name].search(text[:LONGEST_SHOWN])
    return _name(_values(found[1])) if found else ""
