"""`/livez` and `/readyz`: for load balancers and supervisors, without sign-in, without secrets, in bounded time."""

from __future__ import annotations

import threading
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.db import Error, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from jobs.fleet.breaker import ask
from jobs.fleet.broker import Redis
from jobs.fleet.workers import refusal
from jobs.ledger.database import is_there, takes_writes, unapplied
from jobs.ledger.leases import holdings

from .frame.machinery import BEAT, RECORDER

#: How long a probe waits for the database, in seconds; supervisors give up after a few.
PATIENCE = 3.0
_NO_ANSWER = {"database": "no answer"}


@login_not_required
@require_safe
@never_cache
def livez(request: HttpRequest) -> HttpResponse:
    """200 as long as this process answers; it asks nobody else, because a restart mends nothing elsewhere."""
    return HttpResponse("ok\n", content_type="text/plain")


@login_not_required
@require_safe
@never_cache
def readyz(request: HttpRequest) -> HttpResponse:
    """200 when pages can be served: the database is there, is migrated and takes writes.

    Redis, and whether a recorder and a beat lead, are told and do not count: the pages work without.
    """
    database = _database.ask()
    report = {"redis": ask(_look_at_redis) or "no answer"}
    return JsonResponse(database | report, status=200 if database["database"] == "ok" else 503)


def _look_at_redis(client: Redis) -> str:
    return "takes no writes" if refusal(client) else "ok"


class _Database:
    """Asks in a thread of its own, so that a database that hangs holds one thread a process and no request."""

    def __init__(self) -> None:
        self._busy = threading.Lock()

    def ask(self) -> dict[str, str]:
        """Of the database "ok", or what is wrong in words that name no host; where it is ok, of who leads too."""
        if not self._busy.acquire(timeout=PATIENCE):
            return _NO_ANSWER
        answer: list[dict[str, str]] = []
        thread = threading.Thread(target=self._ask, args=(answer,), name="readyz", daemon=True)
        thread.start()
        thread.join(PATIENCE)
        return answer[0] if answer else _NO_ANSWER

    def _ask(self, answer: list[dict[str, str]]) -> None:
        try:
            answer.append(self._look())
        except Error:
            answer.append(_NO_ANSWER)
        finally:
            connection.close()
            self._busy.release()

    def _look(self) -> dict[str, str]:
        if not is_there():
            return {"database": "gone"}
        if unapplied():
            return {"database": "not migrated"}
        if not takes_writes():
            return {"database": "takes no writes"}
        alive = {name for name, held in holdings().items() if held.alive}
        return {"database": "ok"} | {name: "ok" if name in alive else "nobody leads" for name in (RECORDER, BEAT)}


_database = _Database()

urlpatterns: list[Any] = [path("livez", livez, name="livez"), path("readyz", readyz, name="readyz")]
