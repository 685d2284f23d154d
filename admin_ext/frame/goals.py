"""Pages and acts of staff by their names: what the command palette leads to besides rows of the database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.module_loading import import_string

from admin_ext.parts.access import VIEW_RUN, VIEW_SCHEDULE, may
from admin_ext.parts.places import place, users_page
from jobs.ledger.people import permission_to
from jobs.ledger.verbs import (
    CANCEL_RUN,
    CREATE_SCHEDULE,
    EXPORT_RUNS,
    PURGE_QUEUE,
    RETRY_RUN,
    SHUT_DOWN,
    SNOOZE_FAILURE,
    START_RUN,
    SWITCH_OFF,
)


@dataclass(frozen=True, slots=True)
class Goal:
    """A page, or an act and the page where it is begun.

    Attributes:
        where: what the page shows, or where on it the act is.
    """

    title: str
    where: str
    href: str
    icon: str


@dataclass(frozen=True, slots=True)
class _Act:
    """An act of staff.

    Attributes:
        other_words: what somebody may type who calls it differently.
        page: the name of the address where it is begun.
        permissions: what it takes, the page that leads to it included.
    """

    title: str
    other_words: str
    where: str
    page: str
    icon: str
    permissions: tuple[str, ...]
    query: str = ""


_RUNS, _FAILURES = "admin:jobs_run_changelist", "admin:jobs_failuregroup_changelist"
_SCHEDULES = "admin:django_celery_beat_periodictask"
_ACTS = (
    _Act("Run a job", "start execute launch", "Choose it", "admin:jobs_catalog", "play_arrow", (START_RUN.permission,)),
    _Act(
        "Retry failed runs",
        "again repeat rerun",
        "Choose the failure",
        _FAILURES,
        "replay",
        (RETRY_RUN.permission, VIEW_RUN),
    ),
    _Act(
        "Snooze or resolve a failure",
        "ignore mute close done",
        "Choose the failure",
        _FAILURES,
        "snooze",
        (SNOOZE_FAILURE.permission, VIEW_RUN),
    ),
    _Act(
        "Cancel a run",
        "stop end kill abort terminate",
        "Choose one that is running",
        _RUNS,
        "do_not_disturb_on",
        (CANCEL_RUN.permission, VIEW_RUN),
        "?state=running",
    ),
    _Act("Export runs", "csv download", "Of the view that you set", _RUNS, "download", (EXPORT_RUNS.permission,)),
    _Act(
        "New schedule",
        "add create plan cron every day",
        "A form",
        f"{_SCHEDULES}_add",
        "calendar_clock",
        (CREATE_SCHEDULE.permission,),
    ),
    _Act(
        "Switch a schedule on or off",
        "pause resume enable disable stop",
        "Choose the schedule",
        f"{_SCHEDULES}_changelist",
        "toggle_off",
        (SWITCH_OFF.permission, VIEW_SCHEDULE),
    ),
    _Act(
        "Purge a queue",
        "empty clear delete messages",
        "Choose the queue",
        "admin:jobs_queues",
        "delete_sweep",
        (PURGE_QUEUE.permission, VIEW_RUN),
    ),
    _Act(
        "Shut down a worker",
        "stop restart kill",
        "Choose the worker",
        "admin:jobs_workers",
        "power_settings_new",
        (SHUT_DOWN.permission, VIEW_RUN),
    ),
    _Act("Change your password", "my account", "A form", "admin:password_change", "key", ()),
)


def pages(request: HttpRequest, text: str) -> Iterator[Goal]:
    """The pages of the sidebar that the viewer may open and whose titles hold `text`, in the sidebar's order."""
    navigation: Any = settings.UNFOLD["SIDEBAR"]["navigation"]
    for group in navigation if isinstance(navigation, list) else ():
        for item in group.get("items", ()):
            title, link = str(item.get("title", "")), item.get("link", "")
            if _has(title, text) and isinstance(link, str | Promise) and _open(request, item.get("permission", True)):
                yield Goal(title, "Page", str(link), str(item.get("icon") or "web"))


def acts(request: HttpRequest, text: str) -> Iterator[Goal]:
    """The acts that the viewer may do and that are called so."""
    for act in _ACTS:
        if _has(f"{act.title} {act.other_words}", text) and all(may(request, one) for one in act.permissions):
            yield Goal(act.title, f"Act · {act.where.lower()}", place(act.page) + act.query, act.icon)
    new_user = "New user add create invite colleague person account"
    if _has(new_user, text) and users_page() and may(request, permission_to("add")):
        yield Goal("New user", "Act · a form", f"{users_page()}add/", "person_add")


def _has(words: str, text: str) -> bool:
    """Whether each word of `text` begins one of `words`."""
    known = words.lower().split()
    return all(any(one.startswith(typed) for one in known) for typed in text.split())


def _open(request: HttpRequest, permission: Any) -> bool:
    """Unfold takes a function, or the dotted path of one, and no entry for what anybody may open."""
    if isinstance(permission, str):
        permission = import_string(permission)
    return bool(permission(request) if callable(permission) else permission)
