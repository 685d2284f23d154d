"""`make soak`: about two thousand tasks through two workers of one name, and the journal that they write themselves.

SOAK_ROUNDS says how many rounds of all kinds are published; the exit status is 1 where anything differs.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import tempfile
from pathlib import Path

import django

#: Published tasks a round: what makes two thousand of forty rounds.
ROUNDS = 40


def main() -> int:
    """Start Redis, workers and recorder, publish, wait, compare, print."""
    root = Path(tempfile.mkdtemp(prefix="opsconsole-soak-"))
    differences = True
    try:
        _environment(root)
        django.setup()
        # What reads settings or models, only now.
        from tests.soak import scene  # noqa: PLC0415

        differences = scene.play(root, int(os.environ.get("SOAK_ROUNDS", ROUNDS)), say)
    finally:
        if differences or os.environ.get("KEEP_TEST_ROOT"):
            say(f"Journal, database and logs are kept in {root}")
        else:
            shutil.rmtree(root, ignore_errors=True)
    return 1 if differences else 0


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _environment(root: Path) -> None:
    """The environment of every process, this one included."""
    os.environ.update(
        {
            "DJANGO_SETTINGS_MODULE": "opsconsole.settings",
            "OPSCONSOLE_VAR": str(root),
            "SECRET_KEY": secrets.token_hex(32),
            "HTTPS": "off",
            "REDIS_URL": f"redis+socket://{root}/redis.sock",
            "FILES_DIR": str(root / "files"),
            "TASK_MODULES": "tests.jobs_under_test,tests.tasks_observed,tests.soak.tasks",
            "OUTSIDE_BOOK": str(root / "journal.jsonl"),
            "DATABASE_URL": os.environ.get("TEST_DATABASE_URL") or f"sqlite:///{root}/soak.sqlite3",
        }
    )
    (root / "static").mkdir()


if __name__ == "__main__":
    sys.exit(main())
