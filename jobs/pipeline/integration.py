"""`integrate(app)`: the one line that joins a Celery application to the console."""

from __future__ import annotations

from celery import Celery, signals

from jobs.fleet.beacon import BeaconStep
from jobs.fleet.broker import forget_clients

from .publishing import report_published, stamp_message


def integrate(app: Celery) -> None:
    """Make `app`'s tasks claim their runs, its publishers and workers report, and its workers keep a beacon.

    Call it once, where the application is made. It touches no model: the task class is named by its path, because it
    imports the ledger and Celery resolves it only after Django is ready.
    """
    app.task_cls = "jobs.pipeline.task:ConsoleTask"
    app.steps["worker"].add(BeaconStep)
    signals.before_task_publish.connect(stamp_message, weak=False, dispatch_uid="opsconsole.stamp")
    signals.after_task_publish.connect(report_published, weak=False, dispatch_uid="opsconsole.report")
    signals.worker_process_init.connect(_drop_inherited_sockets, weak=False, dispatch_uid="opsconsole.fork")


def _drop_inherited_sockets(**_: object) -> None:
    forget_clients()
