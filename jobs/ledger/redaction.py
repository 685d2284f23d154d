"""Secrets are hidden where values are shown, never where they are kept for a retry."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

from jobs.catalog.hints import SECRET_PREFIX

HIDDEN = "•••"
_SECRET = re.compile(r"pass(word|wd|phrase)|secret|token|api_?key|authorization|cookie|credential|dsn", re.IGNORECASE)


def redact(value: Any) -> Any:
    """A copy of `value` without secrets, at any depth.

    HIDDEN stands for each entry of a mapping whose key sounds like a secret, and for each encrypted text.
    """
    if isinstance(value, dict):
        return {k: HIDDEN if isinstance(k, str) and _SECRET.search(k) else redact(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(redact(item) for item in value)
    if isinstance(value, str) and value.startswith(SECRET_PREFIX):
        return HIDDEN
    return value


def hide(arguments: str, secrets: Collection[str]) -> Any:
    """Arguments as they are kept, `[args, kwargs]` in JSON, as plain data fit for the audit trail."""
    args, kwargs = json.loads(arguments)
    return [redact(args), {name: HIDDEN if name in secrets else redact(value) for name, value in kwargs.items()}]
