"""What a new console still lacks, as steps that are ticked when they are done; gone when all are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.contrib.auth import get_user_model
from django.http import HttpRequest
from django.urls import reverse

from admin_ext.parts.access import may
from admin_ext.parts.places import users_page
from jobs.catalog.registry import declared_jobs, find_job
from jobs.errors import UnknownJob
from jobs.ledger.people import everybody, has, permission_to
from jobs.ledger.together import Part, Told, number_of
from jobs.ledger.verbs import CREATE_SCHEDULE, START_RUN
from jobs.models import AuditEvent

#: Under this key the viewer puts them aside, as any trouble.
KEY = "first-steps"
_REPORT = "jobs.library.reports.task_activity_report"
_SHIPPED = "jobs.library."
_STARTED, _STAFF = "started by hand", "staff"


@dataclass(frozen=True, slots=True)
class Step:
    """One step; `href` is where it is taken, "" where that is no page."""

    icon: str
    words: str
    why: str
    href: str
    done: bool


def parts() -> list[Part]:
    """What the database is asked besides, in the statement of the page; each look ends at the second row."""
    people = everybody().filter(is_active=True, is_staff=True) if has("is_active", "is_staff") else everybody()
    return [
        number_of(_STARTED, AuditEvent.objects.filter(verb=START_RUN.name).order_by().values("pk")[:1]),
        number_of(_STAFF, people.order_by().values(get_user_model()._meta.pk.attname)[:2]),
    ]


def first_steps(
    request: HttpRequest, told: Mapping[str, Sequence[Told]], *, scheduled: bool | None, told_outside: bool
) -> tuple[Step, ...]:
    """The steps that the viewer can take; () once all of those are done.

    Args:
        scheduled: some schedule of the console's is on; None where the viewer may not see that.
        told_outside: somebody is told of troubles outside of these pages.
    """
    root = bool(getattr(request.user, "is_superuser", False))
    started, staff = (sum(one.number for one in told.get(name, ())) for name in (_STARTED, _STAFF))
    report = _report()
    steps = []
    if may(request, START_RUN.permission):
        href = reverse("admin:jobs_start", args=[_REPORT]) if report else reverse("admin:jobs_catalog")
        why = "Its form asks for what it needs; its page tells what came of it."
        steps.append(Step("play_circle", "Run a report" if report else "Run a job", why, href, bool(started)))
    if scheduled is not None and may(request, CREATE_SCHEDULE.permission):
        href = reverse("admin:django_celery_beat_periodictask_add") + (f"?job={_REPORT}" if report else "")
        words = "Have it run by itself"
        steps.append(Step("calendar_clock", words, "Each morning, each Monday, or when you say.", href, scheduled))
    if root:
        own = any(not job.name.startswith(_SHIPPED) for job in declared_jobs())
        why = "A developer writes @job above a function; it appears among the jobs after a restart."
        steps.append(Step("code", "Add a job of your own", why, reverse("admin:jobs_catalog"), own))
    if users_page() and may(request, permission_to("add")):
        why = "Each role says in words what its people may do."
        steps.append(Step("group_add", "Give a colleague a role", why, f"{users_page()}add/", staff > 1))
    if root:
        why = "Name an address in ALERT_MAIL_TO or ALERT_WEBHOOK; manage.py test_alert tries it."
        steps.append(Step("notifications", "Say who is told when something fails", why, "", told_outside))
    return () if all(step.done for step in steps) else tuple(steps)


def _report() -> bool:
    """Whether the shipped report is among the jobs: a project may leave it out."""
    try:
        return find_job(_REPORT) is not None
    except UnknownJob:
        return False
