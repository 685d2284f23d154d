"""`attach(...)`: a file that a run hands to the people who asked for it."""

from __future__ import annotations

from celery import current_task

from jobs.compat import ContentFile, has_django
from jobs.errors import JobsError
from jobs.fleet.headers import recorded_id
from jobs.storage import console_storage

from .execution import execution_of
from .live import masked


def attach(name: str, content: bytes | str, *, content_type: str, rows: int | None = None) -> None:
    """Keep `content` as a file of the current run; it appears on the run's page when the attempt ends.

    The file goes to the console's storage (`jobs/storage.py`) at once; its description rides with the attempt's final
    fact, so that a file and the state that it belongs to appear together.

    Args:
        name: what the person sees, for instance "task-activity.csv".
        content: text is stored as UTF-8.
        content_type: for instance "text/csv".
        rows: how many rows it holds, where that says something.

    Raises:
        JobsError: called outside a task, or in a program without Django.
    """
    request = current_task.request if current_task else None
    if not has_django():
        raise JobsError("attach() keeps a file in the console's storage, which a program without Django does not have.")
    if request is None or request.id is None:
        raise JobsError("attach() keeps a file of the current run; call it inside a task that a worker runs.")
    name = masked(name)
    data = content.encode() if isinstance(content, str) else content
    path = console_storage.save(f"runs/{recorded_id(request.id)}/{name}", ContentFile(data))
    execution_of(request).files.append(
        {"name": name, "path": path, "content_type": content_type, "size": len(data), "rows": rows}
    )
