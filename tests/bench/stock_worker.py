"""A Celery application as a project without the console has it: the same settings, BENCH_BACKEND for its results."""

import os

from celery import Celery

app = Celery("stock")
app.config_from_object("django.conf:settings", namespace="CELERY")
backend = os.environ.get("BENCH_BACKEND") or None
app.conf.update(
    result_backend=backend,
    task_ignore_result=not backend,
    imports=("tests.bench.noop",),
    # A project that has not heard of it does not set it.
    CELERY_DB_REUSE_MAX=None,
    db_reuse_max=None,
)
