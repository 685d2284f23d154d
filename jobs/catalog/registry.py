"""The catalogue: every job that staff may start. `@job` declares one; a plain Celery task gets a derived entry."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from celery import current_app, shared_task

from jobs.errors import ConfigurationError, UnknownJob

from .parameters import Parameters

RUN_JOB = "jobs.run_job"
RUN_ANY_TASK = "jobs.run_any_task"


@dataclass(frozen=True, slots=True)
class Job:
    """A catalogue entry.

    Attributes:
        name: the name of the Celery task, unique.
        permission: what an actor needs to start it, `app.codename`; `view_run` does not suffice.
        idempotent: running it twice has the effect of running it once; only then may the reaper start it again.
        parameters: None for a derived entry, whose arguments travel as they were given.
        listed: shown on the Jobs page.
    """

    name: str
    title: str
    description: str
    group: str
    queue: str
    permission: str
    idempotent: bool
    parameters: Parameters | None
    listed: bool = True

    @property
    def declared(self) -> bool:
        return self.parameters is not None


_declared: dict[str, Job] = {}


def job(
    *,
    title: str,
    group: str,
    queue: str = "default",
    permission: str = RUN_JOB,
    idempotent: bool = False,
    listed: bool = True,
    **options: Any,
) -> Callable[[Callable[..., Any]], Any]:
    """Declare a function as a Celery task and as a job that staff may start.

    The description is the first paragraph of the docstring; the parameters are the type hints.

    Args:
        title: what staff read, in words.
        group: the heading under which the Jobs page lists it.
        queue: where its runs go unless the person chooses another; must be one of `task_queues`.
        permission: `app.codename` that the actor needs.
        idempotent: see `Job`; False unless you know.
        listed: False keeps it off the Jobs page.
        options: what `celery.shared_task` takes, for instance `time_limit`, `bind`, `autoretry_for`.

    Returns:
        A decorator that returns the Celery task.

    Raises:
        ConfigurationError: a parameter cannot be asked for, or two jobs share a name.
    """

    def declare(function: Callable[..., Any]) -> Any:
        _settle_limits(function, options)
        name = options.pop("name", f"{function.__module__}.{function.__name__}")
        if name in _declared:
            raise ConfigurationError(f"Two jobs are called {name}; give one of them another name.")
        _declared[name] = Job(
            name=name,
            title=title,
            description=_first_paragraph(function.__doc__),
            group=group,
            queue=queue,
            permission=permission,
            idempotent=idempotent,
            parameters=Parameters(function, bound=bool(options.get("bind"))),
            listed=listed,
        )
        declare_task: Any = shared_task(name=name, **options)
        return declare_task(function)

    return declare


def listed_jobs() -> list[Job]:
    """The declared jobs for the Jobs page, by group and title."""
    _import_task_modules()
    return sorted((j for j in _declared.values() if j.listed), key=lambda j: (j.group, j.title))


def find_job(name: str) -> Job:
    """The catalogue entry of the task `name`, declared or derived.

    Raises:
        UnknownJob: no such task is registered here, or it is one of Celery's own.
    """
    if (declared := _declared.get(name)) is not None:
        return declared
    _import_task_modules()
    if (declared := _declared.get(name)) is not None:
        return declared
    task = current_app.tasks.get(name)
    if task is None or name.startswith("celery."):
        raise UnknownJob(f"No job is called {name}. It may have been renamed or removed since.")
    return Job(
        name=name,
        title=name,
        description=_first_paragraph(task.__doc__),
        group="Other tasks",
        queue=getattr(task, "queue", None) or current_app.conf.task_default_queue,
        permission=RUN_ANY_TASK,
        idempotent=False,
        parameters=None,
        listed=False,
    )


def job_title(task_name: str) -> str:
    """What staff read for a task: the job's title, or the task's own name when no job declares it."""
    _import_task_modules()
    declared = _declared.get(task_name)
    return declared.title if declared else task_name or "unnamed task"


def _settle_limits(function: Callable[..., Any], options: dict[str, Any]) -> None:
    """Give a job with a hard limit a soft one below it.

    The prefork pool counts the hard limit from the moment of the soft one (celery/concurrency/asynpool.py,
    `on_timeout_set`), so a hard limit below the project's default soft limit would never be enforced.
    """
    hard, soft = options.get("time_limit"), options.get("soft_time_limit")
    if hard is None:
        return
    if soft is None:
        options["soft_time_limit"] = hard * 0.9
    elif soft >= hard:
        raise ConfigurationError(
            f"{function.__module__}.{function.__qualname__}: soft_time_limit ({soft} s) must be below "
            f"time_limit ({hard} s)."
        )


@cache
def _import_task_modules() -> None:
    """Import what the Celery application knows of: web and recorder, unlike a worker, do not do so when they start."""
    current_app.loader.import_default_modules()


def _first_paragraph(docstring: str | None) -> str:
    return " ".join(inspect.cleandoc(docstring or "").split("\n\n")[0].split())
