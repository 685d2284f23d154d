"""`make differential`: generated messages to a stock worker and to ours. The exit status is 1 where ours does less.

DIFFERENTIAL_MESSAGES says how many, DIFFERENTIAL_SEED which.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import tempfile
from pathlib import Path

import django


def main() -> int:
    """Start Redis, recorder and the two workers, compare, print."""
    root = Path(tempfile.mkdtemp(prefix="opsconsole-differential-"))
    well = False
    try:
        _environment(root)
        django.setup()
        # What reads settings or models, only now.
        from tests.differential import scene  # noqa: PLC0415

        number, seed = os.environ.get("DIFFERENTIAL_MESSAGES", "1200"), os.environ.get("DIFFERENTIAL_SEED", "1")
        well = scene.play(root, seed=int(seed), number=int(number), say=say)
    finally:
        if well and not os.environ.get("KEEP_TEST_ROOT"):
            shutil.rmtree(root, ignore_errors=True)
        else:
            say(f"Journals, database and logs are kept in {root}")
    return 0 if well else 1


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
            "TASK_MODULES": "tests.differential.tasks",
            "DATABASE_URL": os.environ.get("TEST_DATABASE_URL") or f"sqlite:///{root}/differential.sqlite3",
        }
    )
    (root / "static").mkdir()


if __name__ == "__main__":
    sys.exit(main())
