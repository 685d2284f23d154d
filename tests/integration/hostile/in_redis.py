"""What pages read from Redis beside the tables: the logs of runs that move, and what was set aside."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from jobs.fleet.broker import DEAD_KEY
from jobs.fleet.quarantined import QUARANTINE_KEY
from jobs.pipeline.told import log_key, progress_key

from .values import BROKEN, JSONS, TEXTS


def fill_redis(redis: Any, task_ids: Iterable[str]) -> None:
    """Logs and progress of these runs, facts and messages that nobody could read."""
    texts = [text.encode(errors="replace") for text in (*JSONS, *BROKEN, *TEXTS)]
    for number, task_id in enumerate(task_ids):
        one, other = texts[number % len(texts)], texts[(7 * number) % len(texts)]
        redis.rpush(log_key(task_id), b'[1e9, "INFO", 1, %b]' % (one or b'""'), other)
        redis.hset(progress_key(task_id), mapping={"progress": one, "written": other[:100]})
    for text in texts:
        redis.xadd(DEAD_KEY, {"f": text, "id": text[:40], "why": text[:400]})
        redis.rpush(QUARANTINE_KEY, text)
