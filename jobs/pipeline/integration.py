"""`integrate(app)`: the one line that joins a Celery application to the console."""

from __future__ import annotations

from typing import Any

from celery import Celery, signals
from kombu.utils.imports import symbol_by_name

from jobs.catalog.applications import remember
from jobs.compat import has_django
from jobs.fleet.beat import BeaconStep
from jobs.fleet.broker import forget_clients
from jobs.fleet.hazards import warn_of_settings

from .joined import JoinedTask, join_tasks
from .live import install
from .outlive import OutliveStep
from .outside import observe_outside
from .publishing import report_published, stamp_message
from .quarantine import QuarantineStep


def integrate(app: Celery) -> None:
    """Make `app`'s tasks claim their runs, its publishers and workers report, and its workers keep a beacon.

    Call it once for each application, where it is made. It touches no model and changes no class that tasks are made
    of: each is joined when it is registered. Without Django, or without settings of it, the tasks are observed only: no
    run of the console begins there.
    """
    observe_outside(app)
    remember(app)
    join_tasks(app)
    app.steps["worker"].add(BeaconStep)
    app.steps["consumer"].add(QuarantineStep)
    app.steps["consumer"].add(OutliveStep)
    signals.before_task_publish.connect(stamp_message, weak=False, dispatch_uid="opsconsole.stamp")
    signals.after_task_publish.connect(report_published, weak=False, dispatch_uid="opsconsole.report")
    # Before the record of the run is closed: its lines go with the fact.
    signals.task_postrun.connect(_report_dropped, weak=False, dispatch_uid="opsconsole.dropped")
    signals.celeryd_after_setup.connect(_warn_of_settings, weak=False, dispatch_uid="opsconsole.hazards")
    signals.task_rejected.connect(_report_refused, weak=False, dispatch_uid="opsconsole.refused")
    signals.beat_init.connect(_use_our_scheduler, weak=False, dispatch_uid="opsconsole.scheduler")
    install()
    signals.worker_init.connect(_keep_connections, weak=False, dispatch_uid="opsconsole.connections")
    signals.worker_process_init.connect(_drop_inherited_sockets, weak=False, dispatch_uid="opsconsole.fork")


def _warn_of_settings(**_: Any) -> None:
    if has_django():
        warn_of_settings()


def _keep_connections(sender: Any = None, **_: Any) -> None:
    if has_django():
        symbol_by_name("jobs.pipeline.connections:keep_connections")(sender)


def _report_dropped(task: Any = None, state: str = "", retval: Any = None, **_: Any) -> None:
    if isinstance(task, JoinedTask):
        symbol_by_name("jobs.pipeline.task:report_dropped")(task, state, retval)


def _report_refused(**told: Any) -> None:
    # Not imported above: it needs what only a worker does.
    symbol_by_name("jobs.pipeline.request:report_refused")(**told)


def _use_our_scheduler(sender: Any = None, **_: Any) -> None:
    # Not imported above: it needs models.
    symbol_by_name("jobs.schedules.scheduler:use_console_scheduler")(sender)


def _drop_inherited_sockets(**_: object) -> None:
    forget_clients()
