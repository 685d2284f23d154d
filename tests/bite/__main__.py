"""`python -m tests.bite [name …]`: copy the tree, change it, run the tests that must notice, and tell in a table."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from .patches import BITES, Bite

PROJECT = Path(__file__).resolve().parents[2]
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "var", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache")
#: What pytest returns when a test failed; anything else means that it could not even try.
PASSED, FAILED, HUNG = 0, 1, -1
#: So long one run of the tests may take, in seconds.
PATIENCE = 300


class DoesNotApply(Exception):
    """The text that a patch looks for does not stand there exactly once."""


def main(names: Sequence[str]) -> int:
    """Returns 0 when every patch turned at least one of its tests red, and none was red before."""
    bites = [bite for bite in BITES if not names or bite.name in names]
    if unknown := set(names) - {bite.name for bite in BITES}:
        _say(f"There is no bite named {', '.join(sorted(unknown))}; there are: {', '.join(b.name for b in BITES)}.")
        return 2
    with tempfile.TemporaryDirectory(prefix="opsconsole-bite-") as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(PROJECT, tree, ignore=LEFT_OUT)
        missed = sum(not _bites(bite, tree) for bite in bites)
    _say(f"{len(bites) - missed} of {len(bites)} bite.")
    return 1 if missed else 0


def apply(bite: Bite, tree: Path) -> dict[Path, str]:
    """Change the files of `tree`; returns them as they were.

    Raises:
        DoesNotApply: the code has changed; write the patch anew, for the same part of the guarantee.
    """
    before: dict[Path, str] = {}
    for file, old, new in bite.changes:
        path = tree / file
        text = path.read_text()
        if text.count(old) != 1:
            raise DoesNotApply(f"{bite.name}: {text.count(old)} times in {file}: {old.strip()!r}")
        before[path] = text
        path.write_text(text.replace(old, new))
    return before


def _bites(bite: Bite, tree: Path) -> bool:
    began = time.monotonic()
    if (code := _run(bite.tests, tree)) != PASSED:
        _say(f"  {bite.name:<16} RED BEFORE the patch (pytest {code}): {' '.join(bite.tests)}")
        return False
    try:
        before = apply(bite, tree)
    except DoesNotApply as error:
        _say(f"  {bite.name:<16} DOES NOT APPLY: {error}")
        return False
    code = _run(bite.tests, tree)
    for path, text in before.items():
        path.write_text(text)
    word = {FAILED: "red, as it must be", PASSED: "STAYED GREEN"}.get(code, f"COULD NOT RUN (pytest {code})")
    _say(f"  {bite.name:<16} {word:<20} {time.monotonic() - began:5.0f} s  without: {bite.removes}")
    return code == FAILED


def _run(tests: Sequence[str], tree: Path) -> int:
    # Each session makes its own database, Redis and folder; no bytecode, because files change within one second.
    environment = {name: value for name, value in os.environ.items() if name not in {"SECRET_KEY", "REDIS_URL"}}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", "GUARANTEE_SHRINK": "off"}
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, cwd=tree, env=environment, stdout=quiet, stderr=quiet) as process:
        try:
            return process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            # As Ctrl-C does: the tests end the processes that they have started.
            process.send_signal(signal.SIGINT)
            return HUNG


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
