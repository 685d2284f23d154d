"""Which role gives a permission, for people who know roles and no permissions."""

from __future__ import annotations

from django.contrib.auth.models import Group

#: So many roles are named at most.
_NAMED = 3


def role_words(permission: str) -> str:
    """`the role Operator or Scheduler`, by the roles that give `app.codename`; where none does, who has it anyway."""
    app, _, codename = permission.partition(".")
    giving = Group.objects.filter(permissions__codename=codename, permissions__content_type__app_label=app)
    names = " or ".join(giving.order_by("name").values_list("name", flat=True)[:_NAMED])
    return f"the role {names}" if names else "an administrator: no role gives the right to it"


#: What each permission of the console lets people do, in the order in which a role is told.
DOES: dict[str, str] = {
    "jobs.view_run": "see runs, failures, queues and workers",
    "django_celery_beat.view_periodictask": "see schedules",
    "django_celery_results.view_taskresult": "see stored results",
    "jobs.view_auditevent": "see who did what",
    "jobs.run_job": "run jobs",
    "jobs.run_any_task": "run diagnostics and tasks that declare no job",
    "jobs.retry_run": "retry runs",
    "jobs.cancel_run": "cancel runs",
    "jobs.change_failuregroup": "snooze, resolve and annotate failures",
    "django_celery_beat.add_periodictask": "make schedules",
    "django_celery_beat.change_periodictask": "change schedules",
    "django_celery_beat.delete_periodictask": "delete schedules",
    "jobs.control_worker": "command workers",
    "jobs.purge_queue": "empty queues",
    "jobs.reread_facts": "see what was set aside and have it read again",
    "jobs.discard_facts": "discard what was set aside",
    "jobs.force_cancel": "end runs by force",
    "jobs.retry_unsafe": "retry what a job says never to",
    "jobs.send_mail": "send e-mail to users",
    "jobs.sign_out_users": "sign users out everywhere",
    "jobs.deactivate_users": "deactivate dormant users",
}


def may_words(role: Group) -> str:
    """What people of a role may do: `see runs, failures, queues and workers; run jobs; and 2 things of this project`.

    Of the role's permissions with their content types; prefetch them for many roles.
    """
    held = [f"{one.content_type.app_label}.{one.codename}" for one in role.permissions.all()]
    told = [words for name, words in DOES.items() if name in held]
    if others := len([name for name in held if name not in DOES]):
        told.append(f"{others:,} thing{'s' if others > 1 else ''} of this project beside the console")
    return "; ".join(told) or "nothing yet"
