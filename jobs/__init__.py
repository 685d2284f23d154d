"""The domain of the console. A job's author imports from here and nowhere deeper; no model is imported."""

from jobs.catalog.hints import File
from jobs.catalog.registry import Targets, job
from jobs.pipeline.attach import attach
from jobs.pipeline.cancelled import check_cancelled
from jobs.pipeline.integration import integrate
from jobs.pipeline.progress import progress, set_progress

__all__ = ["File", "Targets", "attach", "check_cancelled", "integrate", "job", "progress", "set_progress"]
