"""What a message says besides its task, its arguments and its queue, as far as a retry by staff can say it again.

The headers are the project's own (a tenant, a trace): Celery's and ours are never among them. They are kept as they
are, because a retry sends them again; pages name them and show no value, for it may be a token.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from celery.app.task import Context

from jobs.fleet.headers import OWN_PREFIX

#: Longest JSON text of all headers that are kept, in characters; of longer ones none is.
MAX_HEADERS = 4_000
_STAMPS = ("stamps", "stamped_headers")
#: Celery's own, as it tells them from a project's (`Context._get_custom_headers`), and those of its beat.
_CELERYS = {*vars(Context), "lang", "task", "argsrepr", "kwargsrepr", "compression", "redelivered"}
_CELERYS |= {"periodic_task_name", "celery_beat_task"}


def delivery_of(headers: Mapping[str, Any], embed: Any) -> dict[str, Any]:
    """What is kept of a message, as plain JSON; empty where there is nothing.

    Args:
        embed: the third part of its body.

    Returns:
        headers: the project's own, stamps among them; `lost` names those that could not be kept.
        limits: its hard and its soft time limit, in seconds or None.
        follows: that something was to be called when it has succeeded or failed (`link`, `link_error`).
    """
    found: dict[str, Any] = {}
    kept, lost = _own(headers)
    if kept:
        found["headers"] = kept
    if lost:
        found["lost"] = lost
    limits = headers.get("timelimit")
    if isinstance(limits, (list, tuple)) and len(limits) == 2 and any(is_limit(one) for one in limits):
        found["limits"] = [one if is_limit(one) else None for one in limits]
    if isinstance(embed, dict) and (embed.get("callbacks") or embed.get("errbacks")):
        found["follows"] = True
    return found


def _own(headers: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    # Most messages have none, and every publish asks.
    names = {name for name in headers.keys() - _CELERYS if isinstance(name, str) and not name.startswith(OWN_PREFIX)}
    names.update(name for name in _STAMPS if headers.get(name))
    if not names:
        return {}, []
    own = {name: value for name, value in headers.items() if name in names}
    kept, lost = {}, []
    for name, value in own.items():
        try:
            json.dumps(value, allow_nan=False).encode()
        except (TypeError, ValueError, RecursionError):
            lost.append(name)
        else:
            kept[name] = value
    if kept and len(json.dumps(kept)) > MAX_HEADERS:
        kept, lost = {}, [*own]
    return kept, [name[:100] for name in lost[:20]]


def is_limit(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 10**9
