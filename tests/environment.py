"""The environment of the tests. `tests.conftest` imports it before anything reads Django's settings."""

import os
import secrets
import tempfile
from pathlib import Path

import django
from django.db import connection

ROOT = Path(tempfile.mkdtemp(prefix="opsconsole-tests-"))
os.environ.update(
    {
        "DJANGO_SETTINGS_MODULE": "opsconsole.settings",
        # The browser driver keeps an event loop in the thread of the test, which also asks the database.
        "DJANGO_ALLOW_ASYNC_UNSAFE": "1",
        "OPSCONSOLE_VAR": str(ROOT),
        "SECRET_KEY": secrets.token_hex(32),
        "HTTPS": "off",
        "REDIS_URL": f"redis+socket://{ROOT}/redis.sock",
        "FILES_DIR": str(ROOT / "files"),
        "TASK_MODULES": "tests.jobs_under_test,tests.tasks_observed",
        "OUTSIDE_BOOK": str(ROOT / "outside-book.jsonl"),
        # A database server only when it is meant for tests: DATABASE_URL may name somebody's real one.
        "DATABASE_URL": os.environ.get("TEST_DATABASE_URL") or f"sqlite:///{ROOT}/opsconsole.sqlite3",
    }
)
# WhiteNoise warns of a missing folder, and a warning is an error here.
(ROOT / "static").mkdir()
# Now, because the conftest files below import models. pytest is told no settings module: it would read it too early.
django.setup()
if django.VERSION >= (6, 1):
    # Asked when Celery has the models checked, which must not be in the middle of a test that may not use the database.
    assert connection.features.supports_json_field
    connection.close()
