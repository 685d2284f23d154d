"""A missing or wrong setting is refused by its name, in one sentence."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
GOOD = {"SECRET_KEY": "k" * 50, "REDIS_URL": "redis://localhost:6379/0"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"SECRET_KEY": ""}, "SECRET_KEY is not set. Set it to 50 random characters"),
        ({"REDIS_URL": ""}, "REDIS_URL is not set. Write it as redis://host:6379/0"),
        ({"REDIS_URL": "http://localhost"}, "REDIS_URL has the scheme 'http'"),
        ({"DATABASE_URL": "nonsense"}, "DATABASE_URL"),
        ({"DATABASE_URL": "mysql://localhost/x"}, "the console runs on SQLite and PostgreSQL"),
        ({"HTTPS": "perhaps"}, "HTTPS must be on or off, not 'perhaps'."),
        ({"TASK_TIME_LIMIT": "soon"}, "TASK_TIME_LIMIT must be a whole number, not 'soon'."),
        ({"QUEUES": "reports"}, "QUEUES must name the queue default"),
        ({"RETENTION": "runs 90 d, done 1 y"}, "RETENTION names 'done', which is neither runs nor"),
        ({"LOG_LEVEL": "loud"}, "LOG_LEVEL must be DEBUG, INFO"),
    ],
)
def test_the_setting_is_named_and_no_traceback_shown(change: dict[str, str], expected: str, tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"], "OPSCONSOLE_VAR": str(tmp_path), **GOOD, **change}
    done = subprocess.run(
        [sys.executable, "manage.py", "migrate"], cwd=PROJECT, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert done.stderr.startswith(f"opsconsole: {expected}") or expected in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
