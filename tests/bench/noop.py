"""What the benches run: tasks that do as little as can be."""

import time

from celery import shared_task


@shared_task
def noop() -> None:
    """Nothing."""


@shared_task
def nap(seconds: float) -> float:
    """Ends after that long, and returns when, in epoch seconds."""
    time.sleep(seconds)
    return time.time()
