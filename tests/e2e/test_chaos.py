"""The short form of the chaos: three hundred runs, ten faults, three books (`make chaos` is the long one)."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.e2e.processes import PROJECT


def test_three_books_agree_after_ten_faults(capsys: pytest.CaptureFixture[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos", "--short"],
        cwd=PROJECT,
        # It makes its own database, Redis and settings.
        env={name: value for name, value in os.environ.items() if not name.startswith("CHAOS_")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
        check=False,
    )
    last = done.stdout.strip().splitlines()[-1]
    assert done.returncode == 0, done.stdout[-20_000:]
    with capsys.disabled():
        sys.stdout.write(f"\n  {last}\n")
    assert re.match(r"(?P<accepted>[\d,]+) accepted, .* 0 doubled, 0 missing, 0 otherwise wrong, 10 faults", last)
