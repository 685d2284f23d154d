"""A pytest plugin: the applications of Celery's test-suite are joined to the console as a project's would be.

Named with `-p` and never imported by a test of ours. It looks at nothing of the suite: the application that Celery's
fixtures make gets `integrate`, our result backend on the same Redis, and nothing else.
"""

from __future__ import annotations

import os

import django
from celery import Celery
from celery._state import connect_on_app_finalize
from django.core.management import call_command

django.setup()
call_command("migrate", verbosity=0)

from jobs import integrate  # noqa: E402  # Celery must not make an application before Django is ready


def join(app: Celery) -> None:
    """Called by Celery with each application, before its first task is made."""
    if app.main == "celery.tests":
        integrate(app)
        # Not by `result_backend`: the suite leaves out its Redis tests where that does not begin with "redis".
        app.backend_cls = "jobs.pipeline.backend:RecordingBackend+" + os.environ["TEST_BACKEND"]


connect_on_app_finalize(join)
