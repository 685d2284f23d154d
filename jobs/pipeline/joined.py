"""Every task of a joined application is one of ours, whatever its base class: it is joined when it is registered.

Celery's worker calls `before_start` of what is in the registry, so nothing that a project's own class does or leaves
out can get between a message and its claim. The class of the task becomes one made of `JoinedTask` and its own; all
that its own class says goes on as under stock Celery. Nothing here needs Django to be ready.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from types import new_class
from typing import Any, cast

from celery import Celery, Task
from celery.app.registry import TaskRegistry
from kombu.utils.imports import symbol_by_name

from jobs.catalog.registry import is_declared
from jobs.fleet.headers import execution_number

#: What the call that is being published says of its serializer: no signal tells it.
asked_serializer: ContextVar[str | None] = ContextVar("asked_serializer", default=None)


class JoinedTask(Task):
    """Stands before the class that the project gave its task."""

    abstract = True

    def __init_subclass__(cls, **options: Any) -> None:
        # Whoever keeps a list of the subclasses of a class meant its tasks, which are in it already.
        if JoinedTask not in cls.__bases__:
            super().__init_subclass__(**options)

    @classmethod
    def bind(cls, app: Celery) -> Any:
        """To its own class, which code may use by itself; ours inherits from it."""
        if JoinedTask not in cls.__bases__:
            return super().bind(app)
        theirs: Any = cls.__mro__[2]
        return theirs.bind(app)

    @property
    def Request(self) -> Any:  # type: ignore[override]  # Celery asks for it once, where a worker begins
        """Its own request class, joined."""
        return symbol_by_name("jobs.pipeline.request:joined_request")(super().Request)

    @property
    def __trace__(self) -> Any:
        return vars(self).get("__trace__")

    @__trace__.setter
    def __trace__(self, tracer: Any) -> None:
        vars(self)["__trace__"] = tracer and self._with_lists(tracer)

    def _with_lists(self, tracer: Callable[..., Any]) -> Callable[..., Any]:
        """Positional arguments that will be typed come as a list, which pickle need not make of them."""

        def trace(uuid: str, args: Any, kwargs: Any, request: Any = None) -> Any:
            if not isinstance(args, list) and takes_typed(self.name, request or {}):
                args = [*args]
            return tracer(uuid, args, kwargs, request)

        return trace

    def apply_async(self, *args: Any, **options: Any) -> Any:
        token = asked_serializer.set(options.get("serializer"))
        try:
            return super().apply_async(*args, **options)
        finally:
            asked_serializer.reset(token)

    def apply(self, args: Any = None, *rest: Any, **options: Any) -> Any:
        if args and is_declared(self.name):
            args = [*args]
        return super().apply(args, *rest, **options)

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        """Called by the tracer before the body: the claim, then what the project's own class does.

        Raises:
            Ignore, InvalidArguments: see `jobs.pipeline.task.begin`.
        """
        symbol_by_name("jobs.pipeline.task:begin")(self, task_id, args, kwargs)
        super().before_start(task_id, args, kwargs)

    def signature_from_request(
        self, request: Any = None, args: Any = None, kwargs: Any = None, *rest: Any, **options: Any
    ) -> Any:
        """What an automatic retry publishes; noted here is when, for the fact that tells of the retry."""
        symbol_by_name("jobs.pipeline.task:note_retry")(self.request if request is None else request, options)
        return super().signature_from_request(request, args, kwargs, *rest, **options)


class JoinedRegistry(TaskRegistry):
    """The tasks of a joined application."""

    def __setitem__(self, name: str, task: Any) -> None:
        _join(task)
        super().__setitem__(name, task)


def join_tasks(app: Celery) -> None:
    """Join the tasks that `app` has, and each that it will have."""
    if is_joined(app):
        return
    held: Any = app
    theirs = type(held._tasks)
    kind = JoinedRegistry if theirs is TaskRegistry else new_class(theirs.__name__, (JoinedRegistry, theirs))
    joined = kind()
    for name, task in held._tasks.items():
        joined[name] = task
    held._tasks = joined


def is_joined(app: Celery) -> bool:
    return isinstance(cast(Any, app)._tasks, JoinedRegistry)


def why_unclaimed(task: Any) -> str:
    """Why nothing would claim a run of this registered task, so that it might execute twice; "" where it is claimed."""
    kind = type(task)
    if not _is_joined(kind) or "before_start" in vars(task):
        return f"the class {_own_name(kind)} cannot be joined to the console"
    if task.Strategy != Task.Strategy or kind.start_strategy is not Task.start_strategy:
        return f"its class {_own_name(kind)} has a Strategy of its own, which takes messages past Celery's tracer"
    if "__trace__" in {name for one in kind.__mro__[2:] if one is not Task for name in vars(one)}:
        return f"its class {_own_name(kind)} has a __trace__ of its own, which runs bodies past Celery's tracer"
    return ""


def takes_typed(name: str, headers: Any) -> bool:
    """Whether an execution's arguments are checked and typed: a plain task that code published gets what code sent."""
    return is_declared(name) or execution_number(headers) is not None


def _join(task: Any) -> None:
    theirs = type(task)
    if _is_joined(theirs):
        return
    told = {name: getattr(theirs, name) for name in ("__module__", "__qualname__", "__doc__")}
    try:
        # What cannot be joined stays as it is; `why_unclaimed` tells.
        task.__class__ = new_class(theirs.__name__, (JoinedTask, theirs), exec_body=lambda names: names.update(told))
    except TypeError:
        return


def _is_joined(kind: type) -> bool:
    return getattr(kind, "before_start", None) is JoinedTask.before_start


def _own_name(kind: type) -> str:
    """The class that the project wrote: neither ours nor the one that Celery makes of each function."""
    made = {one for one in kind.__mro__ if JoinedTask in one.__bases__ or "_decorated" in vars(one)}
    return next(one.__name__ for one in kind.__mro__ if one not in {JoinedTask, *made})
