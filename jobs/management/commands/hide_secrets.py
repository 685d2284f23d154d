"""`manage.py hide_secrets`: hide in the ledger what an earlier release or declaration did not call a secret."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction

from jobs.catalog.registry import find_job
from jobs.catalog.secrecy import has_secrets
from jobs.errors import UnknownJob
from jobs.ledger.redaction import redact
from jobs.ledger.summary import summarise
from jobs.models import Preset, Run
from jobs.pipeline.arguments import kept_arguments
from jobs.pipeline.stored import results_model

logger = logging.getLogger(__name__)

#: Rows of one transaction.
BATCH = 500


class Command(BaseCommand):
    """Goes through runs, stored results and presets, oldest first; safe to stop and repeat, while everything runs."""

    help = "Hide secrets in the runs, stored results and presets that are in the database already."

    def handle(self, *args: Any, **options: Any) -> None:
        skipped: list[str] = []
        runs, results, presets = hide_in_runs(skipped), hide_in_results(), hide_in_presets(skipped)
        self.stdout.write(f"Changed: {runs:,} runs, {results:,} stored results, {presets:,} presets.")
        for one in skipped:
            self.stderr.write(f"Left as it is: {one}")


def hide_in_runs(skipped: list[str]) -> int:
    """Write each summary anew, and encrypt what a job declares secret and code gave in plain text; how many changed.

    Args:
        skipped: gets a line for each run that cannot be read.
    """
    changed, last = 0, 0
    while True:
        runs = list(Run.objects.filter(pk__gt=last).order_by("pk").only(*_READ)[:BATCH])
        if not runs:
            return changed
        last = runs[-1].pk
        different = [run for run in runs if _try(partial(_hide, run), f"run {run.task_id}", skipped)]
        with transaction.atomic():
            Run.objects.bulk_update(different, ["arguments", "summary"], batch_size=100)
        changed += len(different)


def _try(hide: Callable[[], bool], name: str, skipped: list[str]) -> bool:
    """What it answers; False, and a line, where it raises: one row keeps no other from being hidden."""
    try:
        return hide()
    except Exception as error:
        logger.exception("%s could not be looked through", name)
        skipped.append(f"{name} ({type(error).__name__}: {error})"[:300])
        return False


_READ = ("task_id", "task_name", "arguments", "summary", "guaranteed")


def _hide(run: Run) -> bool:
    """Whether there was anything to hide."""
    before = run.arguments, run.summary
    try:
        dry_run = find_job(run.task_name).dry_run if run.guaranteed else ""
    except UnknownJob:
        dry_run = ""
    run.arguments = kept_arguments(run.task_name, run.arguments)
    run.summary = summarise(run.arguments, run.task_name, dry_run=dry_run)
    return before != (run.arguments, run.summary)


def hide_in_results() -> int:
    """Forget Python's spelling of the arguments of tasks that declare a secret: nobody could tell which it is."""
    model, changed = results_model(), 0
    kept = model.objects.exclude(task_args=None, task_kwargs=None).order_by("pk")
    names = model.objects.order_by().values_list("task_name", flat=True).distinct()
    for name in [name for name in names if name and has_secrets(name)]:
        while keys := list(kept.filter(task_name=name).values_list("pk", flat=True)[:BATCH]):
            changed += model.objects.filter(pk__in=keys).update(task_args=None, task_kwargs=None)
    return changed


def hide_in_presets(skipped: list[str]) -> int:
    """Forget the values of presets that are secret, or sound so: their form asks for them again."""
    presets = Preset.objects.order_by("pk")
    return sum(_try(partial(_hide_preset, one), f"preset {one.name}", skipped) for one in presets)


def _hide_preset(preset: Preset) -> bool:
    kept = {name: value for name, value in preset.values.items() if redact({name: value}) == {name: value}}
    return kept != preset.values and bool(Preset.objects.filter(pk=preset.pk).update(values=kept))
