"""What is put together, and a venv for it under `var/matrix/`, filled by pip from the ranges of the wheel."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from packaging.requirements import Requirement

from tests.e2e.processes import PROJECT
from tests.foreign.projects import build_wheel

FOLDER = PROJECT / "var" / "matrix"
#: What the unit tests need besides what the console needs, and the second of them the tests of one foreign project.
TOOLS = ("pytest", "pytest-django", "hypothesis", "pyyaml")
#: The packages whose releases the table tells.
TOLD = ("django", "celery", "django-unfold", "django-celery-beat", "pydantic", "redis")


@dataclass(frozen=True, slots=True)
class Row:
    """One combination.

    Attributes:
        python: such as `3.12`.
        django, celery, unfold: what is asked of pip: `6.0.*`; empty for the newest that this Python takes.
        oldest: everything that the wheel asks for is the oldest that it allows, and the three above count for nothing.
    """

    python: str
    django: str = ""
    celery: str = ""
    unfold: str = ""
    oldest: bool = False

    @property
    def name(self) -> str:
        wanted = (("django", self.django), ("celery", self.celery), ("unfold", self.unfold or "newest"))
        said = [name + wish.removesuffix(".*") for name, wish in wanted]
        return "-".join([f"python{self.python}", *(["oldest"] if self.oldest else said)])

    @property
    def constraints(self) -> dict[str, str]:
        """What pip is told, by package."""
        if self.oldest:
            return lower_bounds()
        wanted = {"django": self.django, "celery": self.celery, "django-unfold": self.unfold}
        return {name: wish for name, wish in wanted.items() if wish}


#: Not the product of all: each Python, Django, Celery and Unfold stands in several rows.
ROWS = (
    Row("3.11", oldest=True),
    Row("3.11", "5.2.*", "5.7.*"),
    Row("3.12", "5.2.*", "5.7.*", "0.91.*"),
    Row("3.12", "6.0.*", "5.6.*"),
    Row("3.12", "6.1.*", "5.7.*", "0.91.*"),
    Row("3.13", "6.0.*", "5.7.*"),
    Row("3.13", "6.1.*", "5.7.*"),
    Row("3.14", "6.0.*", "5.7.*"),
    Row("3.14", "6.1.*", "5.7.*"),
)


class NotRun(Exception):
    """Such an environment cannot be had here; the text says why."""


@dataclass(frozen=True, slots=True)
class Environment:
    """A venv.

    Attributes:
        python: its interpreter.
        versions: the releases in it, by package.
        forced: what pip refused and has been installed all the same; empty where it refused nothing.
    """

    python: Path
    versions: dict[str, str]
    forced: str


def wheel_asks() -> list[Requirement]:
    """What the wheel depends on."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    return [Requirement(text) for text in project["dependencies"]]


def host_asks() -> list[str]:
    """What this repository's own project needs besides; the unit tests read its settings."""
    known = {need.name for need in wheel_asks()}
    lines = (PROJECT / "requirements" / "base.in").read_text().splitlines()
    return [line for line in lines if not line.startswith("#") and Requirement(line).name not in known]


def lower_bounds() -> dict[str, str]:
    """The oldest release that the wheel allows, of each package for which it says one."""
    bounds = {need.name: [spec.version for spec in need.specifier if spec.operator == ">="] for need in wheel_asks()}
    return {name: versions[0] for name, versions in bounds.items() if versions}


@cache
def find_python(version: str) -> Path:
    """An interpreter that works and can make venvs: by name on the PATH, else one of pyenv's; raises NotRun."""
    folders = os.environ["PATH"].split(os.pathsep)
    found = [Path(folder) / f"python{version}" for folder in folders]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found += sorted(pyenv.glob(f"versions/{version}.*/bin/python"))
    ask = "import sys, venv, ensurepip; print('{}.{}'.format(*sys.version_info), sys.executable)"
    for path in found:
        if not path.exists():
            continue
        done = subprocess.run([path, "-c", ask], capture_output=True, text=True, timeout=60, check=False)
        said, _, executable = done.stdout.strip().partition(" ")
        if done.returncode == 0 and said == version:
            return Path(executable)
    raise NotRun(f"no python{version} on the PATH or under pyenv")


def environment(row: Row) -> Environment:
    """The venv of this row, made once; remove `var/matrix` for the releases of today.

    Raises:
        NotRun: there is no such Python, or the package index has no such release for it.
    """
    folder = FOLDER / row.name
    asked = json.dumps([row.constraints, [str(need) for need in wheel_asks()], host_asks(), TOOLS])
    stamp = folder / "complete.json"
    if not stamp.exists() or json.loads(stamp.read_text())["asked"] != asked:
        interpreter = find_python(row.python)
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([interpreter, "-m", "venv", folder], check=True, timeout=300)
        forced = _fill(folder / "bin" / "python", row)
        stamp.write_text(json.dumps({"asked": asked, "forced": forced}))
    python = folder / "bin" / "python"
    return Environment(python, _versions(python), json.loads(stamp.read_text())["forced"])


def _fill(python: Path, row: Row) -> str:
    """The wheel, and so what it asks for within its ranges; says what pip refused."""
    with tempfile.TemporaryDirectory() as top:
        wanted = [str(build_wheel(Path(top))), *host_asks(), *TOOLS]
        refused = _pip(python, wanted, row.constraints)
        if refused and "No matching distribution" in refused:
            raise NotRun(_last_line(refused))
        if refused:  # another package forbids it: is it right?
            less = {name: wish for name, wish in row.constraints.items() if name != "django"}
            again = _pip(python, wanted, less) or _pip(python, ["--no-deps", f"django=={row.django}"], {})
            if again:
                raise NotRun(_last_line(again))
    # The tests run this checkout, and foreign projects a wheel of their own.
    subprocess.run([python, "-m", "pip", "uninstall", "-q", "-y", "opsconsole"], check=True, timeout=120)
    if not refused:
        return ""
    told = subprocess.run([python, "-m", "pip", "check"], capture_output=True, text=True, timeout=120, check=False)
    return "; ".join(told.stdout.splitlines())


def _pip(python: Path, wanted: list[str], constraints: dict[str, str]) -> str:
    """Installs; what pip says where it cannot."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as told:
        told.write("".join(f"{name}=={wish}\n" for name, wish in constraints.items()))
        told.flush()
        command = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "-c", told.name, *wanted]
        done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)
    return done.stderr if done.returncode else ""


def _last_line(said: str) -> str:
    return re.sub(r"^ERROR: ", "", said.strip().splitlines()[-1])


def _versions(python: Path) -> dict[str, str]:
    ask = f"import importlib.metadata as m, json; print(json.dumps({{n: m.version(n) for n in {TOLD!r}}}))"
    done = subprocess.run([python, "-c", ask], capture_output=True, text=True, timeout=60, check=True)
    return dict(json.loads(done.stdout))
