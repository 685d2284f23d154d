"""The verbs on workers: each sends a remote command to those that live, and records that it does and who answered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.db import DatabaseError

from jobs.errors import JobsError
from jobs.fleet.beacon import Beacon
from jobs.fleet.commands import Answers, NotSent, command

from .audit import Actor, Subject, record
from .verbs import (
    BEGIN_COMMAND,
    GROW_POOL,
    SHRINK_POOL,
    SHUT_DOWN,
    START_CONSUMING,
    STOP_CONSUMING,
    Verb,
    require,
)

#: A pool grows or shrinks by so many slots at a time.
MOST_SLOTS = 32
#: Pools that can be resized while they work.
RESIZABLE = frozenset({"prefork", "gevent", "eventlet"})


class NotCommanded(JobsError):
    """Nothing was sent, or its outcome is not known; the text says which and why."""


def grow_pool(worker: Beacon, slots: int, *, actor: Actor, reason: str) -> Answers:
    """Give the worker so many slots more, until it restarts.

    Raises:
        NotPermitted: the actor may not command workers.
        NotCommanded: its pool cannot grow, there is no reason, or Redis or the database does not answer.
    """
    wanted = worker.concurrency + slots
    _check_slots(GROW_POOL, worker, actor, slots, 1)
    return _act(
        GROW_POOL,
        "pool_grow",
        [worker.worker],
        {"n": slots},
        actor=actor,
        reason=reason,
        details={"slots": slots},
        shows=lambda beacon: beacon is not None and _has(beacon, wanted),
    )


def shrink_pool(worker: Beacon, slots: int, *, actor: Actor, reason: str) -> Answers:
    """Take so many slots from the worker, until it restarts; one is always left. What runs goes on.

    Raises:
        NotPermitted, NotCommanded: as `grow_pool`.
    """
    wanted = worker.concurrency - slots
    _check_slots(SHRINK_POOL, worker, actor, slots, wanted)
    return _act(
        SHRINK_POOL,
        "pool_shrink",
        [worker.worker],
        {"n": slots},
        actor=actor,
        reason=reason,
        details={"slots": slots},
        shows=lambda beacon: beacon is not None and beacon.concurrency <= wanted,
    )


def start_consuming(workers: Sequence[str], queue: str, *, actor: Actor, reason: str) -> Answers:
    """Let the workers take from the queue, too, until they restart; a connection that is lost and made again keeps it.

    Raises:
        NotPermitted, NotCommanded: as `grow_pool`.
    """
    return _act(
        START_CONSUMING,
        "add_consumer",
        workers,
        {"queue": queue},
        actor=actor,
        reason=reason,
        details={"queue": queue},
        shows=lambda beacon: beacon is not None and queue in beacon.queues,
    )


def stop_consuming(workers: Sequence[str], queue: str, *, actor: Actor, reason: str) -> Answers:
    """Let the workers take nothing more from the queue, until they restart. What they have received they still run.

    Raises:
        NotPermitted, NotCommanded: as `grow_pool`.
    """
    return _act(
        STOP_CONSUMING,
        "cancel_consumer",
        workers,
        {"queue": queue},
        actor=actor,
        reason=reason,
        details={"queue": queue},
        shows=lambda beacon: beacon is None or queue not in beacon.queues,
    )


def shut_down(worker: Beacon, *, actor: Actor, reason: str) -> Answers:
    """Stop the worker warmly: it takes nothing new, ends what it runs, and goes. It answers by stopping.

    Raises:
        NotPermitted, NotCommanded: as `grow_pool`.
    """
    return _act(
        SHUT_DOWN,
        "shutdown",
        [worker.worker],
        {},
        actor=actor,
        reason=reason,
        details={},
        shows=lambda beacon: beacon is None or beacon.stopping or beacon.boot != worker.boot,
        answers=False,
    )


def _has(worker: Beacon, slots: int) -> bool:
    """Whether it has so many slots; a pool of processes starts new ones within some seconds."""
    processes = slots if worker.pool != "prefork" or worker.children is None else len(worker.children)
    return min(worker.concurrency, processes) >= slots


def _check_slots(verb: Verb, worker: Beacon, actor: Actor, slots: int, left: int) -> None:
    require(verb, actor, _subject([worker.worker]))
    if worker.pool not in RESIZABLE:
        raise NotCommanded(f"Nothing was sent: a {worker.pool} pool cannot be resized while it works.")
    if not 1 <= slots <= MOST_SLOTS:
        raise NotCommanded(f"Nothing was sent: give a number of slots from 1 to {MOST_SLOTS}.")
    if left < 1:
        raise NotCommanded(f"Nothing was sent: one of its {worker.concurrency:,} slots must be left.")


def _act(
    verb: Verb,
    name: str,
    workers: Sequence[str],
    arguments: dict[str, Any],
    *,
    actor: Actor,
    reason: str,
    details: dict[str, Any],
    shows: Callable[[Beacon | None], bool],
    answers: bool = True,
) -> Answers:
    subject = _subject(workers)
    require(verb, actor, subject)
    if not reason:
        raise NotCommanded("Nothing was sent: say why. The reason stands in the audit trail.")
    if not workers:
        raise NotCommanded("Nothing was sent: no worker was heard that it could be addressed to.")
    named = {**details, "workers": list(workers)[:50]}
    asked = {**named, "asked": len(workers)}
    try:
        # Before anything is sent: the answers take seconds, in which this process may die.
        record(BEGIN_COMMAND.name, actor, subject, reason=reason, details={**named, "command": verb.name})
    except DatabaseError as error:
        raise NotCommanded("Nothing was sent: the database did not take the note of it. Press again.") from error
    try:
        told = command(name, workers, arguments, shows=shows, answers=answers)
    except NotSent as error:
        _note(verb, actor, subject, reason, {**asked, "stopped": str(error)})
        raise NotCommanded("Redis did not take the command; whether a worker has heard it is not known.") from error
    answered = len(told.answered) if answers else len(told.shown)
    outcome: dict[str, Any] = {"answered": answered, "shown": len(told.shown)}
    if told.refused:
        outcome["said_no"] = dict(list(told.refused.items())[:50])
    _note(verb, actor, subject, reason, {**asked, **outcome})
    return told


def _note(verb: Verb, actor: Actor, subject: Subject, reason: str, details: dict[str, Any]) -> None:
    """What became of a command that was sent: a database that refuses it now must not look as if nothing was."""
    try:
        record(verb.name, actor, subject, reason=reason, details=details)
    except DatabaseError as error:
        raise NotCommanded(
            "The command was sent. What became of it is not in the trail: the database did not take it."
        ) from error


def _subject(workers: Sequence[str]) -> Subject:
    first = workers[0] if workers else "nobody"
    label = first if len(workers) <= 1 else f"{first} and {len(workers) - 1:,} more"
    return Subject("worker", first[:255], label)
