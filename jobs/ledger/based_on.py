"""The run whose values the form of another was filled from, and what differs."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.catalog.fields import Kind
from jobs.catalog.registry import Job
from jobs.errors import InvalidArguments
from jobs.models import Run
from jobs.pipeline.arguments import decode

from .refill import changed


@dataclass(frozen=True, slots=True)
class BasedOn:
    """The run whose values the form of another was filled from.

    Attributes:
        run: None when it is no longer kept.
        differing: labels of the parameters whose values differ; None where that cannot be told any more. Secrets are
            not compared: each is encrypted anew.
    """

    task_id: str
    run: Run | None
    differing: tuple[str, ...] | None

    @property
    def short_id(self) -> str:
        return self.task_id[:8]


def based_on(run: Run, earlier: Run | None, job: Job | None) -> BasedOn | None:
    """What `run` was filled from; `earlier` is that run where it is still kept. None where it was filled from none."""
    if not run.based_on:
        return None
    if earlier is None or job is None or job.parameters is None or earlier.task_name != run.task_name:
        return BasedOn(run.based_on, earlier, None)
    if not (run.arguments_exact and earlier.arguments_exact):
        return BasedOn(run.based_on, earlier, None)
    try:
        then, now = (job.parameters.bind(*decode(one.arguments)) for one in (earlier, run))
    except InvalidArguments:  # the parameters have changed since
        return BasedOn(run.based_on, earlier, None)
    differing = changed(then, now, job.parameters)
    return BasedOn(run.based_on, earlier, tuple(field.label for field in differing if field.kind is not Kind.SECRET))
