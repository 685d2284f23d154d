"""The alerts: what stands wrong is told outside once, and once when it is over, and counted for the pages. Nothing here
may end the recorder, and nothing else waits for it."""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.utils.module_loading import import_string

from jobs.alerts.delivery import channels_of_settings, deliver
from jobs.alerts.settle import settle, take_up
from jobs.alerts.standing import Look, Standing
from jobs.fleet.breaker import ask
from jobs.fleet.looks import looks_of, write_looks

logger = logging.getLogger(__name__)

#: Seconds between two looks, at most.
LOOK_EVERY = 15.0


class Alerts:
    """One instance a leading recorder; all that must outlive it is in the database.

    Args:
        stopped: asked between two messages whether the recorder is to end.
    """

    def __init__(self, stopped: Callable[[], bool]) -> None:
        self._stopped = stopped
        self._taken_up = self._on = False
        self._blind = ""
        self._path: str = getattr(settings, "ALERT_TROUBLES", "")

    @property
    def every(self) -> float:
        """Seconds between two looks: a trouble must be seen several times before it is told."""
        return min(LOOK_EVERY, max(settings.ALERT_AFTER / 4, 0.5))

    def recover(self) -> None:
        """Call it after an outage and on becoming leader: another may have led, by other settings."""
        self._taken_up = False

    def step(self) -> int:
        """Look, write what is due, send what waits; always 0, because the next look has its time.

        Raises:
            DatabaseError: nothing was told that is not written down.
        """
        try:
            self._work()
        except (DatabaseError, InterfaceError):
            raise
        except Exception:  # whoever is not told of a trouble still has the books
            logger.exception("Alerts could not be worked out or sent")
        return 0

    def _work(self) -> None:
        if not self._taken_up:
            self._on = take_up(channels_of_settings() if self._path else [])
            self._taken_up = True
        if not self._path:
            return
        look = self._look()
        counted = looks_of(one.key for one in look.standing)
        ask(lambda client: write_looks(client, counted))
        if self._on:
            settle(look, after=settings.ALERT_AFTER)
            deliver(self._stopped)

    def _look(self) -> Look:
        """What stands wrong, by the function that the settings name: this room does not know what pages know."""
        try:
            look: Look = import_string(self._path)()
        except (DatabaseError, InterfaceError):
            raise
        except Exception as error:  # a mistake in words for a page must not stop the books
            kind = type(error).__name__
            if self._blind != kind:
                logger.exception("What needs a look cannot be worked out")
            self._blind = kind
            fact = f"The recorder cannot work out what needs a look ({kind})."
            return Look((Standing("alerts:look", "bad", fact, "See its log."),), unknown=("",))
        self._blind = ""
        return look
