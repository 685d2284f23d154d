"""The arguments of a run in one line: what lists show and the search looks at, without anything secret."""

from __future__ import annotations

from collections.abc import Collection

from jobs.catalog.hints import without_paths
from jobs.models import Run
from jobs.pipeline.arguments import decode

from .redaction import HIDDEN, redact

#: Longest line kept, in characters; the column of the ledger is that wide.
LONGEST = 500


def summarise(arguments: str, *, secrets: Collection[str] = ()) -> str:
    """`3, period=2026-09, password=•••` of arguments as the ledger keeps them.

    Args:
        arguments: as `jobs.pipeline.arguments.encode` wrote them.
        secrets: names of parameters whose values nobody may see, besides those that sound like a secret.
    """
    args, kwargs = redact(decode(arguments))
    parts = [str(without_paths(value)) for value in args]
    given = {name: value for name, value in kwargs.items() if value is not None}  # what was left empty says nothing
    parts += [f"{name}={HIDDEN if name in secrets else without_paths(value)}" for name, value in given.items()]
    # One line, whatever the values hold; NUL and half a surrogate pair are no text for a database.
    text = " ".join(", ".join(parts).replace("\x00", "").split()).encode(errors="replace").decode()
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def key_arguments(run: Run) -> str:
    """The summary as a list shows it, at most 120 characters."""
    return run.summary if len(run.summary) <= 120 else run.summary[:119] + "…"
