"""`/livez` and `/readyz`: for load balancers and supervisors, without sign-in, without secrets, in bounded time."""

from __future__ import annotations

import threading
from typing import Any

from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from jobs.fleet.breaker import ask
from jobs.fleet.broker import Redis
from jobs.fleet.workers import refusal

#: How long a probe waits for the database, in seconds; supervisors give up after a few.
PATIENCE = 3.0


@require_safe
@never_cache
def livez(request: HttpRequest) -> HttpResponse:
    """200 as long as this process answers; it asks nobody else, because a restart mends nothing elsewhere."""
    return HttpResponse("ok\n", content_type="text/plain")


@require_safe
@never_cache
def readyz(request: HttpRequest) -> HttpResponse:
    """200 when pages can be served: the database answers and is migrated. Redis is told and does not count: the pages
    work without it."""
    database = _database.ask()
    redis = ask(_look_at_redis) or "no answer"
    report = {"database": database, "redis": redis}
    return JsonResponse(report, status=200 if database == "ok" else 503)


def _look_at_redis(client: Redis) -> str:
    return "takes no writes" if refusal(client) else "ok"


class _Database:
    """Asks in a thread of its own, so that a database that hangs holds one thread a process and no request."""

    def __init__(self) -> None:
        self._busy = threading.Lock()
        self._migrated = False

    def ask(self) -> str:
        """\"ok\", or what is wrong in words that name no host."""
        if not self._busy.acquire(timeout=PATIENCE):
            return "no answer"
        answer: list[str] = []
        thread = threading.Thread(target=self._ask, args=(answer,), name="readyz", daemon=True)
        thread.start()
        thread.join(PATIENCE)
        return answer[0] if answer else "no answer"

    def _ask(self, answer: list[str]) -> None:
        try:
            answer.append(self._look())
        except Error:
            answer.append("no answer")
        finally:
            connection.close()
            self._busy.release()

    def _look(self) -> str:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        if not self._migrated:
            executor = MigrationExecutor(connection)
            # Kept once true: nobody takes migrations back under a running process, and reading them all is slow.
            self._migrated = not executor.migration_plan(executor.loader.graph.leaf_nodes())
        return "ok" if self._migrated else "not migrated"


_database = _Database()

urlpatterns: list[Any] = [path("livez", livez, name="livez"), path("readyz", readyz, name="readyz")]
