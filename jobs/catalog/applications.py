"""The joined Celery applications of this project, and which of them has a task: `@app.task` registers in one only."""

from __future__ import annotations

from typing import Any

from celery import Celery, current_app

_joined: list[Celery] = []


def remember(app: Celery) -> None:
    """Note an application that was joined."""
    if all(app is not one for one in _joined):
        _joined.append(app)


def applications() -> list[Any]:
    """Celery's current application first, then the others that are joined."""
    proxy: Any = current_app
    current = proxy._get_current_object()
    return [current, *(app for app in _joined if app is not current)]


def application_of(task_name: str) -> Any:
    """The first application that has the task; the current one where none has it."""
    found = applications()
    return next((app for app in found if task_name in app.tasks), found[0])


def task_of(task_name: str) -> Any:
    """The registered task of this name; None where no application has it."""
    return application_of(task_name).tasks.get(task_name)
