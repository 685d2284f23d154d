"""What happens around each publish, in whatever process it happens: the stamp before, the fact after.

An observed run begins here: code called `.delay()` and the console only hears of it. Runs that the dispatcher publishes
bear the console's header; their row exists already.
"""

from __future__ import annotations

import logging
import time
from contextvars import ContextVar
from datetime import datetime
from typing import Any

from celery import current_app, current_task
from kombu.exceptions import OperationalError

from jobs.catalog.registry import is_declared
from jobs.catalog.routing import queue_bound_to
from jobs.catalog.secrecy import HIDDEN, call_has_secrets, replaced_in_call, told_secrecy
from jobs.compat import has_django
from jobs.fleet.broker import RedisError, has_redis, page_client
from jobs.fleet.headers import (
    ACTOR_HEADER,
    ACTOR_LABEL_HEADER,
    FIRST_PUBLISHED_HEADER,
    OWN_HEADERS,
    PUBLISHED_HEADER,
    SOURCE_HEADER,
    OwnHeaders,
    count,
    own_headers,
)
from jobs.states import Source

from .arguments import encode, kept_arguments
from .delivery import delivery_of
from .execution import execution_of
from .facts import Fact, Kind, append
from .joined import asked_serializer

logger = logging.getLogger(__name__)

#: Serializers that write JSON; "auth" signs it.
_JSON = frozenset({"json", "auth", "application/json"})


#: The headers of the message that this thread publishes, and its priority: no other signal than the first tells it.
_publishing: ContextVar[tuple[Any, Any]] = ContextVar("publishing", default=(None, None))


def stamp_message(headers: dict[str, Any] | None = None, properties: Any = None, **_: Any) -> None:
    """before_task_publish: when it was published, from where, and for whom; a nested publish inherits the person."""
    if headers is None:
        return
    _publishing.set((headers, properties.get("priority") if isinstance(properties, dict) else None))
    parent = current_task.request if current_task else None
    if parent is not None and parent.id != headers.get("id"):
        # A task that hands all its headers on, to pass a trace for instance: ours say only of itself what they say.
        for name in OWN_HEADERS:
            headers.pop(name, None)
    ours = own_headers(headers)
    headers[PUBLISHED_HEADER] = time.time()
    headers[FIRST_PUBLISHED_HEADER] = ours.first_published or headers[PUBLISHED_HEADER]
    if ours.source:
        return
    if parent is not None and parent.id == headers.get("id"):
        # Task.replace(): the id goes on with another task, and the `Ignore` that follows is not its end.
        execution_of(parent).replaced = True
    if headers.get("periodic_task_name") or headers.get("celery_beat_task"):
        headers[SOURCE_HEADER] = Source.SCHEDULE.value
        return
    headers[SOURCE_HEADER] = Source.CODE.value
    inherited = own_headers(vars(parent)) if parent is not None else OwnHeaders()
    if inherited.actor_label:
        headers[ACTOR_HEADER], headers[ACTOR_LABEL_HEADER] = inherited.actor_id, inherited.actor_label


def report_published(
    sender: str = "",
    headers: dict[str, Any] | None = None,
    body: Any = None,
    routing_key: str = "",
    exchange: Any = "",
    **_: Any,
) -> None:
    """after_task_publish: append the observed run's first fact, with its exact arguments.

    A Redis that does not answer is logged and left: the publish itself succeeded, and the final fact tells the rest.
    """
    if not headers or headers.get("retries") or not has_redis():
        return
    ours = own_headers(headers)
    if ours.execution is not None:
        return
    args, kwargs = (body[0], body[1]) if isinstance(body, tuple) and len(body) >= 2 else ((), {})
    stamped, priority = _publishing.get()
    task = headers.get("task") or sender
    hides = not has_django() and call_has_secrets(task, args, kwargs, told_secrecy)
    if hides:
        args, kwargs = replaced_in_call(task, args, kwargs, lambda _: HIDDEN, told_secrecy)
    text, exact = encode(args, kwargs, as_json=_travels_as_json(task))
    if is_declared(task) and not hides:
        # Else the recorder does so, who knows all jobs: a publish must not import them.
        text = kept_arguments(task, text)
    fact = Fact(
        kind=Kind.PUBLISHED,
        task_id=headers["id"],
        at=ours.published or time.time(),
        task=task,
        queue=queue_bound_to(str(getattr(exchange, "name", exchange) or ""), routing_key),
        arguments=text,
        arguments_exact=exact and not hides,
        source=ours.source or Source.CODE.value,
        actor_id=ours.actor_id,
        actor_label=ours.actor_label,
        root_id=headers.get("root_id") or "",
        parent_id=headers.get("parent_id") or "",
        schedule_name=headers.get("periodic_task_name") or "",
        group_id=headers.get("group") or "",
        origin=str(headers.get("origin") or "").removeprefix("gen"),
        eta=_epoch(headers.get("eta")),
        expires=_epoch(headers.get("expires")),
        published=ours.first_published,
        priority=count(priority, below=2**15) if stamped is headers else None,
        delivery=delivery_of(headers, body[2] if isinstance(body, tuple) and len(body) > 2 else None),
    )
    try:
        append(page_client(), fact)
    except (RedisError, OperationalError) as error:
        logger.warning("The publishing of %s was not reported (%s); its end will be.", fact.task_id, error)


def _travels_as_json(task_name: str) -> bool:
    """Whether a message of this task is JSON, as its task, its call or the application says."""
    serializer = asked_serializer.get() or getattr(current_app.tasks.get(task_name), "serializer", None)
    return (serializer or current_app.conf.task_serializer) in _JSON


def _epoch(moment: Any) -> float | None:
    """Celery writes a message's times in ISO 8601; whoever writes a header can write anything."""
    try:
        return datetime.fromisoformat(moment).timestamp() if moment else None
    except (ValueError, TypeError, OverflowError):
        return None
