"""A worker outlives the connection that it lost, also with messages in its hands.

kombu 5.7 puts such messages back into their queue while it closes a connection that Celery has taken apart already, and
breaks on that with an AttributeError, which ends the worker with exit code 1. They need not go back: the dispatcher
publishes again what nobody claims, and Redis still has the others among the unacknowledged.
"""

from __future__ import annotations

import logging
from typing import Any

from celery import bootsteps

logger = logging.getLogger(__name__)


class OutliveStep(bootsteps.StartStopStep):
    """Guards the channel of a worker's consumer, anew with each connection."""

    requires = ("celery.worker.consumer.connection:Connection",)

    def start(self, parent: Any) -> None:
        if parent.connection.transport.driver_type != "redis":
            return
        connection = parent.connection
        qos = connection.default_channel.qos
        restore = qos.restore_unacked_once

        def guarded(stderr: Any = None) -> None:
            try:
                restore(stderr)
            except AttributeError as error:
                if parent.connection is connection:
                    raise  # it is no lost connection that is being closed
                logger.info("Reserved messages were not put back, their connection is gone (%s).", error)

        qos.restore_unacked_once = guarded
