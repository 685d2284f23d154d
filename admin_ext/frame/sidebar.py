"""Callbacks of `admin_ext.frame.navigation`: what the sidebar and the header ask on each page."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest
from django.templatetags.static import static

from admin_ext.parts.access import RUN_JOB, VIEW_AUDIT, VIEW_RESULT, VIEW_RUN, may
from admin_ext.parts.places import place, roles_page, users_page
from jobs.ledger.needing_action import badge_counts
from jobs.ledger.people import permission_to
from jobs.ledger.verbs import REREAD_FACTS

from .machinery import read_machinery

#: Counting stops here: a badge is a hint, not a report.
BADGE_CAP = 1000
_TONES = {"production": "danger", "local": "info"}


def environment(request: HttpRequest) -> list[str]:
    """The environment's label in the header and its tone: Production shouts, any other but Local warns."""
    label: str = settings.ENVIRONMENT_LABEL
    return [label, _TONES.get(label.lower(), "warning")]


def stylesheet(request: HttpRequest) -> str:
    """The address of the console's own stylesheet."""
    return static("admin_ext/console.css")


def script(request: HttpRequest) -> str:
    """The address of the console's own script."""
    return static("admin_ext/console.js")


def favicon(request: HttpRequest) -> str:
    """The address of the bolt in the browser's tab."""
    return static("admin_ext/favicon.svg")


def may_see_jobs(request: HttpRequest) -> bool:
    return may(request, VIEW_RUN) or may(request, RUN_JOB)


def may_see_runs(request: HttpRequest) -> bool:
    return may(request, VIEW_RUN)


def may_see_audit(request: HttpRequest) -> bool:
    return may(request, VIEW_AUDIT)


def may_see_results(request: HttpRequest) -> bool:
    return may(request, VIEW_RESULT)


def may_see_schedules(request: HttpRequest) -> bool:
    return may(request, "django_celery_beat.view_periodictask")


def may_see_set_aside(request: HttpRequest) -> bool:
    return may(request, REREAD_FACTS.permission)


def may_see_users(request: HttpRequest) -> bool:
    return bool(users_page()) and may(request, permission_to("view"))


def may_see_roles(request: HttpRequest) -> bool:
    return bool(roles_page()) and may(request, "auth.view_group")


def jobs_is_current(request: HttpRequest) -> bool:
    return request.path.startswith(place("admin:jobs_catalog"))


def runs_is_current(request: HttpRequest) -> bool:
    return request.path.startswith(place("admin:jobs_run_changelist")) and not (
        jobs_is_current(request)
        or set_aside_is_current(request)
        or queues_is_current(request)
        or workers_is_current(request)
    )


def queues_is_current(request: HttpRequest) -> bool:
    return request.path.startswith(place("admin:jobs_queues"))


def workers_is_current(request: HttpRequest) -> bool:
    return request.path.startswith(place("admin:jobs_workers"))


def set_aside_is_current(request: HttpRequest) -> bool:
    return request.path.startswith(place("admin:jobs_facts_set_aside"))


def set_aside_badge(request: HttpRequest) -> str:
    """How many facts the recorder could not read, "" for none and where that is not known."""
    count = read_machinery(request).stream.dead
    return f"{count:,}" if count else ""


def overview_badge(request: HttpRequest) -> str:
    """How much needs a look, "" for nothing, for who may not see it, and where nobody has counted lately."""
    if not may(request, VIEW_RUN):
        return ""
    counted: int | None = getattr(request, "_oc_looks", None)
    return _badge(counted) if counted is not None else _looks(request, "all")


def schedules_badge(request: HttpRequest) -> str:
    return _looks(request, "schedules")


def queues_badge(request: HttpRequest) -> str:
    return _looks(request, "queues")


def workers_badge(request: HttpRequest) -> str:
    return _looks(request, "workers")


def remember_looks(request: HttpRequest, count: int) -> None:
    """What the Overview itself shows, less what its viewer has put aside."""
    request._oc_looks = count  # type: ignore[attr-defined]


def _looks(request: HttpRequest, of: str) -> str:
    looks = read_machinery(request).stream.looks
    return _badge(getattr(looks, of)) if looks is not None else ""


def results_is_current(request: HttpRequest) -> bool:
    return request.path.startswith(place("admin:app_list", "django_celery_results"))


def remember_running(request: HttpRequest, count: int) -> None:
    """Keep the number of running runs for this request's badge; a page that has counted spares the second query."""
    request._oc_running = count  # type: ignore[attr-defined]


def remember_failures(request: HttpRequest, count: int) -> None:
    """Keep the number of groups that need action for this request's badge, as `remember_running` does."""
    request._oc_failures = count  # type: ignore[attr-defined]


def failures_badge(request: HttpRequest) -> str:
    """How many groups of failures need action, "" for none."""
    return _badge(_count(request, "_oc_failures"))


def running_badge(request: HttpRequest) -> str:
    """How many runs are running now, "" for none: Unfold draws whatever text it gets."""
    return _badge(_count(request, "_oc_running"))


def _count(request: HttpRequest, name: str) -> int:
    """What the page has remembered, or what one statement tells both badges."""
    if not hasattr(request, name):
        running, failures = badge_counts(cap=BADGE_CAP)
        remember_running(request, getattr(request, "_oc_running", running))
        remember_failures(request, getattr(request, "_oc_failures", failures))
    count: int = getattr(request, name)
    return count


def _badge(count: int) -> str:
    if count == 0:
        return ""
    return f"{count:,}" if count <= BADGE_CAP else f"{BADGE_CAP:,}+"
