"""Who may do what with a schedule, in words fit to stand beside a button that is off."""

from __future__ import annotations

from django.http import HttpRequest

from admin_ext.parts.access import may, needed_role, withheld_from
from jobs.catalog.registry import Job
from jobs.ledger.verbs import DELETE_SCHEDULE, START_RUN, SWITCH_OFF, Verb

CANNOT_WORK = "It cannot do its work; whoever may run its job sees why."
#: These disarm a schedule: whoever may not run its job may still stop it.
_DISARM = (SWITCH_OFF, DELETE_SCHEDULE)


def readable_problem(request: HttpRequest, task_name: str, problem: str) -> str:
    """What is wrong with a schedule; it may quote arguments, so that who may not read them is told only that."""
    return CANNOT_WORK if problem and task_name in withheld_from(request) else problem


class Lacking:
    """What one person lacks; each permission is looked up once in a request, whatever the number of schedules."""

    def __init__(self, request: HttpRequest) -> None:
        self.request = request
        self._roles: dict[str, str] = {}

    def why_not(self, verb: Verb, job: Job | None) -> str:
        """`Needs the role Scheduler`; "" for who may do it. A job that is gone asks for nothing."""
        needs = [verb.permission]
        if verb not in _DISARM:
            needs += [START_RUN.permission, *([job.permission] if job else [])]
        missing = next((permission for permission in needs if not may(self.request, permission)), "")
        if missing and missing not in self._roles:
            self._roles[missing] = needed_role(missing)
        return self._roles.get(missing, "")
