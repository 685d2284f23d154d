"""Which queue a message belongs to, and how many messages this worker has taken from each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from celery import signals

#: A topic exchange may have any number of routing keys; what comes from further ones is not counted apart.
MOST_QUEUES = 1000

Routes = Mapping[tuple[str, str], str]


def routes_of(app: Any) -> Routes:
    """`(exchange, routing key)` to the queue's name, for every queue that `app` knows."""
    queues = app.amqp.queues
    return {(queue.exchange.name or "", queue.routing_key or name): name for name, queue in queues.items()}


def queue_of(exchange: str, routing_key: str, routes: Routes) -> str:
    """The queue that a message came from; Celery publishes past the exchange, with the queue's name as the key."""
    return routes.get((exchange, routing_key), routing_key) if exchange else routing_key


class Taken:
    """Counts what a worker's main process has taken from each queue since it began; it never counts down.

    What the worker drops on receipt is not counted: an expired or revoked message, a task that it does not know.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self._routes: Routes | None = None
        self._counts: Counter[str] = Counter()

    def listen(self) -> None:
        """Count from now on; once a process."""
        signals.task_received.connect(self._count, weak=False, dispatch_uid="opsconsole.taken")

    def counts(self) -> dict[str, int]:
        return dict(self._counts)

    def by_queue(self, requests: list[Any]) -> dict[str, int]:
        """How many of these requests came from each queue."""
        return dict(Counter(self._queue(request) for request in requests))

    def _count(self, request: Any = None, **_: Any) -> None:
        queue = self._queue(request)
        if queue in self._counts or len(self._counts) < MOST_QUEUES:
            self._counts[queue] += 1

    def _queue(self, request: Any) -> str:
        if self._routes is None:
            self._routes = routes_of(self._app)
        info = request.delivery_info or {}
        return queue_of(str(info.get("exchange") or ""), str(info.get("routing_key") or ""), self._routes)
