"""What a person may read of what runs say: nobody a secret, and nothing of a guarded job who lacks its permission.

Who may not see users must not read them in the result of a job that exports users, in its log, in what it was given or
in what it failed with. What kind of run it is, its state and its times stay visible to everybody who sees runs.

Whoever loads a run, a group of failures or an act for a page passes it through here; what is built on it follows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from jobs.catalog.registry import RUN_ANY_TASK, RUN_JOB, Job, declared_jobs, job_title
from jobs.catalog.secrecy import CALLS_OF_MANY
from jobs.models import Attempt, AuditEvent, FailureGroup, Run

from .redaction import hide_in_text
from .summary import NONE, NOT_SHOWN

Withheld = frozenset[str]
#: Of nobody: whoever sees runs may read them all.
NOTHING: Withheld = frozenset()
#: Celery's own tasks whose arguments are those of other tasks.
OF_OTHERS = CALLS_OF_MANY | {"celery.chord_unlock"}
#: Of an act's details, what says nothing of what a run was given or produced.
_PLAIN_DETAILS = frozenset(
    {"job", "missing", "dry_run", "queue", "priority", "not_before", "schedule", "worker", "runs"}
)


def own_permission(job: Job | None) -> str:
    """What reading what runs of a job say asks for besides seeing runs: its own permission; "" where it has none."""
    return "" if job is None or job.permission in (RUN_JOB, RUN_ANY_TASK) else job.permission


def withheld_tasks(may: Callable[[str], bool]) -> Withheld:
    """The names of the tasks whose runs a person may not read; where there are any, also those of Celery's own tasks
    that are given another task's name and values, which may be one of these.

    Args:
        may: whether the person holds `app.codename`.
    """
    names = frozenset(job.name for job in declared_jobs() if (own := own_permission(job)) and not may(own))
    return names | OF_OTHERS if names else names


def readable(run: Run, withheld: Withheld = NOTHING) -> Run:
    """`run` itself, as it may be shown; it must not be saved any more. Columns that were not read stay unread."""
    if run.task_name in withheld:
        run.withheld = True
        run.arguments, run.summary, run.progress = NONE, "", None
        run.error_type = run.error_message = ""
    elif "error_message" in run.__dict__:
        run.error_message = hide_in_text(run.error_message)
    return run


def readable_attempt(attempt: Attempt, *, withheld: bool) -> Attempt:
    """`attempt` itself, as it may be shown; `withheld` as its run is."""
    if withheld:
        attempt.error_type = attempt.error_message = attempt.traceback = ""
        return attempt
    for name in ("error_message", "traceback"):
        if text := attempt.__dict__.get(name):
            setattr(attempt, name, hide_in_text(text))
    return attempt


def readable_group(group: FailureGroup, withheld: Withheld = NOTHING) -> FailureGroup:
    """`group` itself, as it may be shown; it must not be saved any more."""
    if group.task_name in withheld:
        group.error_type, group.title, group.sample_message, group.place = "", NOT_SHOWN, "", ""
        group.varied = False
    else:
        group.title, group.sample_message = hide_in_text(group.title), hide_in_text(group.sample_message)
    return group


def readable_events(events: Iterable[AuditEvent], withheld: Withheld = NOTHING) -> tuple[AuditEvent, ...]:
    """The acts themselves, without what those on guarded jobs tell of arguments and files."""
    titles = tuple(job_title(name) for name in withheld)
    return tuple(_readable_event(event, withheld, titles) for event in events)


def _readable_event(event: AuditEvent, withheld: Withheld, titles: tuple[str, ...]) -> AuditEvent:
    job, label = event.details.get("job"), event.object_label
    failure = next((title for title in titles if label.endswith(f" in {title}")), "")
    # Acts on runs and groups that tell no job are known by their labels, which begin or end with its title.
    of_run = event.object_type == "run" and any(label.startswith(f"{title} ") for title in titles)
    of_group = event.object_type == "failure" and failure
    if job in withheld or of_run or of_group:
        event.details = {name: told for name, told in event.details.items() if name in _PLAIN_DETAILS}
        event.object_label = f"Failure in {failure}" if of_group else label
    return event
