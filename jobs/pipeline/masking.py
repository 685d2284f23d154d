"""Secrets in texts: every spelling of them, and values without them."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any
from urllib.parse import quote, quote_plus

from jobs.catalog.secrecy import HIDDEN

#: A shorter secret would blot out ordinary words.
_SHORTEST = 4


def spellings(secrets: Collection[str]) -> set[str]:
    """Each that is long enough, as it is, and as Python, JSON and an address spell it."""
    return {way for text in secrets if len(text) >= _SHORTEST for way in _spelled(text)}


def _spelled(text: str) -> tuple[str, ...]:
    sendable = text.encode(errors="replace").decode()
    return text, repr(text)[1:-1], json.dumps(text)[1:-1], quote(sendable, safe=""), quote_plus(sendable)


def without(texts: Collection[str], value: Any) -> Any:
    """A copy of a text, or of what holds texts at any depth, in which HIDDEN stands for each of `texts`."""
    if isinstance(value, str):
        for text in texts:
            value = value.replace(text, HIDDEN)
        return value
    if isinstance(value, dict):
        return {without(texts, name): without(texts, one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        masked = [without(texts, one) for one in value]
        return tuple(masked) if type(value) is tuple else masked
    # What JSON asks for where an object says by itself how it is written.
    written = getattr(value, "__json__", None)
    return without(texts, written()) if callable(written) and not isinstance(value, type) else value
