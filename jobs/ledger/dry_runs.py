"""The noun *dry run*: whether somebody has lately tried out exactly what is about to be run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.utils import timezone

from jobs.catalog.registry import Job
from jobs.errors import InvalidArguments
from jobs.models import Run
from jobs.pipeline.arguments import decode, encode
from jobs.states import State

from .run_query import NEWEST_FIRST

#: A dry run older than this tells of a world that has moved on.
FRESH = timedelta(minutes=30)
#: Runs of the job that are looked at, and those of them whose arguments are read.
_NEWEST, _READ = 500, 50


def is_dry_run(run: Run, job: Job | None) -> bool:
    """Whether its arguments make the run tell only what it would do."""
    if job is None or job.parameters is None or not job.dry_run:
        return False
    try:
        return job.parameters.bind(*decode(run.arguments)).get(job.dry_run) is True
    except InvalidArguments:
        return False


def fresh_dry_run(job: Job, values: Mapping[str, Any]) -> Run | None:
    """The newest dry run of `job` with these values, by anyone, that succeeded within FRESH.

    Args:
        values: by parameter name, typed or as text; whether they ask for a dry run themselves does not matter.

    Raises:
        InvalidArguments: the values do not fit.
    """
    parameters = job.parameters
    if parameters is None or not job.dry_run:
        return None
    call, typed = parameters.check({**values, job.dry_run: True})
    text, _ = encode(call.args, call.kwargs)
    newest = Run.objects.filter(task_name=job.name).order_by(*NEWEST_FIRST).values_list("pk", "state", "finished_at")
    since = timezone.now() - FRESH
    fitting = [pk for pk, state, end in newest[:_NEWEST] if state == State.SUCCEEDED and end and end >= since]
    for run in Run.objects.filter(pk__in=fitting[:_READ]).order_by(*NEWEST_FIRST):
        if run.arguments == text:
            return run
        # A secret is encrypted anew each time, so that only what it says can be compared.
        if parameters.secrets and run.arguments_exact:
            try:
                if parameters.typed(parameters.bind(*decode(run.arguments))) == typed:
                    return run
            except InvalidArguments:
                continue
    return None
