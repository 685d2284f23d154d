"""What Celery, the message and the worker know of a run: the tab for those who look behind the words."""

from __future__ import annotations

from dataclasses import dataclass

from admin_ext.parts.words import exact, plural
from jobs.ledger.run_page import RunPage
from jobs.ledger.shown_arguments import raw_arguments

GUARANTEED = "console run: one worker alone may take each attempt"
OBSERVED = "observed run: Celery's own delivery rules"


@dataclass(frozen=True, slots=True)
class Detail:
    """One name and value; `copy` where one may want it elsewhere."""

    name: str
    text: str
    copy: bool = False


@dataclass(frozen=True, slots=True)
class Details:
    """A card of them."""

    title: str
    note: str
    rows: tuple[Detail, ...]


def technical(page: RunPage) -> tuple[tuple[Details, ...], tuple[Details, ...]]:
    """The cards of two columns, each in its order."""
    run = page.run
    task = (
        Detail("Task id", run.task_id, copy=True),
        Detail("Function", run.task_name or "unnamed", copy=bool(run.task_name)),
        Detail("Delivery", GUARANTEED if run.guaranteed else OBSERVED),
        Detail(
            "Asked for once by", run.nonce or "nothing: only forms and schedules have such a mark", copy=bool(run.nonce)
        ),
    )
    message = (
        Detail("Published by", run.origin or "not known", copy=bool(run.origin)),
        Detail("Root", run.root_id or "this run itself", copy=bool(run.root_id)),
        Detail("Parent", run.parent_id or "none", copy=bool(run.parent_id)),
        Detail("Group", run.group_id or "none", copy=bool(run.group_id)),
        Detail("Queue", run.queue or "not known", copy=bool(run.queue)),
        Detail("Priority", "the queue's own" if run.priority is None else str(run.priority)),
        Detail("Published", f"{plural(run.publish_count, 'time')} by the console" if run.guaranteed else "by code"),
        Detail("Last published", exact(run.published_at) if run.published_at else "not yet or not known"),
        Detail("Not before", exact(run.not_before) if run.not_before else "at once"),
        Detail("Expires", exact(run.expires_at) if run.expires_at else "never"),
    )
    execution = (
        Detail("Attempt", str(run.attempt) if run.attempt else "none"),
        Detail("Retries", f"{run.retries:,} by Celery"),
        Detail("Taken", exact(run.claimed_at) if run.claimed_at else "by no worker"),
        Detail("Taken by process", run.claimed_by or "nobody", copy=bool(run.claimed_by)),
        Detail("Started", exact(run.started_at) if run.started_at else "not known"),
        Detail("Ended", exact(run.finished_at) if run.finished_at else "not yet" if run.is_active else "not known"),
        Detail("Worker", run.worker or "not known", copy=bool(run.worker)),
        Detail("Release", run.release or "not known", copy=bool(run.release)),
    )
    left = (Details("Task", "what Celery calls it", task), Details("Execution", "what the worker did", execution))
    return left, (Details("Message", "what was published, and by whom", message),)


def arguments_text(page: RunPage) -> str:
    """`[args, kwargs]` as the ledger keeps them, without secrets; "" where they could not be kept, or are withheld."""
    shown = page.run.arguments_exact and not page.run.withheld
    return raw_arguments(page.run, page.job) if shown else ""
