"""Where `app.autodiscover_tasks()` looks in each application: the jobs that ship."""

from jobs.library import tasks

__all__ = ["tasks"]
