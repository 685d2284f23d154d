"""The recorder's threads: the lease, and one thread for each chore, each with its own database connection."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from celery import current_app
from django.db import DatabaseError, InterfaceError, close_old_connections, connection
from kombu.exceptions import KombuError

from jobs.fleet.broker import RedisError, steady_client
from jobs.ledger import leases

from .alert import Alerts
from .dispatch import Dispatcher
from .identity import Belonging
from .ingest import Ingest
from .inspection import Inspection
from .reap import Reaper
from .sample import Sampler
from .watch import Watch

logger = logging.getLogger(__name__)

LEASE = "recorder"
RENEW_EVERY = 2.0
#: What may go wrong outside us; the chore tries again. Anything else ends the process, so that it is seen.
OUTAGES = (DatabaseError, InterfaceError, RedisError, KombuError, OSError)


@dataclass(frozen=True, slots=True)
class Chore:
    """Something to do again and again.

    Attributes:
        step: does a portion; returns how much, 0 when there was nothing.
        every: pause in seconds after a step that found nothing.
        redis: it works on what lies in Redis.
        recover: called after an outage and on becoming leader.
    """

    name: str
    step: Callable[[], int]
    every: float
    recover: Callable[[], None] = lambda: None
    redis: bool = True


class Recorder:
    """Keeps the books while it holds the lease; stands by while another does."""

    def __init__(self) -> None:
        self.holder = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._stop = threading.Event()
        self._leads = threading.Event()
        self._held_until = 0.0
        self._is_refused = False
        self._belonging = Belonging(steady_client(), self.holder)
        ingest = Ingest(steady_client())
        dispatcher = Dispatcher(current_app, steady_client())
        sampler = Sampler(steady_client())
        alerts = Alerts(self._stop.is_set)
        self._chores = [
            Chore("ingest", lambda: ingest.step(wait=0.5), 0.0, ingest.catch_up),
            Chore("dispatch", dispatcher.step, 0.2, dispatcher.recover),
            Chore("watch", Watch(steady_client()).step, 1.0),
            Chore("sample", sampler.step, 0.5, sampler.forget),
            Chore("reap", Reaper(steady_client()).step, 2.0),
            Chore("inspect", Inspection(steady_client()).step, 15.0),
            Chore("alert", alerts.step, alerts.every, alerts.recover, redis=False),
        ]

    def run(self) -> None:
        """Work until `stop()`; returns when every thread has ended.

        Raises:
            RuntimeError: a thread ended by an error that is not an outage.
        """
        threads = [threading.Thread(target=self._renew, name="lease", daemon=True)]
        threads += [threading.Thread(target=self._loop, args=(c,), name=c.name, daemon=True) for c in self._chores]
        for thread in threads:
            thread.start()
        while not self._stop.wait(0.5):
            if dead := [thread.name for thread in threads if not thread.is_alive()]:
                self._stop.set()
                raise RuntimeError(f"The recorder's thread {', '.join(dead)} ended by an error; see the log above.")
        for thread in threads:
            thread.join(timeout=10)
        if self._leads.is_set():
            leases.release(LEASE, self.holder)
            self._belonging.leave()
        logger.info("Recorder stopped.")

    def stop(self) -> None:
        """Ask every thread to end after its present step; safe in a signal handler."""
        self._stop.set()

    def _renew(self) -> None:
        while not self._stop.is_set():
            asked = time.monotonic()
            try:
                close_old_connections()
                if self._refused():
                    self._held_until = 0.0
                    if self._leads.is_set():
                        leases.release(LEASE, self.holder)
                elif leases.hold(LEASE, self.holder):
                    self._held_until = asked + leases.LEASE_SECONDS
            except (DatabaseError, InterfaceError) as error:
                logger.warning("Lease: the database did not answer (%s).", error)
                connection.close()
            leads = time.monotonic() < self._held_until
            if leads != self._leads.is_set():
                logger.info("Recorder %s %s.", self.holder, "leads" if leads else "stands by")
                self._leads.set() if leads else self._leads.clear()
            self._stop.wait(RENEW_EVERY)
        connection.close()

    def _refused(self) -> bool:
        """Whether Redis serves another database; the last answer while it is away, as the chores ask again after it."""
        with suppress(RedisError):
            self._is_refused = self._belonging.refused(leads=self._leads.is_set())
        return self._is_refused

    def _loop(self, chore: Chore) -> None:
        fresh, pause, failing = True, 0.0, False
        while not self._stop.wait(pause):
            if not self._leads.wait(timeout=1):
                fresh, pause = True, 0.0
                continue
            try:
                close_old_connections()
                if fresh:
                    if chore.redis and self._belonging.refused(leads=True):
                        pause = RENEW_EVERY  # until then the lease is given up
                        continue
                    chore.recover()
                    fresh = False
                done = chore.step()
                pause, failing = (0.0 if done else chore.every), False
            except OUTAGES as error:
                if not failing:
                    logger.warning("%s: %s: %s; trying on.", chore.name, type(error).__name__, error)
                fresh, pause, failing = True, min(max(pause * 2, 0.5), 5.0), True
                connection.close()
        connection.close()
