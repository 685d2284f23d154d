"""Secrets are hidden where values are shown, never where they are kept for a retry."""

from __future__ import annotations

import re
from typing import Any

HIDDEN = "•••"
_SECRET = re.compile(r"pass(word|wd|phrase)|secret|token|api_?key|authorization|cookie|credential|dsn", re.IGNORECASE)


def redact(value: Any) -> Any:
    """A copy of `value` in which each entry of a mapping whose key sounds like a secret is HIDDEN, at any depth."""
    if isinstance(value, dict):
        return {k: HIDDEN if isinstance(k, str) and _SECRET.search(k) else redact(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(redact(item) for item in value)
    return value
