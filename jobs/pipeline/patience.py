"""Celery's Redis backend, patient: how an execution has ended stays in hand until Redis takes it.

A Redis that is full, cannot save to its disk or is a replica for a while is as good as one that is away. Celery retries
only the latter; whatever else is raised while an end is told becomes the end, and a body that did its work is failed.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from celery.backends.redis import RedisBackend
from celery.exceptions import SoftTimeLimitExceeded
from redis.exceptions import (
    ClusterDownError,
    ConnectionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)

logger = logging.getLogger(__name__)

#: What Redis says while it takes no writes, and redis-py has no class for.
_FOR_NOW = ("MISCONF", "NOREPLICAS", "OOM ", "READONLY", "BUSY ")


class Refused(ConnectionError):
    """Redis answers and takes no writes for now: tried again as if it were away."""


class PatientBackend(RedisBackend):
    """Retries by `retry_policy` of `result_backend_transport_options` whatever may pass, and what chords count too."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._told = threading.local()

    @contextmanager
    def telling(self, task_id: str) -> Iterator[None]:
        """Celery tells how an execution has ended. What Redis does not take in the end is given up: raised, it would
        become the end. Nobody is told then, and the recorder finds the run lost."""
        before, self._told.telling = self._is_telling, True
        try:
            yield
        except RedisError as error:
            logger.critical("Run %s has ended, and Redis does not take that: %s", task_id, _words(error))
        finally:
            self._told.telling = before

    def ensure(self, fun: Callable[..., Any], args: Any, **policy: Any) -> Any:
        """As Celery's, of what Redis refuses for now too.

        Raises:
            RedisError, OSError: it did not take it within the policy.
        """
        while True:
            try:
                return super().ensure(_now, (fun, *args), **policy)
            except Refused as error:
                raise error.__cause__ or error from None
            except SoftTimeLimitExceeded:
                # The body has ended in time: what takes long is Redis.
                if not self._is_telling:
                    raise

    def on_connection_error(self, max_retries: int | None, exc: Exception, intervals: Any, retries: int) -> float:
        """The pause before the next try, in seconds."""
        pause = float(next(intervals))
        text = "Redis does not take a result (%s). Try %s of %s in %.1f s."
        logger.error(text, _words(exc), retries + 1, max_retries, pause)
        return pause

    def on_chord_part_return(self, request: Any, state: str, result: Any, *args: Any, **kwargs: Any) -> Any:
        """Counting a task of a chord twice is harmless: Celery's script knows it by its id."""
        return self.ensure(super().on_chord_part_return, (request, state, result, *args))

    @property
    def _is_telling(self) -> bool:
        return bool(getattr(self._told, "telling", False))


def _now(write: Callable[..., Any], *args: Any) -> Any:
    try:
        return write(*args)
    except ResponseError as error:
        passing = isinstance(error, (OutOfMemoryError, ReadOnlyError, ClusterDownError, TryAgainError))
        if passing or any(word in _words(error) for word in _FOR_NOW):
            raise Refused(_words(error)) from error
        raise


def _words(error: Exception) -> str:
    """What Redis says, without the command that redis-py puts before it: a result is in that."""
    return str(error).rpartition("of pipeline caused error: ")[2][:200]
