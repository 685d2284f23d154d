"""Reports the ends of many observed runs through the real result backend, as a worker's children would."""

import sys
import time

from celery.app.task import Context

from jobs.fleet.headers import FIRST_PUBLISHED_HEADER
from jobs.pipeline.execution import Execution, note_execution
from opsconsole.celery import app


def main(prefix: str, count: int) -> None:
    """Runs `<prefix>-0`, `<prefix>-1`, …, each with its number as the result."""
    for number in range(count):
        began = time.time()
        task_id = f"{prefix}-{number}"
        request = Context(
            id=task_id,
            task="tests.tasks_observed.succeed",
            hostname="default@tests",
            delivery_info={"routing_key": "default"},
            argsrepr=f"({number},)",
            kwargsrepr="{}",
            **{FIRST_PUBLISHED_HEADER: began},
        )
        note_execution(request, Execution(began, time.monotonic()))
        app.backend.mark_as_done(task_id, number, request=request)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
