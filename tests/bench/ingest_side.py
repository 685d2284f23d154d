"""One database of the ingest bench: facts into the stream, then recorded by this process; asked line by line."""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Iterator
from typing import Any

import django

django.setup()

from django.core.management import call_command  # noqa: E402 - models only after setup
from django.db import connection  # noqa: E402
from django.db.models import Max, Min  # noqa: E402
from django_celery_results.models import TaskResult  # noqa: E402

from jobs.fleet.broker import FACTS_KEY, steady_client  # noqa: E402
from jobs.models import Run  # noqa: E402
from jobs.pipeline.facts import Fact, Kind  # noqa: E402
from jobs.recorder.ingest import Ingest  # noqa: E402
from jobs.states import State  # noqa: E402

TASK = "tests.bench.noop.noop"


def facts(kind: str, count: int) -> Iterator[Fact]:
    """Of `console` runs the ends; of `observed` ones the publishing and, 250 runs later, the end."""
    began, behind = time.time(), []
    for number in range(count):
        task_id, at = str(uuid.uuid4()), began + number * 0.0002
        end = Fact(Kind.ENDED, task_id, at + 0.05, task=TASK, state="SUCCESS", worker="w1@host", queue="default")
        end.release, end.published, end.started_at, end.runtime = "1.0", at, at + 0.04, 0.01
        end.result, end.source, end.root_id = '{"rows": 12}', "code", task_id
        end.meta = {"args": f"({number},)", "kwargs": "{'period': '2026-09'}", "group": None, "meta": {}}
        if kind == "console":
            end.n, end.guaranteed = 1, True
            yield end
            continue
        published = Fact(Kind.PUBLISHED, task_id, at, task=TASK, queue="default", source="code", root_id=task_id)
        published.arguments, published.origin = f'[[{number}], {{"period": "2026-09"}}]', "1@host"
        published.published = at
        yield published
        behind.append(end)
        if len(behind) > 250:
            yield behind.pop(0)
    yield from behind


def fill(kind: str, count: int) -> dict[str, Any]:
    """Append the facts of so many runs; the rows of console runs exist before."""
    pipe = steady_client().pipeline(transaction=False)
    rows = []
    for fact in facts(kind, count):
        if kind == "console":
            run = Run(task_id=fact.task_id, task_name=TASK, guaranteed=True, state=State.RUNNING, attempt=1)
            run.queue, run.worker = "default", "w1@host"
            rows.append(run)
        pipe.xadd(FACTS_KEY, fact.entry())  # type: ignore[arg-type]
        if len(pipe) >= 1000:
            pipe.execute()
    pipe.execute()
    Run.objects.bulk_create(rows, batch_size=500)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return {"entries": steady_client().xlen(FACTS_KEY)}


def drain(ingest: Ingest) -> dict[str, Any]:
    """Record everything; how long it took, and what of that this process computed."""
    before, cpu = time.perf_counter(), time.process_time()
    while steady_client().xlen(FACTS_KEY):
        ingest.step(wait=0.01)
    return {"seconds": time.perf_counter() - before, "cpu": time.process_time() - cpu}


def stored(since: int) -> dict[str, Any]:
    """How many results a stock worker has stored beyond the key `since`, and in how many seconds."""
    found = TaskResult.objects.filter(pk__gt=since).aggregate(Min("date_done"), Max("date_done"))
    count = TaskResult.objects.filter(pk__gt=since).count()
    seconds = (found["date_done__max"] - found["date_done__min"]).total_seconds() if count else 0
    return {"count": count, "seconds": seconds}


def main() -> None:
    """Answer each line of JSON on standard input."""
    call_command("migrate", verbosity=0, interactive=False)
    ingest = Ingest(steady_client())
    for line in sys.stdin:
        asked = json.loads(line)
        match asked["do"]:
            case "fill":
                answer = fill(asked["kind"], asked["count"])
            case "drain":
                answer = drain(ingest)
            case "last":
                answer = {"last": TaskResult.objects.aggregate(Max("pk"))["pk__max"] or 0}
            case _:
                answer = stored(asked["since"])
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
