"""Beat: decides what is due and commits rows; it never publishes. Named in CELERY_BEAT_SCHEDULER."""

from __future__ import annotations

import logging
import math
import os
import socket
import uuid
from datetime import datetime, timedelta
from typing import Any

from celery import current_app
from celery.schedules import schedstate
from django.db import DatabaseError, close_old_connections, connection
from django.utils import timezone
from django_celery_beat.models import PeriodicTask, PeriodicTasks
from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry

from jobs.catalog.registry import find_job
from jobs.errors import JobsError
from jobs.ledger import leases
from jobs.ledger.audit import Actor
from jobs.ledger.start import Moment, start_run
from jobs.states import Source

from .spec import BrokenSchedule
from .stored import Stored, aware, delivery_of, read
from .timing import NEVER, Timing

logger = logging.getLogger(__name__)

LEASE = "beat"
RENEW_EVERY = 2.0
#: At most so long passes between finding a schedule due and accepting its run.
SINCE_DECIDED = timedelta(minutes=1)


class ConsoleEntry(ModelEntry):
    """One schedule of the database. Its moments are ours; of its row it writes only what beat itself knows.

    Raises:
        BrokenSchedule: the row cannot fire; the list of schedules says so too.
    """

    def __init__(self, model: PeriodicTask, app: Any = None, stored: Stored | None = None) -> None:
        stored = stored or read([model])[0]
        if stored.problem:
            raise BrokenSchedule(stored.problem)
        self.app: Any = app or current_app
        self.model, self.name, self.task = model, model.name, model.task
        self.schedule = Timing(stored.plan, app=self.app)
        self.args, self.kwargs = stored.args or [], stored.kwargs or {}
        self.options: dict[str, Any] = {}
        self.total_run_count = model.total_run_count
        # One that has never run counts from its last change: nothing that was before is caught up with.
        self.last_run_at = aware(model.last_run_at) or aware(model.date_changed) or timezone.now()
        model.last_run_at = self.last_run_at

    @classmethod
    def _unpack_options(cls, expires: Any = None, **options: Any) -> dict[str, Any]:
        """Options of CELERY_BEAT_SCHEDULE as a row keeps them; `expires` as Celery's `apply_async` takes it.

        The stock entry knows `expire_seconds` only, and drops what Celery's own beat would send.
        """
        if isinstance(expires, timedelta):
            expires = expires.total_seconds()
        if isinstance(expires, (int, float)):
            options.setdefault("expire_seconds", max(math.ceil(expires), 1))
        fields: dict[str, Any] = super()._unpack_options(**options)
        return fields | ({"expires": expires} if isinstance(expires, datetime) else {})

    def is_due(self) -> Any:
        until, once_done = aware(self.model.expires), self.model.one_off and self.model.total_run_count > 0
        if once_done or (until is not None and timezone.now() >= until):
            self.switch_off()
        if not self.model.enabled:
            return schedstate(False, NEVER)
        if self.last_run_at > (now := timezone.now()):
            # Written by a clock that was ahead: nothing would fire until then, though the list foretells it.
            self.last_run_at = self.model.last_run_at = now
            self.save()
        return self.schedule.is_due(self.last_run_at)

    def __next__(self) -> ConsoleEntry:
        self.model.last_run_at = timezone.now()
        self.model.total_run_count += 1
        stored = Stored(self.model, self.schedule.plan.spec, "", self.args, self.kwargs)
        return type(self)(self.model, app=self.app, stored=stored)

    def save(self) -> None:
        """Note when it fired. Unlike the stock entry it overwrites nothing that a person changes meanwhile."""
        self._note(last_run_at=self.model.last_run_at, total_run_count=self.model.total_run_count)

    def switch_off(self) -> None:
        """It has no moment to come: a single one that is done, or one past its end."""
        self.model.enabled = False
        if self._note(enabled=False, last_run_at=None, total_run_count=0):
            PeriodicTasks.update_changed()

    def _note(self, **values: Any) -> int:
        # The date tells whether a person has changed the row since; what they set then counts.
        row = PeriodicTask.objects.filter(pk=self.model.pk, date_changed=self.model.date_changed, enabled=True)
        return int(row.update(**values))


def use_console_scheduler(service: Any) -> None:
    """beat_init: a beat that was told `--scheduler` on its command line gets ours where that is the one ours extends.

    Another one stays: it publishes by itself, and this process' log says so, as the recorder does (`jobs.W026`).

    Args:
        service: Celery's `beat.Service`, which has not ticked yet.
    """
    asked = type(service.scheduler)
    if issubclass(asked, ConsoleScheduler):
        return
    if asked is DatabaseScheduler:
        service.scheduler_cls = ConsoleScheduler
        service.scheduler = service.get_scheduler()
        logger.warning("Beat was started with --scheduler DatabaseScheduler; the console's, which extends it, is used.")
    else:
        logger.error(
            "Beat was started with --scheduler %s: it publishes by itself, and schedules of the console do not run. "
            "Start it without --scheduler.",
            asked.__name__,
        )


class ConsoleScheduler(DatabaseScheduler):
    """django-celery-beat's scheduler whose entries become accepted runs, one for each due moment."""

    Entry = ConsoleEntry

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.holder = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._ticked_at = timezone.now()
        super().__init__(*args, **kwargs)

    def install_default_entries(self, data: Any) -> None:
        """None: Celery's daily clean-up of results has nothing to do here, see `RecordingBackend.cleanup`."""

    @property
    def producer(self) -> None:
        """None: Celery's own would connect to the broker at the first due entry, and this beat never publishes."""
        return None

    def all_as_schedule(self) -> dict[str, ConsoleEntry]:
        """Every schedule that is on, whatever its hour; one that is broken is left out and told, and stops no other."""
        entries = {}
        rows = PeriodicTask.objects.filter(enabled=True).select_related("interval", "clocked", "solar")
        for stored in read(rows):
            try:
                entries[stored.row.name] = self.Entry(stored.row, app=self.app, stored=stored)
            except JobsError as error:
                logger.error("Schedule %s is broken and will not run: %s", stored.row.name, error)
            except Exception:  # whatever one row holds, the others fire
                logger.exception("Schedule %s cannot be read and will not run", stored.row.name)
        return entries

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
        before, self._ticked_at = self._ticked_at, timezone.now()
        if self._ticked_at < before:
            # The clock was set back: the heap would wait for the hours that it holds. Everything is read anew.
            self._last_full_sync = datetime.min
        return min(float(super().tick(*args, **kwargs)), RENEW_EVERY)

    def apply_async(self, entry: ConsoleEntry, producer: Any = None, advance: bool = True, **kwargs: Any) -> Any:
        """Accept the entry's run; nothing is published. The same moment decided twice is one run."""
        last_run_at = entry.last_run_at
        entry = self.reserve(entry) if advance else entry
        model, now = entry.model, timezone.now()
        try:
            due_at = entry.schedule.due(last_run_at, now, SINCE_DECIDED) or now
            started = start_run(
                find_job(entry.task),
                entry.kwargs or {},
                positional=entry.args or (),
                actor=Actor(label=f"schedule {model.name}", via="schedule"),
                source=Source.SCHEDULE,
                moment=Moment(model.pk, model.name, due_at),
                wish=delivery_of(model, now, until=aware(model.expires)),
            )
            logger.info("Schedule %s, due %s: run %s.", model.name, due_at, started.run.task_id)
            if model.one_off:
                entry.switch_off()
        except JobsError as error:
            logger.error("Schedule %s, due %s, was not run: %s", model.name, now, error)
        except DatabaseError as error:
            # Nothing was decided: the moment is still due, and the next round decides it.
            logger.error("Schedule %s, due %s, could not be written down yet: %s", model.name, now, error)
            model.last_run_at, model.total_run_count = last_run_at, model.total_run_count - 1
            self._dirty.discard(model.name)
            self._heap = None
        except Exception:  # whatever its job or its row raises: the others fire, and so does its own next moment
            logger.exception("Schedule %s, due %s, was not run", model.name, now)
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
