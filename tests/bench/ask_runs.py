"""Accept and publish runs as the console does: `python -m tests.bench.ask_runs 1500`."""

import sys

import django

django.setup()

from celery import current_app  # noqa: E402 - models only after setup

import opsconsole.celery  # noqa: F401, E402
from jobs.catalog.registry import find_job  # noqa: E402
from jobs.fleet.broker import steady_client  # noqa: E402
from jobs.ledger.audit import Actor  # noqa: E402
from jobs.ledger.start import start_run  # noqa: E402
from jobs.recorder.dispatch import Dispatcher  # noqa: E402
from tests.bench.noop import noop  # noqa: E402

if __name__ == "__main__":
    job, actor = find_job(noop.name), Actor(label="bench", via="system")
    for _ in range(int(sys.argv[1])):
        start_run(job, {}, actor=actor)
    dispatcher = Dispatcher(current_app, steady_client())
    while dispatcher.step():
        pass
