"""What a change of a schedule changes, in words for the audit trail; of a secret only that it does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.utils import timezone

from jobs.catalog.registry import Job
from jobs.errors import InvalidArguments
from jobs.ledger.redaction import HIDDEN, hide_call
from jobs.text import in_zone

from .drafts import Draft, stored_arguments
from .sentence import sentence
from .spec import Every
from .stored import Stored, aware

#: Longest text of one value, in characters.
_LONGEST = 200
_NONE = "none"


def changes_of(stored: Stored, draft: Draft) -> list[str]:
    """One line for each thing that differs: `when: Every hour to Every day at 06:30`; call it before the row is filled.

    Raises:
        InvalidArguments: the arguments do not fit.
    """
    row = stored.row
    start = "now" if draft.start is None and isinstance(draft.spec, Every) else _moment(draft.start)
    pairs = [
        ("name", row.name, draft.name.strip()),
        ("job", row.task, draft.job.name),
        ("when", sentence(stored.spec) if stored.spec else stored.problem, sentence(draft.spec)),
        ("start", _moment(row.start_time), start),
        ("until", _moment(row.expires), _moment(draft.until)),
        ("on", _yes(row.enabled), _yes(draft.enabled)),
        ("description", _text(row.description), _text(draft.description)),
        ("queue", row.queue or _NONE, draft.queue or _NONE),
        ("priority", _number(row.priority), _number(draft.priority)),
        ("expires after", _number(row.expire_seconds, " s"), _number(draft.expire_seconds, " s")),
        # What is not sent is cleared by any change.
        *((name, value, _NONE) for name, value in stored.refused),
    ]
    told = [f"{what}: {before} → {after}" for what, before, after in pairs if before != after]
    return told if draft.arguments is None else told + _arguments(stored, draft, draft.arguments)


def _arguments(stored: Stored, draft: Draft, arguments: Mapping[str, Any]) -> list[str]:
    sent = stored_arguments(draft.job, arguments)
    args: list[Any] = json.loads(sent[0])
    kwargs: dict[str, Any] = json.loads(sent[1])
    if stored.args is None or stored.kwargs is None:
        return ["arguments: entered anew"]
    held, meant = _typed(draft.job, stored.args, stored.kwargs), _typed(draft.job, args, kwargs)
    secrets = draft.job.parameters.secrets if draft.job.parameters else frozenset()
    told = []
    if stored.args != args:
        was = hide_call(stored.row.task, stored.args, {})[0]
        now = hide_call(draft.job.name, args, {})[0]
        told.append(f"arguments by position: {_value(was)} → {_value(now)}")
    for name in [*stored.kwargs, *(name for name in kwargs if name not in stored.kwargs)]:
        before, after = stored.kwargs.get(name), kwargs.get(name)
        if before == after and (name in stored.kwargs) == (name in kwargs):
            continue
        # A secret is encrypted anew each time, so that only what it says can be compared.
        if name in secrets and name in held and name in meant and held[name] == meant[name]:
            continue
        old, new = _shown(name, stored.kwargs, stored.row.task), _shown(name, kwargs, draft.job.name)
        # Where both read alike, a secret within is what differs.
        told.append(f"{name}: changed" if HIDDEN in (old, new) or old == new else f"{name}: {old} → {new}")
    return told


def _typed(job: Job, args: list[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    try:
        return job.parameters.typed(job.parameters.bind(args, kwargs)) if job.parameters else {}
    except InvalidArguments:
        return {}


def _shown(name: str, values: Mapping[str, Any], task_name: str) -> str:
    return _value(hide_call(task_name, [], {name: values[name]})[1][name]) if name in values else "left out"


def _value(value: Any) -> str:
    return _text(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _text(text: str) -> str:
    line = " ".join(text.split()) or _NONE
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def _moment(moment: datetime | None) -> str:
    known = aware(moment)
    return f"{in_zone(known, timezone.get_current_timezone()):%Y-%m-%d %H:%M %Z}" if known else _NONE


def _number(value: int | None, unit: str = "") -> str:
    return _NONE if value is None else f"{value}{unit}"


def _yes(value: bool) -> str:
    return "yes" if value else "no"
