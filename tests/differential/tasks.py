"""The tasks that both workers know. Each execution puts the mark of its message into its worker's journal, in Redis."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from celery import shared_task
from redis import Redis

NAME = "tests.differential.tasks."


@cache
def journal() -> Redis:
    """The database of the journals; asked for in pool processes only, so that none shares another's connection."""
    return Redis(unix_socket_path=os.environ["DIFFERENTIAL_SOCKET"], db=2)


def note(mark: Any) -> None:
    journal().rpush(os.environ["DIFFERENTIAL_JOURNAL"], str(mark).encode(errors="replace"))


@shared_task(bind=True)
def plain(self: Any, *args: Any, **kwargs: Any) -> str:
    """The mark is a header: of everything else the message may hold anything."""
    note(self.request.get("mark"))
    return "done"


@shared_task(bind=True, acks_late=True)
def late(self: Any, *args: Any, **kwargs: Any) -> str:
    note(self.request.get("mark"))
    return "done"


@shared_task(bind=True, ignore_result=True)
def quiet(self: Any, *args: Any, **kwargs: Any) -> None:
    note(self.request.get("mark"))


@shared_task(bind=True, soft_time_limit=20, time_limit=30)
def limited(self: Any, *args: Any, **kwargs: Any) -> str:
    note(self.request.get("mark"))
    return "done"


@shared_task(bind=True, rate_limit="1000/s")
def paced(self: Any, *args: Any, **kwargs: Any) -> str:
    note(self.request.get("mark"))
    return "done"


@shared_task(bind=True)
def failing(self: Any, *args: Any, **kwargs: Any) -> None:
    note(self.request.get("mark"))
    raise ValueError("as always")


@shared_task
def hold(flag: str) -> None:
    """Keeps the slot until it is told, at most 20 seconds."""
    note(flag)
    journal().blpop([flag], 20)
