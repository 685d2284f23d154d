"""The pages of one stored result and of one stored group: what was kept, decoded, without secrets, cut."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from celery import states as celery_states
from django.db.models import Case, F, TextField, Value, When
from django.db.models.functions import Length
from django_celery_results.models import GroupResult, TaskResult

from admin_ext.parts.chips import Chip
from admin_ext.parts.words import duration, exact, file_size, plural
from jobs.catalog.registry import job_title
from jobs.ledger.redaction import hide_call, hide_in_text, redact_said
from jobs.pipeline.arguments import read_shown
from jobs.text import read_json

from .listing import run_links, status_chip

#: Characters of a stored text that are read, and of its pretty form that are shown.
READ = 1_000_000
SHOWN = 20_000
#: Members of a group that its page names; the others are counted.
MEMBERS_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Text:
    """A stored value fit to be shown; `note` says what was left out, or why there is nothing."""

    text: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class ResultPage:
    """Everything that the page of a stored result shows."""

    title: str
    task_id: str
    chip: Chip
    failed: bool
    facts: tuple[tuple[str, str], ...]
    value: Text
    arguments: Text
    traceback: Text
    run: str


def result_page(pk: int, why_withheld: Callable[[str], str]) -> ResultPage | None:
    """The page of the stored result `pk`; None when there is none. Two queries.

    Args:
        why_withheld: why the viewer may not read the results of a task; "" for who may.
    """
    heavy = ("result", "traceback", "task_args", "task_kwargs", "meta")
    sizes = {f"{name}_size": Length(name) for name in heavy}
    # What is longer than READ is not even fetched.
    texts = {
        f"{name}_text": Case(
            When(**{f"{name}_size__lte": READ}, then=F(name)), default=Value(""), output_field=TextField()
        )
        for name in heavy
    }
    found = TaskResult.objects.defer(*heavy).annotate(**sizes).annotate(**texts).filter(pk=pk)
    result: Any = found.first()
    if result is None:
        return None
    withheld = Text(note=note) if (note := why_withheld(result.task_name or "")) else None
    took = (result.date_done - result.date_started).total_seconds() if result.date_started else None
    return ResultPage(
        title=job_title(result.task_name) if result.task_name else "Not named",
        task_id=result.task_id,
        chip=status_chip(result.status),
        failed=result.status in celery_states.EXCEPTION_STATES,
        facts=(
            ("Done", exact(result.date_done)),
            ("Started", exact(result.date_started)),
            ("Took", duration(max(took, 0.0)) if took is not None else "unknown"),
            ("Stored", exact(result.date_created)),
            ("Worker", result.worker or "unknown"),
            ("Schedule", result.periodic_task_name or "none"),
            ("Kept as", f"{result.content_type}, {result.content_encoding}, {file_size(result.result_size or 0)}"),
            ("Function", result.task_name or "unnamed"),
        ),
        value=withheld or _pretty(result.result_text, result.result_size, result.content_type),
        arguments=withheld or _arguments(result),
        traceback=Text() if withheld else _cut(hide_in_text(result.traceback_text or ""), result.traceback_size),
        run=run_links([result.task_id]).get(result.task_id, ""),
    )


def _arguments(result: Any) -> Text:
    """Both kinds as one structure; where the secrets in them cannot be told, nothing is shown."""
    kept = {}
    for words, text in (("positional", result.task_args_text), ("named", result.task_kwargs_text)):
        try:
            value = read_shown(text) if text else None
        except ValueError:
            value = text
        if isinstance(value, str):
            return Text(note="They are kept in a form in which secrets cannot be told; the run's page has them.")
        if isinstance(value, list):
            value = hide_call(result.task_name or "", value, {})[0]
        elif isinstance(value, dict):
            value = hide_call(result.task_name or "", [], value)[1]
        if value:
            kept[words] = value
    return _shown(kept) if kept else Text(note="None are kept.")


def _pretty(text: str, size: int | None, content_type: str) -> Text:
    if size is None:
        return Text(note="Nothing is kept.")
    if size > READ:
        return Text(note=f"{file_size(size)} are kept: too long to be shown.")
    if content_type != "application/json":
        return Text(note=f"It is kept as {content_type}, which this page does not read.")
    try:
        return _shown(read_shown(text))
    except ValueError:
        return Text(note="It is no whole JSON, so secrets in it could not be hidden: it is not shown.")


def _shown(value: Any) -> Text:
    return _cut(json.dumps(redact_said(value), ensure_ascii=False, indent=2, default=str))


def _cut(text: str, size: int | None = None) -> Text:
    if size is not None and size > READ:
        return Text(note=f"{file_size(size)} are kept: too long to be shown.")
    if len(text) > SHOWN:
        return Text(text[:SHOWN], f"The first {SHOWN:,} of {len(text):,} characters.")
    return Text(text)


@dataclass(frozen=True, slots=True)
class Member:
    """A task of a group, with the addresses of its run and of its stored result where there are any."""

    task_id: str
    run: str
    chip: Chip | None


@dataclass(frozen=True, slots=True)
class GroupPage:
    """Everything that the page of a stored group shows."""

    group: GroupResult
    facts: tuple[tuple[str, str], ...]
    members: tuple[Member, ...]
    more: str


def group_page(pk: int) -> GroupPage | None:
    """The page of the stored group `pk`; None when there is none. Three queries."""
    group = GroupResult.objects.filter(pk=pk).first()
    if group is None:
        return None
    ids = _member_ids(group.result)
    shown = ids[:MEMBERS_SHOWN]
    runs = run_links(shown)
    status = dict(TaskResult.objects.filter(task_id__in=shown).order_by().values_list("task_id", "status"))
    return GroupPage(
        group=group,
        facts=(
            ("Stored", exact(group.date_created)),
            ("Last changed", exact(group.date_done)),
            ("Members", plural(len(ids), "run")),
        ),
        members=tuple(
            Member(task_id, runs.get(task_id, ""), status_chip(status[task_id]) if task_id in status else None)
            for task_id in shown
        ),
        more=f"{len(ids) - len(shown):,} more" if len(ids) > len(shown) else "",
    )


def _member_ids(text: str | None) -> list[str]:
    """The ids in a group as Celery writes it, `[[id, parent], [[[id, parent], children], …]]`; none where it is not."""
    try:
        _, children = read_json(text or "")
        return [str(child[0][0]) for child in children]
    except (ValueError, TypeError, IndexError, KeyError):
        return []
