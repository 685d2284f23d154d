"""When are two runs equal, so that the success of one heals the failure of the other?"""

from __future__ import annotations

import hashlib
import json

#: Longer arguments are compared as they are written, without looking whether only the order of their names differs.
_LONGEST_SORTED = 20_000


def case_digest(task_name: str, arguments: str, *, exact: bool) -> str:
    """The same text for runs of the same job with the same arguments; runs without any are all equal.

    Args:
        arguments: as the ledger keeps them, `[args, kwargs]`.
        exact: False where they were not kept whole: then nobody knows, and the answer is "".
    """
    if not exact:
        return ""
    text = arguments
    if len(arguments) <= _LONGEST_SORTED:
        try:
            text = json.dumps(json.loads(arguments), sort_keys=True)
        except (ValueError, RecursionError):
            text = arguments
    return hashlib.blake2b(f"{task_name}\x1f{text}".encode(errors="replace"), digest_size=16).hexdigest()


def pieces_of_work(hurting: int, digest: str) -> int:
    """How much work hurts in a case with so many failures: one piece, as what is equal is done once; of what nobody
    knows to be equal, each failure."""
    return hurting if not digest else min(hurting, 1)
