"""The dispatcher: the only publisher of what the console accepted.

One query finds every run whose moment has come: to publish it, or to see whether the message of an earlier publish can
still exist. Publishing twice is harmless, because the claim decides; not publishing is what must not happen.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from typing import Any

import redis
from celery import Celery
from celery.app.routes import Router
from celery.exceptions import QueueNotFound
from django.db.models import Case, F, Value, When
from django.db.models.functions import Now
from kombu.exceptions import EncodeError

from jobs.catalog.applications import application_of
from jobs.catalog.routing import route
from jobs.errors import JobsError
from jobs.fleet.broker import list_key
from jobs.fleet.entries import is_of_another_type
from jobs.fleet.headers import ACTOR_HEADER, ACTOR_LABEL_HEADER, ATTEMPT_HEADER, SOURCE_HEADER
from jobs.fleet.queues import keys_of_another_type, oldest_messages
from jobs.ledger.leases import database_now
from jobs.ledger.start import UNPUBLISHED
from jobs.models import Run
from jobs.pipeline.arguments import decode
from jobs.states import DISPATCHABLE, State

from .restored import MARK, Books

logger = logging.getLogger(__name__)

BATCH = 1000
#: A message counts as forgotten when its list's oldest is this much younger, in seconds; also the first backoff.
PATIENCE = 30
MAX_BACKOFF = 60  # a message that is lost behind a backlog must not wait for minutes once the backlog is gone


class Dispatcher:
    """Publishes through `app`; asks `client` what the lists hold."""

    def __init__(self, app: Celery, client: redis.Redis) -> None:
        self._app = app
        self._client = client
        self._books = Books(client)
        self._straight: dict[int, Router] = {}

    def recover(self) -> None:
        """Call it after an outage and on becoming leader: the database may have been restored meanwhile."""
        self._books.forget()

    def step(self) -> int:
        """Publish what is due, at most BATCH runs; the number published.

        Raises:
            RedisError, OperationalError: Redis is away; the runs stay due.
        """
        self._books.look()
        due = list(
            Run.objects.filter(publish_after__lte=Now(), state__in=DISPATCHABLE, cancel_requested_at__isnull=True)
            .annotate(mark=MARK)
            .order_by("publish_after")
            .only("pk", "task_id", "task_name", "arguments", "queue", "priority", "state", "attempt", "retries",
                  "published_at", "publish_count", "expires_at", "delivery", "source", "actor_id", "actor_label",
                  "parent_id")[:BATCH]
        )  # fmt: skip
        if not due or self._books.went_back(due[0].mark):
            return 0
        fresh = [run for run in due if run.state in {State.ACCEPTED, State.WAITING}]
        waiting = [run for run in due if run.state in {State.QUEUED, State.RETRYING}]
        forgotten = self._forgotten(waiting)
        _look_again_later(run for run in waiting if run not in forgotten)
        try:
            return self._publish([*fresh, *forgotten])
        except Exception as error:
            if not self._leave_out([*fresh, *forgotten], error):
                raise
            return 0  # what was sent is sent again, to no effect

    def _forgotten(self, runs: Sequence[Run]) -> list[Run]:
        """Those whose list is empty, or holds only messages that are clearly younger than their own publish."""
        if not runs:
            return []
        lists = {list_key(run.queue, run.priority) for run in runs}
        oldest = oldest_messages(lists, self._client)
        return [run for run in runs if self._is_forgotten(run, oldest[list_key(run.queue, run.priority)])]

    @staticmethod
    def _is_forgotten(run: Run, oldest: float | None) -> bool:
        if oldest is None or run.published_at is None:
            return True
        return oldest > run.published_at.timestamp() + PATIENCE

    def _leave_out(self, runs: Sequence[Run], error: BaseException) -> bool:
        """Put off those runs whose list is none, where that is what Redis refuses: they hold up no others."""
        cause: BaseException | None = error
        while cause is not None and not is_of_another_type(cause):
            cause = cause.__cause__ or cause.__context__
        if cause is None:
            return False
        odd = keys_of_another_type({list_key(run.queue, run.priority) for run in runs}, self._client)
        _look_again_later(
            (run for run in runs if list_key(run.queue, run.priority) in odd),
            note="cannot be published: the key of its queue in Redis holds something else than a list",
        )
        return bool(odd)

    def _publish(self, runs: Sequence[Run]) -> int:
        if not runs:
            return 0
        # Before the publish: an observer of the row may err towards an older message, never towards a younger one.
        moment = database_now()
        sent: list[Run] = []
        with self._app.producer_or_acquire() as producer, _together(producer):
            for run in runs:
                try:
                    self._send(run, producer)
                except (QueueNotFound, EncodeError, JobsError, ValueError, TypeError, RecursionError) as error:
                    # One run that cannot be sent must not hold up the others.
                    logger.error("Run %s cannot be published: %s", run.task_id, error)
                    _look_again_later([run], note=f"{UNPUBLISHED}{error}"[:255])
                else:
                    sent.append(run)
        _mark_published(sent, moment)
        return len(sent)

    def _send(self, run: Run, producer: Any) -> None:
        args, kwargs = decode(run.arguments)
        if not run.queue:  # nobody could tell when it was accepted
            way = route(run.task_name, args, kwargs, priority=run.priority)
            run.queue, run.priority = way.queue, way.priority
            Run.objects.filter(pk=run.pk).update(queue=run.queue, priority=run.priority)
        # Left out, not None: that would clear what the task itself says.
        more: dict[str, Any] = {} if run.expires_at is None else {"expires": run.expires_at}
        kept = run.delivery or {}
        if limits := kept.get("limits"):
            more |= {"time_limit": limits[0], "soft_time_limit": limits[1]}
        app = application_of(run.task_name)
        if (straight := self._straight.get(id(app))) is None:
            straight = self._straight[id(app)] = Router(queues=app.amqp.queues, app=app)
        app.send_task(
            run.task_name,
            args=args,
            kwargs=kwargs,
            task_id=run.task_id,
            # Where it goes was decided when it was accepted: no route is asked again, and what the task itself says of
            # an exchange is in that decision.
            router=straight,
            queue=run.queue,
            exchange=None,
            routing_key=None,
            exchange_type="direct",
            priority=run.priority,
            retries=run.retries,
            producer=producer,
            headers={
                **kept.get("headers", {}),
                ATTEMPT_HEADER: run.attempt + 1 - run.retries,
                SOURCE_HEADER: run.source,
                ACTOR_HEADER: run.actor_id,
                ACTOR_LABEL_HEADER: run.actor_label,
            },
            **more,
        )


def _together(producer: Any) -> AbstractContextManager[Any]:
    """Messages travel in batches; with a kombu before 5.7, which has none, one at a time."""
    return producer.batch(max_size=500) if hasattr(producer, "batch") else nullcontext()


def _mark_published(runs: Sequence[Run], moment: datetime) -> None:
    """Note the publish, unless a worker has claimed the run meanwhile."""
    for count, group in _by_publish_count(runs):
        unclaimed = Run.objects.filter(pk__in=group, publish_after__isnull=False, state__in=DISPATCHABLE)
        unclaimed.update(
            state=Case(When(state=State.RETRYING, then=F("state")), default=Value(State.QUEUED)),
            state_note="",
            published_at=moment,
            publish_count=count + 1,
            publish_after=Now() + _backoff(count),
        )


def _look_again_later(runs: Iterable[Run], note: str | None = None) -> None:
    for count, group in _by_publish_count(runs):
        changes = {} if note is None else {"state_note": note}
        Run.objects.filter(pk__in=group, publish_after__isnull=False).update(
            publish_after=Now() + _backoff(count), publish_count=count + 1, **changes
        )


def _by_publish_count(runs: Iterable[Run]) -> Iterable[tuple[int, list[int]]]:
    groups: dict[int, list[int]] = defaultdict(list)
    for run in runs:
        groups[run.publish_count].append(run.pk)
    return ((count, group[i : i + 500]) for count, group in groups.items() for i in range(0, len(group), 500))


def _backoff(count: int) -> timedelta:
    return timedelta(seconds=min(PATIENCE * 2 ** min(count, 5), MAX_BACKOFF))
