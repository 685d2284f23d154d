"""Addresses of what can be done with one run, for who may do it."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.admin.utils import quote
from django.http import HttpRequest
from django.urls import reverse

from jobs.catalog.registry import Job
from jobs.ledger.verbs import CANCEL_RUN, RETRY_RUN
from jobs.models import Run
from jobs.states import RETRYABLE, State

from .access import RUN_JOB, may
from .keyset import link


@dataclass(frozen=True, slots=True)
class VerbLink:
    """A button of the page's head that leads to where it asks; `primary` at most once."""

    word: str
    icon: str
    href: str
    primary: bool = False


def run_address(task_id: str) -> str:
    """The page of the run."""
    return reverse("admin:jobs_run_change", args=[quote(task_id)])


def run_like_this(request: HttpRequest, run: Run, job: Job | None) -> str:
    """The job's form, filled from the run; "" where there is none for this person."""
    return _form(request, run, job, "from") if run.arguments_exact else ""


def retry_form_address(request: HttpRequest, run: Run, job: Job | None) -> str:
    """The job's form, filled from the run, that starts its retry; "" where there is none for this person."""
    return _form(request, run, job, "retry") if may(request, RETRY_RUN.permission) else ""


def verb_links(
    request: HttpRequest, run: Run, job: Job | None, *, dry: bool = False, about: int = 0
) -> tuple[VerbLink, ...]:
    """The verbs of a run's page, the primary one last.

    Args:
        dry: it only told what it would do; `about`: so many objects were chosen for it.
    """
    found = []
    like = run_like_this(request, run, job)
    again = State(run.state) in RETRYABLE and may(request, RETRY_RUN.permission)
    if like and dry and run.state == State.SUCCEEDED:
        words = f"Run this for real, on {about:,}…" if about else "Run this for real…"
        found.append(VerbLink(words, "play_arrow", like, primary=True))
    elif like:
        found.append(VerbLink("Run like this…", "edit_note", like, primary=run.is_finished and not again))
    if again:
        found.append(VerbLink("Retry…", "replay", _run("admin:jobs_run_retry", run), primary=True))
    if run.is_active and may(request, CANCEL_RUN.permission):
        found.append(VerbLink("Cancel…", "do_not_disturb_on", _run("admin:jobs_run_cancel", run)))
    return tuple(found)


def _run(name: str, run: Run) -> str:
    return reverse(name, args=[quote(run.task_id)])


def _form(request: HttpRequest, run: Run, job: Job | None, by: str) -> str:
    if job is None or job.parameters is None:
        return ""
    if not (may(request, RUN_JOB) and may(request, job.permission)):
        return ""
    return reverse("admin:jobs_start", args=[job.name]) + link(**{by: run.task_id})
