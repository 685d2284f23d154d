"""Beat: decides what is due and commits rows; it never publishes. Named in CELERY_BEAT_SCHEDULER."""

from __future__ import annotations

import logging
import os
import socket
import uuid
from typing import Any

from celery.utils.time import maybe_make_aware
from django.db import DatabaseError, close_old_connections, connection
from django.utils import timezone
from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry

from jobs.catalog.registry import find_job
from jobs.errors import JobsError
from jobs.ledger import leases
from jobs.ledger.audit import Actor
from jobs.ledger.start import Moment, start_run
from jobs.states import Source

from .moments import due_moment

logger = logging.getLogger(__name__)

LEASE = "beat"
RENEW_EVERY = 2.0


class ConsoleScheduler(DatabaseScheduler):
    """django-celery-beat's scheduler whose entries become accepted runs, one for each due moment."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.holder = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        super().__init__(*args, **kwargs)

    @property
    def producer(self) -> None:
        """None: Celery's own would connect to the broker at the first due entry, and this beat never publishes."""
        return None

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """One round of the beat; without the lease it only waits, at most RENEW_EVERY seconds."""
        try:
            close_old_connections()
            if not leases.hold(LEASE, self.holder):
                return RENEW_EVERY
        except DatabaseError as error:
            logger.warning("Beat: the database did not answer (%s).", error)
            connection.close()
            return RENEW_EVERY
        return min(float(super().tick(*args, **kwargs)), RENEW_EVERY)

    def apply_async(self, entry: ModelEntry, producer: Any = None, advance: bool = True, **kwargs: Any) -> Any:
        """Accept the entry's run; nothing is published. The same moment decided twice is one run."""
        entry = self.reserve(entry) if advance else entry
        model = entry.model
        try:
            now = timezone.now()
            anchor = maybe_make_aware(model.start_time or model.date_changed)
            moment = Moment(model.pk, model.name, due_moment(entry.schedule, anchor=anchor, now=now))
            started = start_run(
                find_job(entry.task),
                entry.kwargs or {},
                positional=entry.args or (),
                actor=Actor(label=f"schedule {model.name}", via="schedule"),
                source=Source.SCHEDULE,
                moment=moment,
            )
            logger.info("Schedule %s, due %s: run %s.", model.name, moment.due_at, started.run.task_id)
        except JobsError as error:
            logger.error("Schedule %s was not run: %s", model.name, error)
        finally:
            self._tasks_since_sync += 1
            if self.should_sync():
                self._do_sync()

    def close(self) -> None:
        super().close()
        try:
            leases.release(LEASE, self.holder)
        except DatabaseError as error:
            logger.info("Beat: the lease was not released (%s); it expires.", error)
