"""The catalogue: every job that staff may start. `@job` declares one; a plain Celery task gets a derived entry."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any

from celery import shared_task

from jobs.errors import ConfigurationError, UnknownJob

from .applications import applications, task_of
from .parameters import Parameters

RUN_JOB = "jobs.run_job"
RUN_ANY_TASK = "jobs.run_any_task"
OTHER_TASKS = "Other tasks"


class Danger(StrEnum):
    """How much a run can harm."""

    NORMAL = "normal"
    #: Changes something that people notice: the form says so.
    CAUTION = "caution"
    #: Cannot be undone: red, and a dry run comes first where the job has one.
    DANGER = "danger"


class RetrySafety(StrEnum):
    """Whether a failed run may be retried by staff."""

    SAFE = "safe"
    #: Ask each time: the person decides with what the page shows.
    ASK = "ask"
    #: Only with a permission of its own, a reason and the typed name.
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Targets:
    """What a run would touch: how many, and a few of them by name."""

    count: int
    sample: tuple[str, ...] = ()
    #: What they are, in the plural: "customers".
    noun: str = "objects"


@dataclass(frozen=True, slots=True)
class Job:
    """A catalogue entry.

    Attributes:
        name: the name of the Celery task, unique.
        queue: the one that is declared; "" leaves it to Celery's router (`jobs.catalog.routing`).
        permission: what an actor needs to start it, `app.codename`, besides `jobs.run_job`.
        idempotent: running it twice has the effect of running it once; only then may the reaper start it again.
        parameters: None where the task cannot be asked for by a form; `why_not` says why.
        declared: by `@job`; False for an entry derived from a plain task.
        dry_run: the name of the switch that makes a run only tell what it would do; "" where there is none.
        targets: tells what a run with these typed values would touch; called with the values by parameter name.
        runbook: what to do when it fails.
        listed: shown on the Jobs page.
        fingerprint: what all its failures are, whatever they say; "" leaves that to each of them.
        secrets: names that its declaration calls secret; `SecretStr` hints say the same of others.
    """

    name: str
    title: str
    description: str
    group: str
    queue: str
    permission: str
    idempotent: bool
    parameters: Parameters | None
    declared: bool = True
    why_not: str = ""
    retry: RetrySafety = RetrySafety.ASK
    danger: Danger = Danger.NORMAL
    dry_run: str = ""
    targets: Callable[..., Targets] | None = None
    runbook: str = ""
    listed: bool = True
    fingerprint: str = ""
    secrets: frozenset[str] = frozenset()


_declared: dict[str, Job] = {}


def job(
    *,
    title: str,
    group: str,
    queue: str = "",
    permission: str = RUN_JOB,
    idempotent: bool = False,
    retry: str | None = None,
    danger: str = "normal",
    secrets: Collection[str] = (),
    dry_run: str = "",
    targets: Callable[..., Targets] | None = None,
    check: Callable[..., None] | None = None,
    runbook: str = "",
    listed: bool = True,
    fingerprint: str = "",
    **options: Any,
) -> Callable[[Callable[..., Any]], Any]:
    """Declare a function as a Celery task and as a job that staff may start.

    The description is the first paragraph of the docstring; the parameters are the type hints.

    Args:
        title: what staff read, in words; no other job may have it.
        group: the heading under which the Jobs page lists it.
        queue: where its runs go; must be one of `task_queues`. Without it Celery's own router decides.
        permission: `app.codename` that the actor needs.
        idempotent: see `Job`; False unless you know.
        retry: "safe", "ask" or "never"; "safe" for an idempotent job, else "ask".
        danger: "normal", "caution" or "danger".
        secrets: names of text parameters that nobody may see; the hint `SecretStr` says the same.
        dry_run: name of a `bool` parameter.
        targets: what a run would touch; it is called in the request and must answer within a second or two.
        check: called with the typed values, on the page and in the worker; raises InvalidArguments for what no single
            type hint can say, such as an end before its start.
        runbook: plain text.
        listed: False keeps it off the Jobs page.
        fingerprint: puts all its failures into one group; an exception with an attribute `fingerprint` goes before.
        options: what `celery.shared_task` takes, for instance `time_limit`, `bind`, `autoretry_for`.

    Returns:
        A decorator that returns the Celery task.

    Raises:
        ConfigurationError: two jobs share a name, or the time limits are the wrong way round. A parameter that cannot
            be asked for leaves the job without a form; a system check tells.
    """

    def declare(function: Callable[..., Any]) -> Any:
        _settle_limits(function, options)
        name = options.pop("name", f"{function.__module__}.{function.__name__}")
        if name in _declared:
            raise ConfigurationError(f"Two jobs are called {name}; give one of them another name.")
        parameters, why_not = _parameters(function, bool(options.get("bind")), secrets, check)
        _declared[name] = Job(
            name=name,
            title=title,
            description=_first_paragraph(function.__doc__),
            group=group,
            queue=queue,
            permission=permission,
            idempotent=idempotent,
            retry=RetrySafety(retry or ("safe" if idempotent else "ask")),
            danger=Danger(danger),
            dry_run=dry_run,
            targets=targets,
            runbook=runbook,
            parameters=parameters,
            why_not=why_not,
            listed=listed,
            fingerprint=fingerprint,
            secrets=frozenset(secrets),
        )
        declare_task: Any = shared_task(name=name, **options)
        return declare_task(function)

    return declare


def declared_jobs() -> list[Job]:
    """Every job declared with `@job`, listed or not."""
    _import_task_modules()
    return list(_declared.values())


def is_declared(name: str) -> bool:
    """Whether a job of this name has been declared in this process so far; imports nothing."""
    return name in _declared


def listed_jobs() -> list[Job]:
    """The declared jobs for the Jobs page, by group and title."""
    return sorted((j for j in declared_jobs() if j.listed), key=lambda j: (j.group, j.title))


def derived_jobs() -> list[Job]:
    """An entry for each registered task that declares no job, by name; Celery's own are left out."""
    _import_task_modules()
    known = {name for app in applications() for name in app.tasks}
    names = sorted(n for n in known if n not in _declared and not n.startswith("celery."))
    return [find_job(name) for name in names]


def find_job(name: str) -> Job:
    """The catalogue entry of the task `name`, declared or derived.

    Raises:
        UnknownJob: no such task is registered here, or it is one of Celery's own.
    """
    if (declared := _declared.get(name)) is not None:
        return declared
    if (task := task_of(name)) is None:
        _import_task_modules()
        if (declared := _declared.get(name)) is not None:
            return declared
        task = task_of(name)
    if task is None or name.startswith("celery."):
        raise UnknownJob(f"No job is called {name}. It may have been renamed or removed since.")
    return _derive(name)


@cache
def _derive(name: str) -> Job:
    task = task_of(name)
    # `run` of a task made from a function is that function, or bound to the task when it wants `self`.
    run = task.run
    parameters, why_not = _parameters(getattr(run, "__func__", run), inspect.ismethod(run))
    return Job(
        name=name,
        title=name,
        description=_first_paragraph(getattr(task.run, "__doc__", None)),
        group=OTHER_TASKS,
        queue="",
        permission=RUN_ANY_TASK,
        idempotent=False,
        parameters=parameters,
        declared=False,
        why_not=why_not,
        listed=False,
    )


def job_title(task_name: str) -> str:
    """What staff read for a task: the job's title, or the task's own name when no job declares it."""
    _import_task_modules()
    declared = _declared.get(task_name)
    return declared.title if declared else task_name or "unnamed task"


def _parameters(
    function: Callable[..., Any],
    bound: bool,
    secrets: Collection[str] = (),
    check: Callable[..., None] | None = None,
) -> tuple[Parameters | None, str]:
    """The parameters, or why there are none: one job that cannot be asked for must not stop a worker's start."""
    try:
        return Parameters(function, bound=bound, secrets=secrets, check=check), ""
    except ConfigurationError as error:
        return None, str(error)


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


class _Loading(threading.local):
    inside = False


_loading = _Loading()


@cache
def _load_once() -> None:
    for app in applications():
        app.loader.import_default_modules()


def _import_task_modules() -> None:
    """Import what the Celery application knows of: web and recorder, unlike a worker, do not do so when they start.

    Celery runs Django's checks before it imports, and ours ask for the jobs: the inner call of that round returns.
    """
    if _loading.inside:
        return
    _loading.inside = True
    try:
        _load_once()
    finally:
        _loading.inside = False


def _first_paragraph(docstring: str | None) -> str:
    return " ".join(inspect.cleandoc(docstring or "").split("\n\n")[0].split())
