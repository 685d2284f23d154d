"""Commands to workers that are known to live, and what became of them: who answered, who refused, who shows it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from celery import current_app
from celery.exceptions import OperationalError

from .beacon import BEAT_EVERY, Beacon, read_beacons
from .broker import RedisError, steady_client

#: Seconds to wait for answers: a worker that works in its main process gives none.
ANSWER_WITHIN = 1.5
#: Seconds to wait for the beacons to show what was asked for: a pool looks every five whether a process is missing.
SHOWN_WITHIN = BEAT_EVERY + 5.5


class NotSent(Exception):
    """Redis did not take the command."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What became of a command.

    Attributes:
        asked: the workers that it was addressed to.
        answered: those that said yes.
        refused: worker to its words.
        shown: those whose beacons show what was asked for.
    """

    asked: tuple[str, ...]
    answered: tuple[str, ...] = ()
    refused: dict[str, str] = field(default_factory=dict)
    shown: tuple[str, ...] = ()

    @property
    def silent(self) -> tuple[str, ...]:
        return tuple(name for name in self.asked if name not in self.answered and name not in self.refused)


def command(
    name: str,
    workers: Sequence[str],
    arguments: dict[str, Any],
    *,
    shows: Callable[[Beacon | None], bool],
    answers: bool = True,
) -> Answers:
    """Send a remote command and wait a little for its effect; at most nine seconds.

    Args:
        workers: node names; nobody else is asked, so the wait ends at the last answer.
        shows: whether a worker's beacon, None for one that is gone, shows what was asked for.
        answers: False for a command that ends its worker's loop before it could answer.

    Raises:
        NotSent: Redis did not take it.
    """
    names = tuple(workers)
    replies = _send(name, names, arguments, answers)
    told = {worker: words for reply in replies for worker, words in reply.items() if worker in names}
    refused = {worker: _words(words) for worker, words in told.items() if not _yes(words)}
    answered = tuple(worker for worker in names if worker in told and worker not in refused)
    # Who gave no answer does it when its work lets it: that may be hours.
    shown = _wait(set(answered if answers else names), shows)
    return Answers(
        asked=names,
        answered=answered,
        refused=refused,
        shown=tuple(worker for worker in names if worker in shown),
    )


def _send(name: str, workers: tuple[str, ...], arguments: dict[str, Any], answers: bool) -> list[dict[str, Any]]:
    options = {**(current_app.conf.broker_transport_options or {}), "socket_connect_timeout": 1, "socket_timeout": 2}
    connection = current_app.connection_for_write().clone(transport_options=options)
    try:
        connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0, interval_max=0, timeout=2)
        found = current_app.control.broadcast(
            name,
            arguments=arguments,
            destination=list(workers),
            reply=answers,
            timeout=ANSWER_WITHIN,
            limit=len(workers),
            connection=connection,
        )
    except (OperationalError, RedisError, OSError) as error:
        raise NotSent(type(error).__name__) from error
    finally:
        connection.release()
    # Whoever reaches Redis can answer.
    return [reply for reply in found or () if isinstance(reply, dict)] if answers else []


def _yes(words: Any) -> bool:
    return isinstance(words, dict) and "ok" in words


def _words(words: Any) -> str:
    """What a worker said instead of yes, cut: it may hold anything."""
    said = words.get("error", words) if isinstance(words, dict) else words
    return str(said)[:200]


def _wait(expected: set[str], shows: Callable[[Beacon | None], bool]) -> set[str]:
    """Those whose beacons show it before the time is over."""
    client, until = steady_client(), time.monotonic() + SHOWN_WITHIN
    shown: set[str] = set()
    while expected - shown and time.monotonic() < until:
        try:
            beacons = read_beacons(client).beacons
        except RedisError:
            break
        for name in expected:
            # All that bear the name obey.
            those: list[Beacon | None] = [beacon for beacon in beacons if beacon.worker == name]
            if all(shows(one) for one in those or [None]):
                shown.add(name)
        if expected - shown:
            time.sleep(0.2)
    return shown
