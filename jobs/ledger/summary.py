"""The arguments of a run in one line: what lists show and the search looks at, without anything secret."""

from __future__ import annotations

from jobs.catalog.hints import without_paths
from jobs.models import Run
from jobs.pipeline.arguments import decode_shown
from jobs.text import safe_text

from .redaction import hide_call

#: No arguments, as they are kept.
NONE = "[[], {}]"
#: How the line of a dry run begins.
DRY_RUN = "dry run"
#: What stands in place of what a run was given or said, for who may not read it.
NOT_SHOWN = "not shown: the job has a permission of its own"
#: Longest line kept, in characters; the column of the ledger is that wide.
LONGEST = 500


def summarise(arguments: str, task_name: str = "", *, dry_run: str = "") -> str:
    """`dry run, 3, period=2026-09, password=•••` of arguments as the ledger keeps them.

    Args:
        arguments: as `jobs.pipeline.arguments.encode` wrote them.
        task_name: whose they are; its parameters tell which values given by position are secret.
        dry_run: the name of the switch that makes it a dry run: said first, so that no long text hides it.
    """
    if arguments == NONE:
        return ""
    args, kwargs = hide_call(task_name, *decode_shown(arguments))
    parts = [DRY_RUN] if dry_run and kwargs.get(dry_run) is True and kwargs.pop(dry_run) else []
    parts += [str(without_paths(value)) for value in args]
    # What was left empty says nothing.
    parts += [f"{name}={without_paths(value)}" for name, value in kwargs.items() if value is not None]
    # One line, whatever the values hold.
    text = " ".join(safe_text(", ".join(parts)).split())
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def told_dry(run: Run) -> bool:
    """Whether the run's line says that it is a dry run; reads nothing else of it."""
    return run.summary == DRY_RUN or run.summary.startswith(f"{DRY_RUN}, ")


def key_arguments(run: Run) -> str:
    """The summary as a list shows it, at most 120 characters."""
    if run.withheld:
        return NOT_SHOWN
    return run.summary if len(run.summary) <= 120 else run.summary[:119] + "…"
