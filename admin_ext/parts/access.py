"""Who is signed in, as the domain sees them, and what they may see."""

from __future__ import annotations

import ipaddress

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.views.generic import TemplateView
from unfold.views import UnfoldModelAdminViewMixin

from jobs.catalog.registry import find_job
from jobs.ledger.audit import Actor
from jobs.ledger.people import key_of
from jobs.ledger.readable import OF_OTHERS, Withheld, own_permission, withheld_tasks
from jobs.ledger.roles import role_words
from jobs.ledger.verbs import Verb

VIEW_RUN = "jobs.view_run"
RUN_JOB = "jobs.run_job"
VIEW_AUDIT = "jobs.view_auditevent"
VIEW_RESULT = "django_celery_results.view_taskresult"
VIEW_SCHEDULE = "django_celery_beat.view_periodictask"
SEE_RUNS_REFUSED = "You may not see runs; ask for the role Viewer."
SEE_AUDIT_REFUSED = "You may not see the audit trail; ask for the role Auditor."
SEE_RESULTS_REFUSED = "You may not see stored results; ask for the role Viewer."
SEE_SCHEDULES_REFUSED = "You may not see schedules; ask for the role Viewer."


def person(request: HttpRequest) -> Actor:
    """The signed-in user as an actor, with the address that the request came from."""
    return Actor.person(request.user, via="admin", ip=_address(request))


class ConsoleView(UnfoldModelAdminViewMixin, TemplateView):
    """A page of the console; `permission_required` says what it asks for."""

    def has_permission(self) -> bool:
        """By `has_perm` alone, which every user model of the admin has."""
        return all(self.request.user.has_perm(permission) for permission in self.get_permission_required())


def viewer_key(request: HttpRequest) -> str | None:
    """The key of the signed-in user, as the ledger keeps it; None for nobody."""
    user = getattr(request, "user", None)
    return key_of(user) if user is not None and user.is_authenticated else None


def _address(request: HttpRequest) -> str | None:
    try:
        return str(ipaddress.ip_address(_told_address(request)))
    except ValueError:
        return None  # a server behind a unix socket knows no address


def _told_address(request: HttpRequest) -> str:
    if settings.BEHIND_PROXY:
        # Only the last one was written by our proxy; what stands before it anybody may have sent.
        return str(request.META.get("HTTP_X_FORWARDED_FOR", "")).rpartition(",")[2].strip()
    return str(request.META.get("REMOTE_ADDR", ""))


def may(request: HttpRequest, permission: str) -> bool:
    """Whether the signed-in user holds `app.codename`."""
    return request.user.has_perm(permission)


def refuse_unless(request: HttpRequest, permission: str, sentence: str) -> None:
    """Raise PermissionDenied with `sentence` when the signed-in user lacks `permission`."""
    if not may(request, permission):
        raise PermissionDenied(sentence)


def needed_role(permission: str) -> str:
    """`Needs the role Auditor`, for `app.codename`."""
    return f"Needs {role_words(permission)}"


def withheld_from(request: HttpRequest) -> Withheld:
    """The names of the tasks whose runs the signed-in user may not read."""
    return withheld_tasks(request.user.has_perm)


def why_withheld(request: HttpRequest, task_name: str) -> str:
    """What the person is told in place of what runs of a task are given and say; "" for who may read them."""
    if task_name not in withheld_from(request):
        return ""
    told = "What its runs are given, and what they say, is not for everybody who sees runs."
    if task_name in OF_OTHERS:
        return f"{told} It calls another task, and you may not read what all of them are given."
    return f"{told} {needed_role(own_permission(find_job(task_name)))}."


def refuse_withheld(request: HttpRequest, task_name: str) -> None:
    """Raise PermissionDenied when the signed-in user may not read what runs of a task say."""
    if sentence := why_withheld(request, task_name):
        raise PermissionDenied(f"You may not read it. {sentence}")


def lacking(request: HttpRequest, verb: Verb, *permissions: str) -> str:
    """What the person lacks for `verb` on an object that asks for `permissions` besides; "" for nothing."""
    if not may(request, verb.permission):
        return verb.sentence
    return next((f"{needed_role(permission)}." for permission in permissions if not may(request, permission)), "")
