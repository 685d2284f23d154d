"""This project's settings with unusual options of the broker: a key prefix, ten priorities, own names, 300 queues."""

import os
from typing import Any

from opsconsole import settings as project
from opsconsole.settings import *  # noqa: F403

OPTIONS: dict[str, Any] = {
    "global_keyprefix": "tenant:",
    "sep": "~",
    "priority_steps": list(range(10)),
    "unacked_key": "taken",
    "unacked_index_key": "taken-since",
}
NAMES = ["default", "reports", *(f"q{number:03}" for number in range(298))]
CELERY_BROKER_TRANSPORT_OPTIONS = {**project.CELERY_BROKER_TRANSPORT_OPTIONS, **OPTIONS}
CELERY_TASK_QUEUES = {name: {"exchange": "opsconsole", "routing_key": f"to.{name}"} for name in NAMES}
QUEUES = NAMES
CELERY_WORKER_PREFETCH_MULTIPLIER = 4
CELERY_TASK_ACKS_LATE = bool(os.environ.get("ACKS_LATE"))
