"""Text that can leave as UTF-8: JSON can spell half a surrogate pair, and a page that holds one cannot be sent."""

from __future__ import annotations


def sendable(text: str) -> str:
    """`text` with a question mark for each half of a pair."""
    return text.encode(errors="replace").decode()
