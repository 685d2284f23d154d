"""`make matrix`: unit tests, foreign projects and a browser in each environment; a table of what was run, and what not.

MATRIX_ROWS chooses rows by a part of their name (`python3.12`, `oldest`), MATRIX_TESTS other tests than the unit tests,
and MATRIX_FOREIGN=all every foreign project instead of those that depend most on Django and Celery.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.processes import PROJECT
from tests.foreign.axes import AXES, TESTED
from tests.foreign.axes_of_tasks import OWN_BASES, PICKLE
from tests.foreign.people import EMAIL_AND_UUID, SITES
from tests.matrix.environments import FOLDER, ROWS, Environment, NotRun, Row, environment

#: `test_pages` looks at a plain one.
CHOSEN = (TESTED, PICKLE, OWN_BASES, EMAIL_AND_UUID, SITES)
HEAD = ("Python", "Django", "Celery", "Unfold", "unit", "foreign projects", "five pages")


@dataclass(frozen=True, slots=True)
class Leg:
    """One run of pytest.

    Attributes:
        name: of its log.
        inside: whether the row's own Python runs pytest; else it runs the projects that the tests make.
    """

    name: str
    tests: tuple[str, ...]
    inside: bool


def main() -> int:
    """All rows in turn; 1 where a test failed."""
    axes = AXES if os.environ.get("MATRIX_FOREIGN") == "all" else CHOSEN
    legs = (
        Leg("unit", tuple(os.environ.get("MATRIX_TESTS", "tests/unit").split()), inside=True),
        Leg(
            "foreign", tuple(f"tests/foreign/test_axes.py::test_a_project_of_this_kind[{axis}]" for axis in axes), False
        ),
        Leg("pages", ("tests/matrix/test_pages.py",), inside=False),
    )
    FOLDER.mkdir(parents=True, exist_ok=True)
    table: list[tuple[str, ...]] = [HEAD]
    notes, failed = list[str](), False
    if left_out := sum(not chosen(row) for row in ROWS):
        notes.append(f"{left_out} of {len(ROWS)} combinations are not chosen by MATRIX_ROWS.")
    for row in ROWS:
        if not chosen(row):
            continue
        try:
            made = environment(row)
        except NotRun as why:
            notes.append(f"{row.name}: not run: {why}.")
            continue
        say(f"{row.name}: " + ", ".join(f"{name} {number}" for name, number in made.versions.items()))
        if made.forced:
            notes.append(f"{row.name}: installed against pip, which says: {made.forced}")
        outcomes = [run(row, made, leg) for leg in legs]
        failed = failed or any(code for code, _ in outcomes)
        numbers = (made.versions[name] for name in ("django", "celery", "django-unfold"))
        table.append((row.python, *numbers, *(said for _, said in outcomes)))
    say("", *drawn(table), "", *notes)
    return int(failed or len(table) == 1)


def chosen(row: Row) -> bool:
    return any(part in row.name for part in os.environ.get("MATRIX_ROWS", "python").split())


def run(row: Row, made: Environment, leg: Leg) -> tuple[int, str]:
    """pytest's exit code, and the counts of its last line."""
    log = FOLDER / f"{row.name}-{leg.name}.log"
    pictures = FOLDER / f"{row.name}-pictures"
    env = {**os.environ, "FOREIGN_PYTHON": str(made.python), "MATRIX_PICTURES": str(pictures)}
    python = made.python if leg.inside else Path(sys.executable)
    command = [str(python), "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider", *leg.tests]
    with log.open("wb") as out:
        code = subprocess.run(
            command, cwd=PROJECT, env=env, stdout=out, stderr=subprocess.STDOUT, check=False
        ).returncode
    *_, last = log.read_text(errors="replace").strip().splitlines() or [""]
    said = re.sub(r" in [\d.]+s.*", "", last.strip("= "))
    say(f"  {leg.name}: {said}" + (f"; see {log.relative_to(PROJECT)}" if code else ""))
    return code, said


def drawn(table: list[tuple[str, ...]]) -> list[str]:
    """As in a document."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in table
    ]
    return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]


def say(*lines: str) -> None:
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
