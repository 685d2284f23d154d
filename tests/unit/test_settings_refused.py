"""A missing or wrong setting is refused by its name, in one sentence."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

PROJECT = Path(__file__).resolve().parents[2]
README = (PROJECT / "README.md").read_text()
#: Every setting, in a process of its own.
TELL = """
from pathlib import Path
from django.conf import settings
for name in sorted(dir(settings)):
    if name.isupper() and name != "UNFOLD":
        value = getattr(settings, name)
        print(name, value.resolve() if isinstance(value, Path) else value)
"""
GOOD = {"SECRET_KEY": "k" * 50, "REDIS_URL": "redis://localhost:6379/0"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"SECRET_KEY": ""}, "SECRET_KEY is not set. Set it to 50 random characters"),
        ({"REDIS_URL": ""}, "REDIS_URL is not set. Write it as redis://host:6379/0"),
        ({"REDIS_URL": "http://localhost"}, "REDIS_URL has the scheme 'http'"),
        ({"REDIS_URL": "sentinel://localhost:26379/0"}, "REDIS_MASTER_NAME is not set."),
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


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"TIME_ZONE": "Mars/Base"}, "TIME_ZONE is 'Mars/Base', which is no time zone."),
        ({"TIME_ZONE": "Europe"}, "TIME_ZONE is 'Europe', which is no time zone."),
        ({"TASK_MODULES": "nosuch"}, "TASK_MODULES names 'nosuch', and there is no such module."),
        ({"TASK_MODULES": "jobs.tasks,jobs.nosuch"}, "TASK_MODULES names 'jobs.nosuch', and there is no such module."),
        ({"REDIS_URL": "redis://h:port/0"}, "REDIS_URL has a port or a host that cannot be read."),
        ({"REDIS_URL": "redis://:p@h:6379/db"}, "REDIS_URL names a database that is no number."),
        ({"REDIS_URL": "redis:/host"}, "REDIS_URL names no host."),
        ({"REDIS_URL": "redis+socket:"}, "REDIS_URL names no socket."),
        ({"UPLOAD_MAX_MB": "-5"}, "UPLOAD_MAX_MB must be 1 or more, not -5."),
        ({"TASK_TIME_LIMIT": "0"}, "TASK_TIME_LIMIT must be 1 or more, not 0."),
        ({"TASK_SOFT_TIME_LIMIT": "700"}, "TASK_SOFT_TIME_LIMIT (700) must be less than TASK_TIME_LIMIT (600)"),
        ({"SECRET_KEY": "short", "ENVIRONMENT_LABEL": "Production"}, "SECRET_KEY is shorter than 32 characters"),
        ({"DATABASE_URL": "postgres://u:p@h:port/x"}, "DATABASE_URL cannot be read."),
        ({"EMAIL_URL": "smtp://h:port"}, "EMAIL_URL cannot be read."),
        ({"DATABASE_URL": "postgres://[::1/x"}, "DATABASE_URL cannot be read."),
    ],
)
def test_a_wrong_value_is_refused_in_one_sentence(
    change: dict[str, str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"OPSCONSOLE_VAR": str(tmp_path), **GOOD, **change}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ImproperlyConfigured) as refused:
        runpy.run_path(str(PROJECT / "opsconsole" / "settings.py"))
    assert str(refused.value).startswith(expected) and len(str(refused.value).splitlines()) == 1


def test_an_empty_value_is_as_good_as_none(tmp_path: Path) -> None:
    """A compose file hands on what nobody has set as empty."""
    names = re.findall(r"`([A-Z][A-Z_]+)`", "".join(re.findall(r"^\| `.*?\|", README, re.MULTILINE)))
    assert {"UPLOAD_MAX_MB", "ALLOWED_HOSTS", "ALERT_AFTER", "HTTPS", "OPSCONSOLE_VAR"} <= set(names)
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(PROJECT),
        **GOOD,
        "DJANGO_SETTINGS_MODULE": "opsconsole.settings",
    }
    told = [
        subprocess.run(
            [sys.executable, "-c", TELL], cwd=tmp_path, env=given, capture_output=True, text=True, check=False
        )
        for given in (env, {**dict.fromkeys(names, ""), **env})
    ]
    assert told[0].returncode == 0 and (told[0].stdout, "") == (told[1].stdout, told[1].stderr)
    assert str(tmp_path) not in told[0].stdout, "nothing is kept in the working directory"
