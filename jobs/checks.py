"""System checks: what an author or operator can get wrong, with the remedy, before a person meets it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from celery import current_app
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from jobs.catalog.fields import Kind
from jobs.catalog.registry import Job, declared_jobs
from jobs.fleet.hazards import of_settings
from jobs.pipeline.backend import RecordingBackend
from jobs.pipeline.joined import is_joined, why_unclaimed


@register("jobs")
def check_jobs(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """What is wrong with the declared jobs."""
    jobs = declared_jobs()
    found: list[CheckMessage] = []
    for job in jobs:
        found += _wrong_with(job)
    titles: dict[str, str] = {}
    for job in jobs:
        if (other := titles.setdefault(job.title, job.name)) != job.name:
            found.append(
                Error(
                    f"The jobs {other} and {job.name} have the same title, {job.title!r}.",
                    hint="Staff tell jobs by their titles: give one of them another.",
                    id="jobs.E003",
                )
            )
    return found


@register("jobs")
def check_tasks(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """Tasks whose runs nothing would claim."""
    if not is_joined(current_app):
        return []  # told of all of them at once
    return [
        Warning(
            f"The console does not start the task {name}: {why}. A run of it might execute twice.",
            hint="Give it a base class without that, or have a task of its own start it by .delay().",
            id="jobs.W005",
        )
        for name, task in sorted(current_app.tasks.items())
        if not name.startswith("celery.") and (why := why_unclaimed(task))
    ]


@register("jobs")
def check_celery(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """Celery settings without which nothing is recorded or scheduled."""
    found: list[CheckMessage] = []
    if not is_joined(current_app):
        found.append(
            Error(
                f"The Celery application {current_app.main} is not joined: nothing would claim or report a run.",
                hint="Call jobs.integrate(app) where the application is made; the project's __init__.py imports that.",
                id="jobs.E008",
            )
        )
    if not isinstance(current_app.backend, RecordingBackend):
        found.append(
            Error(
                f"The result backend is {type(current_app.backend).__name__}: no end of a run would be recorded.",
                hint="Call admin_ext.join.console(globals()) at the end of the settings, and let Celery read them: "
                "app.config_from_object('django.conf:settings', namespace='CELERY').",
                id="jobs.E006",
            )
        )
    wanted = "jobs.schedules.scheduler:ConsoleScheduler"
    if getattr(settings, "CELERY_BEAT_SCHEDULER", None) != wanted:
        found.append(
            Error(
                "Beat has another scheduler: it would publish by itself, and twice when two of them run.",
                hint=f"Set CELERY_BEAT_SCHEDULER to '{wanted}'.",
                id="jobs.E007",
            )
        )
    return found


@register("jobs")
def check_hazards(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """Settings and packages under which a promise cannot be kept; the recorder looks at the rest."""
    return [
        (Error if hazard.id.startswith("jobs.E") else Warning)(
            f"{hazard.fact} {hazard.consequence}", hint=hazard.where, id=hazard.id
        )
        for hazard in of_settings()
    ]


def _wrong_with(job: Job) -> Iterator[CheckMessage]:
    if job.parameters is None:
        yield Error(job.why_not, hint="Until then nobody can start the job from a form.", id="jobs.E001")
        return
    if job.queue and job.queue not in current_app.amqp.queues:
        yield Error(
            f"The job {job.name} goes to the queue {job.queue!r}, which does not exist.",
            hint=f"Add it to the setting QUEUES, or use one of {', '.join(sorted(current_app.amqp.queues))}.",
            id="jobs.E002",
        )
    if job.dry_run and not any(f.name == job.dry_run and f.kind is Kind.SWITCH for f in job.parameters.fields):
        yield Error(
            f"The job {job.name} names {job.dry_run!r} as its dry run, but has no such bool parameter.",
            hint=f"Add the parameter `{job.dry_run}: bool = False`.",
            id="jobs.E004",
        )
