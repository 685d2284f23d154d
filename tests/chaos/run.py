"""`make chaos`: accepted runs under faults, then the three books compared.

The environment says more: CHAOS_ON (sqlite or postgresql), CHAOS_SEED, CHAOS_RUNS, CHAOS_RATE, KEEP_TEST_ROOT, and
CHAOS_FAULTS, which replaces the plan by these faults ("FLUSHALL; backup; database restored").
The last line counts; the exit status is 1 when anything was broken.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import tempfile
from pathlib import Path

import django

from tests.chaos.databases import KINDS
from tests.chaos.plans import Scale, Step, long_plan, short_plan


def main() -> None:
    """Run it, print, exit."""
    short = "--short" in sys.argv[1:]
    seed, kind = int(os.environ.get("CHAOS_SEED", "42")), os.environ.get("CHAOS_ON", "sqlite")
    if kind not in KINDS:
        raise SystemExit(f"CHAOS_ON is {kind!r}; it must be sqlite or postgresql.")
    runs, rate = (300, 12.0) if short else (5200, 11.0)
    plan = short_plan(seed) if short else long_plan(seed, kind)
    if chosen := os.environ.get("CHAOS_FAULTS"):
        plan = [Step(5, name.strip()) for name in chosen.split(";")]
    scale = Scale(
        int(os.environ.get("CHAOS_RUNS", runs)),
        float(os.environ.get("CHAOS_RATE", rate)),
        plan,
        hurry=short,
    )
    root = Path(tempfile.mkdtemp(prefix="opsconsole-chaos-"))
    root.chmod(0o755)  # PostgreSQL's owner must be able to walk through
    broken = True
    try:
        broken = _run(root, kind, seed, scale)
    finally:
        if broken or os.environ.get("KEEP_TEST_ROOT"):
            _say(f"Books and logs are kept in {root}")
        else:
            shutil.rmtree(root, ignore_errors=True)
    sys.exit(1 if broken else 0)


def _run(root: Path, kind: str, seed: int, scale: Scale) -> bool:
    """Start everything, do the faults, compare; whether anything was broken."""
    database = KINDS[kind](root)
    database.start()
    _environment(root, database.url)
    django.setup()
    # What reads settings or models, only now.
    from tests.chaos import scene  # noqa: PLC0415

    return scene.play(root, database, seed, scale, _say)


def _environment(root: Path, database_url: str) -> None:
    """The environment of every process of the console, this one included."""
    os.environ.update(
        {
            "DJANGO_SETTINGS_MODULE": "opsconsole.settings",
            "OPSCONSOLE_VAR": str(root),
            "SECRET_KEY": secrets.token_hex(32),
            "HTTPS": "off",
            "REDIS_URL": f"redis+socket://{root}/redis.sock",
            "FILES_DIR": str(root / "files"),
            "TASK_MODULES": "tests.chaos.jobs",
            "DATABASE_URL": database_url,
            "CHAOS_FOLDER": str(root),
            "CHAOS_BOOK": str(root / "outside.jsonl"),
            "CHAOS_FAILPOINTS": str(root / "failpoints"),
        }
    )
    (root / "static").mkdir()


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
