"""Workers of Celery's without the console, one after the other: `python -m tests.differential.stock worker -c 1 …`.

A worker ends often here, and Python takes longer to start than all else. So a process that has imported everything
waits for a line on its standard input, forks into a worker, writes the worker's pid, and notes its end in the journal.
"""

from __future__ import annotations

import os
import sys

from celery import Celery
from celery.bin import celery, worker
from celery.concurrency import prefork

from tests.differential.tasks import journal

#: What the journal says of the end of a worker.
ENDED = "the worker has ended"


def make_app() -> Celery:
    app = Celery("stock", include=["tests.differential.tasks"])
    app.conf.update(
        broker_url=os.environ["STOCK_URL"],
        result_backend=os.environ["STOCK_URL"],
        broker_connection_retry_on_startup=True,
        task_default_queue="default",
        result_extended=True,
        worker_prefetch_multiplier=1,
    )
    app.finalize()
    return app


def main() -> None:
    assert celery and worker and prefork  # imported here, once for all workers
    app = make_app()
    for _ in sys.stdin:
        pid = os.fork()
        if not pid:
            os.setsid()
            os.dup2(2, 1)  # it greets
            app.worker_main(sys.argv[1:])
            os._exit(0)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
        os.waitpid(pid, 0)
        journal().rpush(os.environ["DIFFERENTIAL_JOURNAL"], ENDED)


if __name__ == "__main__":
    main()
