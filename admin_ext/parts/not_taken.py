"""What a form answers when the database did not take what was sent: itself once more, as 503, and a sentence."""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.db import DatabaseError, connection, transaction
from django.http import HttpResponse

log = logging.getLogger(__name__)

NOT_STARTED = "The database did not take it: nothing was accepted. Press again: it cannot start twice."
NOT_ALL_STARTED = "The database did not take all of it. Press again: nothing starts twice."
NOT_CHANGED = "The database did not take it: nothing was changed. Press again."
#: For acts of several steps.
NOT_ALL_CHANGED = "The database did not take it, or not all of it. See what has changed here, and press again."


def taken(act: Callable[[], HttpResponse], otherwise: Callable[[], HttpResponse]) -> HttpResponse:
    """What `act` answers; where the database fails it, what `otherwise` answers, as 503 unless that leads elsewhere.

    Where the project wraps each request in a transaction (ATOMIC_REQUESTS), what `act` did is undone first: the page
    that follows reads the database, too.

    Raises:
        DatabaseError: the page cannot be read either.
    """
    before = connection.savepoint() if connection.in_atomic_block else None
    try:
        answer = act()
    except DatabaseError as error:
        log.warning("The database did not take what a form asked for: %s", error)
        if before is not None:
            transaction.set_rollback(False)  # first: nothing is sent while it is set, the rollback neither
            connection.savepoint_rollback(before)
        answer = otherwise()
        if answer.status_code == 200:
            answer.status_code = 503
        return answer
    if before is not None:
        connection.savepoint_commit(before)
    return answer
