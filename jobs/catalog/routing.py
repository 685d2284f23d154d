"""Where a run goes: the one place that decides its queue, by Celery's own router, as `apply_async` does.

It is decided once, when the run is accepted, and stands in its row; the dispatcher publishes to that queue directly.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from celery.app.routes import MapRoute
from celery.exceptions import QueueNotFound

from jobs.errors import JobsError, UnknownJob

from .applications import application_of, applications
from .registry import find_job

logger = logging.getLogger(__name__)

#: Redis knows no later one; Celery counts what is above it as this.
LAST_PRIORITY = 9
#: Execution options that say nothing about the way (celery/app/base.py, `send_task`).
_NO_WAY = ("expires", "time_limit", "soft_time_limit", "ignore_result")


class NoRoute(JobsError):
    """Nobody can tell into which queue it goes; the text says why, and the remedy."""


@dataclass(frozen=True, slots=True)
class Route:
    """A queue's name, and the priority from 0, first, to 9, last; None leaves it to the queue."""

    queue: str
    priority: int | None = None


def route(
    task_name: str,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    queue: str = "",
    priority: int | None = None,
) -> Route:
    """Where a message with these arguments goes.

    Args:
        queue, priority: what a person or a schedule wants; they count more than the job's own and the routes.

    Raises:
        NoRoute: a router raises, or names a queue that does not exist.
    """
    with suppress(UnknownJob):
        queue = queue or find_job(task_name).queue
    options: dict[str, Any] = {"queue": queue} if queue else {}
    if priority is not None:
        options["priority"] = priority
    try:
        routed = _routed(task_name, list(args), dict(kwargs or {}), options)
    except NoRoute:
        if not exists(queue):
            raise
        return Route(queue, _priority(priority))  # whoever names a queue needs no route
    return Route(_queue(task_name, routed, queue), _priority(routed.get("priority")))


def usual_queue(task_name: str) -> str:
    """The queue of a job's runs, as far as it does not depend on their arguments; "" where nobody can tell."""
    try:
        return route(task_name).queue
    except NoRoute:
        return ""


def depends_on_arguments() -> bool:
    """Whether a function of the project decides, which may look at them."""
    return any(not isinstance(one, MapRoute) for app in applications() for one in app.amqp.router.routes)


def exists(queue: str) -> bool:
    """Whether something can be published to a queue of this name."""
    return bool(queue) and any(
        queue in app.amqp.queues or app.conf.task_create_missing_queues for app in applications()
    )


def known_queues() -> list[str]:
    """The names of the queues that the settings declare, in order."""
    return sorted({queue for app in applications() for queue in app.amqp.queues})


def queue_bound_to(exchange: str, routing_key: str) -> str:
    """The queue into which a message with this exchange and routing key goes; the key where none or several fit."""
    if not exchange:
        return routing_key
    bound = _bound_to(exchange, routing_key)
    return bound[0] if len(bound) == 1 else routing_key


def _routed(task_name: str, args: list[Any], kwargs: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    app = application_of(task_name)
    task: Any = app.tasks.get(task_name)
    own = task._get_exec_options() if task is not None else {}
    merged = {name: value for name, value in own.items() if value is not None and name not in _NO_WAY} | options
    try:
        router: Any = app.amqp.router
        found: dict[str, Any] = router.route(merged, task_name, args, kwargs, task)
    except QueueNotFound as error:
        raise NoRoute(
            f"{task_name} goes nowhere: {error}. Add that queue to the setting QUEUES, or name one of "
            f"{', '.join(known_queues())}."
        ) from None
    except Exception as error:  # a project's own function
        # Pages ask again and again, so that each would write it; who starts a run does so once.
        logger.debug("The way of %s could not be told", task_name, exc_info=True)
        raise NoRoute(
            f"{task_name} goes nowhere: a router of task_routes raised {type(error).__name__}. Mend that function, or "
            "choose a queue."
        ) from error
    return found


def _queue(task_name: str, routed: Mapping[str, Any], wanted: str) -> str:
    """The queue that these options lead to, as `send_task_message` of celery/app/amqp.py reads them."""
    queue, exchange, key = routed.get("queue"), routed.get("exchange"), routed.get("routing_key")
    if queue is None and exchange is None:
        queue = application_of(task_name).amqp.default_queue
    own = str(getattr(queue, "name", queue or ""))
    of_queue = getattr(queue, "exchange", None)
    direct = of_queue is None or of_queue.type == "direct"
    if own and (wanted or (direct and not (exchange and key))):
        return own
    name = str(getattr(exchange, "name", exchange) or getattr(of_queue, "name", ""))
    key = str(key or getattr(queue, "routing_key", "") or "")
    bound = _bound_to(name, key)
    if own in bound or len(bound) == 1:
        return own if own in bound else bound[0]
    fact = f"the queues {', '.join(bound)} are all" if bound else "no queue is"
    raise NoRoute(
        f"{task_name} goes nowhere: {fact} bound to the exchange {name} for the routing key {key or 'of none'}. Let "
        "its route name a queue."
    )


def _bound_to(exchange: str, key: str) -> list[str]:
    """The queues of the settings that a message with this exchange and key reaches."""
    known = [queue for app in applications() for queue in app.amqp.queues.values()]
    queues = [queue for queue in known if queue.exchange and queue.exchange.name == exchange]
    return sorted({queue.name for queue in queues if _reaches(queue.exchange.type, str(queue.routing_key or ""), key)})


def _reaches(kind: str, pattern: str, key: str) -> bool:
    if kind == "topic":
        return _fits(pattern.split("."), key.split("."))
    return kind == "fanout" or pattern == key


def _fits(pattern: list[str], words: list[str]) -> bool:
    """`*` stands for one word of a topic's key, `#` for any number."""
    if not pattern:
        return not words
    if pattern[0] == "#":
        return any(_fits(pattern[1:], words[at:]) for at in range(len(words) + 1))
    return bool(words) and pattern[0] in ("*", words[0]) and _fits(pattern[1:], words[1:])


def _priority(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return max(0, min(value, LAST_PRIORITY))
