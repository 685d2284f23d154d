"""Secrets are hidden where values are shown, never where they are kept for a retry."""

from __future__ import annotations

import re
from typing import Any

from jobs.catalog.hints import SECRET_PREFIX
from jobs.catalog.secrecy import (
    HIDDEN,
    called_within,
    replaced_in_call,
    shown_secrecy,
    sounds_secret,
    without_passwords,
)
from jobs.text import DEEPER, MOST_LEVELS, read_json, safe_text, safe_value

__all__ = ["HIDDEN", "hide", "hide_call", "hide_in_text", "redact", "redact_said"]

#: No text without one of these holds what `_SECRET` looks for, and looking for them is a fiftieth of the work.
_WORDS = (
    "pass",
    "pwd",
    "secret",
    "token",
    "key",
    "auth",
    "cookie",
    "credential",
    "dsn",
    "session",
    "signature",
    "bearer",
)
#: A name that sounds like a secret, and the value after it, in JSON, in JSON within JSON, and in Python's spelling.
_SECRET = re.compile(
    r"""((?:pass(?:word|wd|phrase)|secret|token|(?:api|private|access|encryption|signing)_?key|authorization|cookie|credential|dsn|pwd"""
    r"""|session_?(?:id|key)|signature(?=\\{0,9}["']?\s{0,9}[:=])|(?<![a-z])(?:bearer|auth(?![a-z])))[\w-]{0,40}(?:\\{0,9}["'])?\s{0,9}[:=]\s{0,9})"""
    r"""(\\*"(?:[^"\\]|\\[^"]|\\+"(?=[^\s,:}\]]))*\\*"?|'(?:[^'\\]|\\.)*'?|(?:(?:bearer|basic)\s+)?[^\s,}\]]+)""",
    re.IGNORECASE,
)


def redact(value: Any, levels: int = MOST_LEVELS) -> Any:
    """A copy of `value` without secrets, at any depth, and safe to be sent and walked (`jobs.text`).

    HIDDEN stands for each entry of a mapping whose key sounds like a secret and which holds something, and for each
    encrypted text; an address in a text loses its password.
    """
    if isinstance(value, str):
        return HIDDEN if value.startswith(SECRET_PREFIX) else without_passwords(safe_text(value))
    if not isinstance(value, (dict, list, tuple)):
        return safe_value(value)
    if levels <= 0:
        return DEEPER
    if isinstance(value, dict):
        return {
            safe_value(name): _hidden(one) if isinstance(name, str) and sounds_secret(name) else redact(one, levels - 1)
            for name, one in value.items()
        }
    return type(value)([redact(item, levels - 1) for item in value])


def redact_said(value: Any) -> Any:
    """A copy of what a body returned or told: as `redact`, and each text in it as `hide_in_text`."""
    return _hidden_in_texts(redact(value))


def _hidden_in_texts(shown: Any) -> Any:
    if isinstance(shown, str):
        return hide_in_text(shown)
    if isinstance(shown, dict):
        return {name: _hidden_in_texts(one) for name, one in shown.items()}
    return [_hidden_in_texts(one) for one in shown] if isinstance(shown, (list, tuple)) else shown


def hide_in_text(text: str) -> str:
    """What a program wrote (a message, a line of a log, a traceback) without what stands after a name that sounds like
    a secret, and without passwords in addresses."""
    low = text.lower()
    found = _SECRET.sub(rf"\1{HIDDEN}", text) if any(word in low for word in _WORDS) else text
    return without_passwords(found)


def _hidden(value: Any) -> Any:
    """Nothing is nobody's secret: it says that none was given."""
    return None if value is None else HIDDEN


def hide_call(task_name: str, args: Any, kwargs: Any) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of a task without secrets: what its declaration calls so, and what sounds so.

    A value that was given by position goes by the name of its parameter. Of a task that is not registered here nobody
    knows the parameters: there only names, encrypted texts and addresses tell.

    Raises:
        TypeError: they are no list and no mapping.
    """
    if not (isinstance(args, list) and isinstance(kwargs, dict)):
        raise TypeError("no arguments of a task")
    if called_within(task_name, args, kwargs) is not None:
        args, kwargs = replaced_in_call(task_name, args, kwargs, _hidden, shown_secrecy)
    secrecy = shown_secrecy(task_name)
    named = redact(kwargs)
    if secrecy.nothing:
        return [redact(value) for value in args], named
    return (
        [_hidden(value) if secrecy.at(place) else redact(value) for place, value in enumerate(args)],
        {name: _hidden(value) if secrecy.of(name) else value for name, value in named.items()},
    )


def hide(arguments: str, task_name: str) -> Any:
    """Arguments as they are kept, `[args, kwargs]` in JSON, as plain data fit for the audit trail."""
    return list(hide_call(task_name, *read_json(arguments)))
