"""Telling workers to drop or to end a task, by Celery's remote control, in bounded time."""

from __future__ import annotations

from typing import Any

from celery import current_app
from celery.exceptions import OperationalError

from .broker import RedisError

#: Seconds for a connection, and for a worker's answer.
PATIENCE = 2


class NotTold(Exception):
    """The workers could not be told, or the one that was asked did not answer."""


def drop_when_it_comes(task_id: str) -> None:
    """Tell every worker that lives now to drop the task when it comes. Each keeps that in its memory only.

    Raises:
        NotTold: Redis is away.
    """
    _control(task_id)


def end_by_force(task_id: str, worker: str, processes: int = 1) -> bool:
    """Let `worker` kill the pool process that runs the task; False where it says that it does not run it.

    Args:
        processes: so many bear that name, and each answers.

    Raises:
        NotTold: Redis is away, or the worker did not answer.
    """
    answers = _control(
        task_id, terminate=True, signal="SIGKILL", destination=[worker], reply=True, timeout=PATIENCE, limit=processes
    )
    if not answers:
        raise NotTold(f"{worker} did not answer within {PATIENCE} s")
    return any(task_id in str(answer) for answer in answers)


def _control(task_id: str, **options: Any) -> Any:
    bounds = {**(current_app.conf.broker_transport_options or {}), "socket_timeout": PATIENCE + 1}
    try:
        with current_app.connection_for_write(connect_timeout=PATIENCE, transport_options=bounds) as connection:
            connection.ensure_connection(max_retries=1, timeout=PATIENCE, interval_start=0)
            return current_app.control.revoke(task_id, connection=connection, **options)
    except (RedisError, OperationalError, OSError) as error:
        raise NotTold("Redis does not answer") from error
