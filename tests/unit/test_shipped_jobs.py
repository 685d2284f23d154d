"""SHIPPED_JOBS: what ships is there, or left out, and what the console itself needs always is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.settings import SHIPPED_JOBS

PROJECT = Path(__file__).resolve().parents[2]
NEEDED = {"jobs.library.diagnostics.self_check", "jobs.library.maintenance.nightly_housekeeping"}
#: A project's own line after the call has the last word.
TELL = """
import os, django
from django.conf import settings
django.setup()
settings.SHIPPED_JOBS = eval(os.environ["WANTED"])
from jobs.catalog.registry import declared_jobs
print(*sorted(job.name for job in declared_jobs()))
"""


def names(wanted: object, tmp_path: Path) -> set[str]:
    env = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "opsconsole.settings",
        "WANTED": repr(wanted),
        "TASK_MODULES": "",
        "OPSCONSOLE_VAR": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-c", TELL], cwd=PROJECT, env=env, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("wanted", [False, []])
def test_none_but_what_the_console_needs(wanted: object, tmp_path: Path) -> None:
    assert names(wanted, tmp_path) == NEEDED


def test_some_of_them(tmp_path: Path) -> None:
    found = names(["reports"], tmp_path)
    assert "jobs.library.reports.task_activity_report" in found and found > NEEDED
    assert not any(".mail." in name or ".user" in name for name in found)


def test_all_by_default_and_no_module_with_jobs_is_forgotten(tmp_path: Path) -> None:
    modules = {path.stem for path in (PROJECT / "jobs" / "library").glob("*.py") if "\n@job(" in path.read_text()}
    assert modules == {*SHIPPED_JOBS, "maintenance"}
    assert {name.split(".")[2] for name in names(True, tmp_path)} == modules
