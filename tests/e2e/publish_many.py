"""Publishes what `test_queues` counts; started with `queue_settings`, as code of a project would run."""

import json
import sys
from pathlib import Path
from typing import Any

from opsconsole.celery import app

HOLD = "tests.jobs_under_test.hold"


def main(flag: str, written: str) -> None:
    """Ready messages of ten priorities, ETA messages, and jobs that hold until the file `flag` exists.

    `written` gets the queue of each id.
    """
    sent: list[tuple[str, dict[str, Any]]] = [("q003", {"countdown": 3000})] * 5
    sent += [(queue, {}) for queue in ("q000", "q001", "q002") for _ in range(13)]
    sent += [(f"q{number}", {"priority": step}) for number in range(100, 200) for step in range(number % 10 + 1)]
    with app.producer_or_acquire() as producer:
        queues = {
            app.send_task(HOLD, args=[flag], queue=queue, producer=producer, **options).id: queue
            for queue, options in sent
        }
    Path(written).write_text(json.dumps(queues))


if __name__ == "__main__":
    main(*sys.argv[1:])
