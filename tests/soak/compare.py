"""The journal of the tasks beside the record: every run, its state, arguments, family, attempts and stored result."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from celery.result import AsyncResult
from django_celery_results.models import TaskResult

from jobs.models import Attempt, Run
from jobs.pipeline.arguments import decode
from jobs.states import State
from tests.soak.publish import Expected

#: Celery's word for what a task wrote last; what stock workers store a row for.
CELERY_STATES = {"succeeded": "SUCCESS", "failed": "FAILURE", "lost": "FAILURE", "expired": "REVOKED"}
#: How an attempt that did not succeed is kept, by the line that closed it.
OUTCOMES = {"retrying": "retried", "failed": "failed", "lost": "lost", "cancelled": "cancelled"}
#: A body that raised `Ignore` has no result, under Celery's own backend as under ours.
WITHOUT_RESULT = {"tests.tasks_observed.ignore"}
#: With `ignore_result` ours keeps a row, so that history knows the end; Redis and `AsyncResult` know nothing.
WITHOUT_VALUE = {"tests.tasks_observed.succeed_quietly"}


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that the record says otherwise than the journal."""

    what: str
    task_id: str
    detail: str


def read_journal(path: Path) -> dict[str, list[dict[str, Any]]]:
    """The lines by task id, in the order of writing; those of calls that are no runs (`map`) have none."""
    journal: dict[str, list[dict[str, Any]]] = {}
    for line in map(json.loads, path.read_text().splitlines()):
        if line["id"] is not None:
            journal.setdefault(line["id"], []).append(line)
    return journal


def compare(journal: dict[str, list[dict[str, Any]]], expected: Expected) -> list[Difference]:
    """All that differs."""
    runs = {run.task_id: run for run in Run.objects.filter(guaranteed=False)}
    stored = dict(TaskResult.objects.values_list("task_id", "status"))
    kept: dict[str, list[str]] = {}
    for task_id, outcome in Attempt.objects.order_by("number").values_list("run__task_id", "outcome"):
        kept.setdefault(task_id, []).append(outcome)
    wanted = {**{task_id: lines[-1]["event"] for task_id, lines in journal.items()}, **expected.states}
    found = [Difference("missing", task_id, state) for task_id, state in wanted.items() if task_id not in runs]
    found += [
        Difference("unknown", task_id, f"{run.task_name} {run.state}")
        for task_id, run in runs.items()
        if task_id not in wanted
    ]
    for task_id, state in wanted.items():
        if (run := runs.get(task_id)) is None:
            continue
        found += [Difference(what, task_id, f"{run.task_name}: {detail}") for what, detail in (
            *_state(run, state),
            *_of_result(run, state, stored.get(task_id)),
            *_of_journal(run, journal.get(task_id, []), kept.get(task_id, [])),
            *_of_unstarted(run, expected.names.get(task_id, ""), begun=task_id in journal),
        )]  # fmt: skip
    return found


def _state(run: Run, state: str) -> Iterator[tuple[str, str]]:
    if run.state != state or run.provisional:
        yield "state", f"is {run.state} ({run.state_note}), provisional {run.provisional}, and not {state}"


def _of_result(run: Run, state: str, stored: str | None) -> Iterator[tuple[str, str]]:
    celery_state = CELERY_STATES.get(state, "FAILURE" if state == State.CANCELLED else "")
    if run.task_name in WITHOUT_RESULT:
        celery_state = ""
    if (stored or "") != celery_state:
        yield "row", f"is {state}, and its row says {stored}"
    if celery_state and run.task_name not in WITHOUT_VALUE and (said := AsyncResult(run.task_id).state) != celery_state:
        yield "AsyncResult", f"is {state}, and AsyncResult says {said}"


def _of_journal(run: Run, lines: list[dict[str, Any]], kept: list[str]) -> Iterator[tuple[str, str]]:
    starts = [line for line in lines if line["event"] == "start"]
    if not starts:
        return
    uses = [index for index, line in enumerate(lines) if line["event"] == "start" and line["retries"] == 0]
    last = lines[uses[-1]]
    if not run.arguments_exact or decode(run.arguments) != decode(starts[-1]["arguments"]):
        yield "arguments", f"{run.arguments[:100]} and not {starts[-1]['arguments'][:100]}"
    # Celery names a run as the parent of what replaces it.
    root, parent = (
        value if value != run.task_id else empty for value, empty in ((last["root"], None), (last["parent"], ""))
    )
    family = (run.task_name, run.parent_id, run.root_id, run.group_id)
    if family != (told := (starts[-1]["name"], parent, root, last["group"])):
        yield "family", f"{family} and not {told}"
    if len({line["name"] for line in lines}) > 1 and not run.attempts_before:
        return  # replaced itself: one id, two tasks
    # What goes back into its queue is delivered again as the same execution.
    executions = len(starts) - sum(line["event"] == "put back" for line in lines)
    if run.attempt != executions:
        yield "attempts", f"{run.attempt} and not {executions}"
    if kept != (outcomes := [OUTCOMES[line["event"]] for line in lines if line["event"] in OUTCOMES]):
        yield "attempts", f"{kept} and not {outcomes}"
    if run.started_at is None or run.finished_at is None or not run.started_at <= run.finished_at:
        yield "times", f"from {run.started_at} to {run.finished_at}"


def _of_unstarted(run: Run, name: str, *, begun: bool) -> Iterator[tuple[str, str]]:
    """Of what never began because something before it failed, the record knows what it was and why."""
    if begun or run.state != State.CANCELLED:
        return
    if name and run.task_name != name:
        yield "family", f"is called {run.task_name!r} and not {name!r}"
    if not (run.task_name and run.root_id and run.parent_id and run.state_note):
        yield "family", f"never began: parent {run.parent_id!r}, root {run.root_id!r}, note {run.state_note!r}"
