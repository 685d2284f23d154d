"""What a REDIS_URL of sentinels needs besides: two more variables, as the transport options that Celery takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MASTER, PASSWORD = "REDIS_MASTER_NAME", "REDIS_SENTINEL_PASSWORD"
REMEDY = "Write it as the sentinels call their primary, often mymaster."


def sentinel_options(environment: Mapping[str, str]) -> dict[str, Any]:
    """How the sentinels are asked for the primary; nothing where no primary is named.

    The password of the address is that of the servers; sentinels have one of their own, or none.
    """
    if not (master := environment.get(MASTER, "").strip()):
        return {}
    password = environment.get(PASSWORD, "")
    return {"master_name": master, "sentinel_kwargs": {"password": password} if password else {}}
