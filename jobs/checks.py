"""System checks: what an author or operator can get wrong, with the remedy, before a person meets it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from celery import current_app
from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.checks import CheckMessage, Error, Info, Warning, register
from django.db import DEFAULT_DB_ALIAS, router
from django.db.models import Model

from jobs.catalog.applications import applications
from jobs.catalog.fields import Kind
from jobs.catalog.registry import Job, declared_jobs
from jobs.fleet.broker import MEMORY, has_redis
from jobs.fleet.hazards import of_settings
from jobs.pipeline.backend import RecordingBackend
from jobs.pipeline.joined import is_joined, why_unclaimed

#: So many tasks are named in one message.
MOST_NAMED = 5


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
    """Tasks whose runs nothing would claim; one word for all that have the same reason."""
    if not is_joined(current_app):
        return []  # told of all of them at once
    by_reason: dict[str, list[str]] = {}
    for name, task in sorted(current_app.tasks.items()):
        if not name.startswith("celery.") and (why := why_unclaimed(task)):
            by_reason.setdefault(why, []).append(name)
    return [
        Warning(
            f"The console does not start {_named(names)}: {why}. A run might execute twice.",
            hint="Use a base class without that, or have a task of its own start them by .delay().",
            id="jobs.W005",
        )
        for why, names in by_reason.items()
    ]


@register("jobs")
def check_celery(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """Celery settings without which nothing is recorded or scheduled. Where tasks are eager that is as it must be."""
    if not has_redis():
        fact = f"Celery's broker is {MEMORY}: nothing is recorded, and the console starts nothing."
        return [Info(fact, hint="For tests that is all. Else name a Redis in CELERY_BROKER_URL.", id="jobs.I001")]
    found: list[CheckMessage] = []
    level = Info if current_app.conf.task_always_eager else Error
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
            level(
                f"The result backend is {type(current_app.backend).__name__}: no end of a run would be recorded.",
                hint="Call admin_ext.join.console(globals()) at the end of the settings, and let Celery read them: "
                "app.config_from_object('django.conf:settings', namespace='CELERY').",
                id="jobs.E006",
            )
        )
    for app in applications():
        if app.conf.broker_url != current_app.conf.broker_url:
            found.append(
                level(
                    f"The Celery application {app.main} has another broker: its runs are not seen.",
                    hint="Give both the same broker_url; several applications share one Redis and one recorder.",
                    id="jobs.E010",
                )
            )
    wanted = "jobs.schedules.scheduler:ConsoleScheduler"
    if getattr(settings, "CELERY_BEAT_SCHEDULER", None) != wanted:
        found.append(
            level(
                "Beat has another scheduler: it would publish by itself, and twice when two of them run.",
                hint=f"Set CELERY_BEAT_SCHEDULER to '{wanted}'.",
                id="jobs.E007",
            )
        )
    return found


@register("jobs", "jobs_tables")
def check_tables(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """Tables that a router keeps in another database than `default`, or reads from a copy of it."""
    elsewhere: dict[str, set[str]] = {}
    for label in ("jobs", "django_celery_beat", "django_celery_results"):
        for model in apps.get_app_config(label).get_models():
            for alias in {router.db_for_write(model), router.db_for_read(model)} - {DEFAULT_DB_ALIAS}:
                elsewhere.setdefault(alias, set()).add(label)
            if not router.allow_migrate_model(DEFAULT_DB_ALIAS, model):
                elsewhere.setdefault("none", set()).add(label)
    people: type[Model] = get_user_model()
    if (alias := router.db_for_write(people)) != DEFAULT_DB_ALIAS:
        elsewhere.setdefault(alias, set()).add(people._meta.app_label)
    return [
        Error(
            f"DATABASE_ROUTERS puts tables of {', '.join(sorted(labels))} into the database {alias!r}.",
            hint=f"A run, its audit event and its results are written in one transaction in {DEFAULT_DB_ALIAS!r} and "
            "read there. Let the routers answer None, or that, for these applications.",
            id="jobs.E009",
        )
        for alias, labels in sorted(elsewhere.items())
    ]


@register("jobs")
def check_hazards(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """Settings and packages under which a promise cannot be kept; the recorder looks at the rest."""
    return [
        (Error if hazard.id.startswith("jobs.E") else Warning)(
            f"{hazard.fact} {hazard.consequence}", hint=hazard.where, id=hazard.id
        )
        for hazard in of_settings()
    ]


def _named(names: list[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")


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
