"""One side of the bench in a process of its own: asks its pages through Django's test client and tells what each cost.

`python -m tests.bench.server ours|stock` reads one JSON line a request from standard input, and answers with one.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import django

django.setup()

from django.contrib.auth.models import User  # noqa: E402 - models only after setup
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402


class Queries:
    """Counts statements and the seconds spent on them."""

    def __init__(self) -> None:
        self.count, self.seconds = 0, 0.0
        self.slowest, self.worst = 0.0, ""

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        began = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            took = time.perf_counter() - began
            self.count += 1
            self.seconds += took
            if took > self.slowest:
                self.slowest, self.worst = took, sql


def measure(client: Client, path: str) -> dict[str, Any]:
    """One request, from the handler's beginning to its last byte."""
    queries = Queries()
    with connection.execute_wrapper(queries):
        began, worked = time.perf_counter(), time.process_time()
        response = client.get(path)
        content = response.content
        took, worked = time.perf_counter() - began, time.process_time() - worked
    return {
        "ms": took * 1000,
        # Of this process, without that of a database server: what is left when the machine is busy elsewhere.
        "cpu_ms": worked * 1000,
        "sql_ms": queries.seconds * 1000,
        "queries": queries.count,
        "status": response.status_code,
        "kB": len(content) / 1000,
        "worst_ms": queries.slowest * 1000,
        "worst": queries.worst,
    }


def main(side: str) -> None:
    """Serve requests until standard input ends."""
    if side == "ours":
        import opsconsole.wsgi  # noqa: F401, PLC0415 - what the web process does when it starts
    logging.disable(logging.WARNING)
    user = User.objects.get(username="bench")
    client = Client(SERVER_NAME="localhost")
    client.force_login(user)
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["do"] == "pages":
            from . import pages  # noqa: PLC0415 - the stock side has no console pages to import

            found = pages.our_pages() if side == "ours" else pages.stock_pages()
            answer: Any = [asdict(page) for page in found]
        else:
            answer = measure(client, asked["path"])
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
