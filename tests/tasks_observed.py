"""Plain Celery tasks of every kind, as a project's own code has them. Each tells what it does in the outside book."""

from __future__ import annotations

import json
import logging
import os
import signal
import time
from collections.abc import Callable
from typing import Any

from celery import Task, current_task, shared_task
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded
from django.db import connection
from kombu.utils import json as tagged

from jobs import progress, set_progress
from tests.jobs_under_test import wait_for_flag

logger = logging.getLogger(__name__)


def tell(event: str, args: Any = (), **kwargs: Any) -> None:
    """One line of the outside book, written at once: who ran, with what, for whom, when."""
    request = current_task.request
    line = {
        "event": event,
        "id": request.id,
        "name": current_task.name,
        "arguments": tagged.dumps([list(args), kwargs]),
        "retries": request.retries,
        "parent": request.parent_id or "",
        "root": request.root_id,
        "group": request.group or "",
        "at": time.time(),
    }
    with open(os.environ["OUTSIDE_BOOK"], "ab", buffering=0) as book:
        book.write(json.dumps(line, default=str).encode() + b"\n")  # an id may be a UUID, as the program sent it


@shared_task
def succeed(*args: Any, **kwargs: Any) -> int:
    tell("start", args, **kwargs)
    tell("succeeded")
    return len(args)


@shared_task(ignore_result=True)
def succeed_quietly(*args: Any) -> None:
    tell("start", args)
    tell("succeeded")


@shared_task
def add_up(numbers: list[int]) -> int:
    tell("start", [numbers])
    tell("succeeded")
    return sum(numbers)


class Silent(Task):
    """As a project's own base class may be: it replaces what it does not know of."""

    abstract = True

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        tell("before", args, **kwargs)


@shared_task(base=Silent)
def succeed_on_another_base(number: int) -> int:
    tell("start", [number])
    return number


@shared_task
def break_down(what: str) -> None:
    tell("start", [what])
    tell("failed")
    raise LookupError(f"no {what} anywhere")


class ClientError(Exception):
    """As many client libraries have them: it cannot be made again from its own `args`, so it does not pickle."""

    def __init__(self, code: int, body: str) -> None:
        super().__init__(f"{code}: {body}")
        self.fingerprint = f"client-{code}"


class ServerError(LookupError):
    """The same of a class whose parent pickles: Celery hands on the parent."""

    def __init__(self, code: int, body: str) -> None:
        super().__init__(f"{code}: {body}")


@shared_task
def call_out(code: int, body: str) -> None:
    tell("start", [code, body])
    tell("failed")
    raise (ClientError if code < 500 else ServerError)(code, body)


@shared_task(bind=True, max_retries=1)
def call_out_again(self: Any, code: int) -> None:
    tell("start", [code])
    tell("failed" if self.request.retries else "retrying")
    try:
        raise ClientError(code, "busy")
    except ClientError as error:
        raise self.retry(exc=error, countdown=0.05) from error


@shared_task(bind=True, max_retries=2)
def try_again(self: Any, succeed_at: int) -> str:
    tell("start", [succeed_at])
    if self.request.retries >= succeed_at:
        tell("succeeded")
        return "at last"
    tell("failed" if self.request.retries == self.max_retries else "retrying")
    raise self.retry(exc=TimeoutError("not yet"), countdown=0.05)


@shared_task
def publish_two(name: str) -> None:
    tell("start", [name])
    succeed.delay(name, "first")
    succeed.delay(name, "second")
    tell("succeeded")


@shared_task(bind=True)
def replaced(self: Any, number: int) -> None:
    tell("start", [number])
    raise self.replace(succeed.si("instead", number))


@shared_task
def ignore() -> None:
    tell("start")
    tell("cancelled")
    raise Ignore()


@shared_task
def reject() -> None:
    tell("start")
    tell("failed")
    raise Reject("not this one", requeue=False)


@shared_task(bind=True)
def put_back(self: Any) -> None:
    """Asks for its message to be put back, which its worker has acknowledged already."""
    tell("start")
    tell("failed")
    raise Reject("the bank is closed", requeue=True)


@shared_task(acks_late=True)
def put_back_once(flag: str) -> None:
    """The same with `acks_late`, until the test makes a file."""
    tell("start", [flag])
    if not os.path.exists(flag):
        time.sleep(0.2)
        raise Reject("not yet", requeue=True)
    tell("succeeded")


class Unshown(str):
    """JSON takes it for a text; nobody can show it."""

    def __repr__(self) -> str:
        raise RuntimeError("cannot be shown")

    def __str__(self) -> str:
        raise RuntimeError("cannot be shown")


class UnshownObject:
    def __repr__(self) -> str:
        raise RuntimeError("cannot be shown")


@shared_task
def die() -> None:
    tell("start")
    tell("lost")
    os.kill(os.getpid(), signal.SIGKILL)


@shared_task
def hold(flag: str) -> None:
    tell("start", [flag])
    wait_for_flag(flag)
    tell("succeeded")


@shared_task
def talk(lines: int, flag: str = "") -> None:
    """Logs, prints and warns; holds on in the middle where a flag is given."""
    for number in range(lines):
        logger.info("line %s", number)
    print("printed")  # noqa: T201
    logger.warning("half way\nwith a second line")
    if flag:
        wait_for_flag(flag)
    logger.info("the end")


@shared_task
def count(rows: int, flag: str = "") -> int:
    """Tells its progress row by row; holds on at the half where a flag is given."""
    done = 0
    for number in progress(range(rows), noun="balances"):
        if flag and number == rows // 2:
            wait_for_flag(flag)
        done += 1
    return done


@shared_task
def count_by_hand(rows: int) -> None:
    for number in range(rows):
        set_progress(number + 1, rows, noun="letters", note=f"letter {number}")


@shared_task(bind=True)
def tell_states(self: Any, states: list[tuple[str, Any]], end: str = "", flag: str = "") -> str:
    """Sets states by hand; holds on where a flag is given; ends as it is told."""
    tell("start", [states, end, flag])
    for state, meta in states:
        self.update_state(state=state, meta=meta)
    if flag:
        wait_for_flag(flag)
    if end == "ignore":
        raise Ignore()
    if end == "fail":
        raise LookupError("after all")
    return "told"


@shared_task(track_started=True)
def start_loudly(flag: str) -> None:
    tell("start", [flag])
    wait_for_flag(flag)
    tell("succeeded")


@shared_task
def give(what: str) -> Any:
    """A return value of that kind."""
    tell("start", [what])
    kinds: dict[str, Callable[[], Any]] = {
        "10 MB": lambda: "x" * 10_000_000,
        "no JSON": object,
        "half surrogates": lambda: {"text": "\ud800 and \udfff", "nul": "\x00"},
        "not a number": lambda: float("nan"),
        "a generator": lambda: (number for number in range(3)),
        "a loop": _loop,
        "what cannot be shown": UnshownObject,
        "a text that cannot be shown": lambda: Unshown("text"),
    }
    return kinds[what]()


def _loop() -> list[Any]:
    values: list[Any] = []
    values.append(values)
    return values


@shared_task
def break_hugely() -> None:
    """An error of 5 MB below a thousand frames."""
    tell("start")
    _below(900)


def _below(depth: int) -> None:
    if depth:
        _below(depth - 1)
    raise ValueError("<b>wrong</b> " * 400_000)


@shared_task
def want_too_much() -> None:
    tell("start")
    raise MemoryError("no room for 8 GB")


@shared_task(soft_time_limit=1, time_limit=30)
def overstep_softly(flag: str) -> None:
    tell("start", [flag])
    wait_for_flag(flag)


@shared_task(soft_time_limit=1, time_limit=2)
def overstep_hard(flag: str) -> None:
    tell("start", [flag])
    try:
        wait_for_flag(flag)
    except SoftTimeLimitExceeded:
        wait_for_flag(flag)


@shared_task
def count_on_this_connection() -> tuple[int, int]:
    """The process, and how many tasks have used its database connection so far."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE IF NOT EXISTS seen (task text)")
        cursor.execute("INSERT INTO seen VALUES (%s)", [current_task.request.id])
        cursor.execute("SELECT count(*) FROM seen")
        return os.getpid(), cursor.fetchone()[0]
