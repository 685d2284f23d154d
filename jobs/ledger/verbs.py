"""The registry of verbs: whatever changes something on behalf of a person is listed here, with its permission."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.errors import NotPermitted
from jobs.models import AuditEvent

from .audit import Actor, Subject, record


@dataclass(frozen=True, slots=True)
class Verb:
    """One thing that a person can do.

    Attributes:
        name: stored in the audit trail; never renamed.
        past: completes the sentence "Ana …" on the audit page.
        permission: `app.codename` that the actor needs besides what the object itself asks for.
        sentence: what a person without it is told.
    """

    name: str
    past: str
    permission: str
    sentence: str


START_RUN = Verb("start_run", "ran", "jobs.run_job", "You may not run jobs; ask for the role Operator.")
OPEN_FILE = Verb("open_file", "opened a file of", "jobs.view_run", "You may not see runs; ask for the role Viewer.")
EXPORT_RUNS = Verb("export_runs", "exported", "jobs.view_run", OPEN_FILE.sentence)
RESET_ADMIN = Verb(
    "reset_admin", "gave a new password to", "auth.change_user", "You may not change users; ask for a superuser."
)

SAVE_PRESET = Verb("save_preset", "saved the preset", "jobs.run_job", START_RUN.sentence)
DELETE_PRESET = Verb("delete_preset", "deleted the preset", "jobs.run_job", START_RUN.sentence)

_BEAT = "django_celery_beat"
_NO_CHANGE = "You may not change schedules; ask for the role Scheduler."
CREATE_SCHEDULE = Verb(
    "create_schedule",
    "made the schedule",
    f"{_BEAT}.add_periodictask",
    "You may not make schedules; ask for the role Scheduler.",
)
CHANGE_SCHEDULE = Verb("change_schedule", "changed the schedule", f"{_BEAT}.change_periodictask", _NO_CHANGE)
SWITCH_ON = Verb("switch_on", "switched on the schedule", f"{_BEAT}.change_periodictask", _NO_CHANGE)
SWITCH_OFF = Verb("switch_off", "switched off the schedule", f"{_BEAT}.change_periodictask", _NO_CHANGE)
DELETE_SCHEDULE = Verb(
    "delete_schedule",
    "deleted the schedule",
    f"{_BEAT}.delete_periodictask",
    "You may not delete schedules; ask for a superuser.",
)
SCHEDULE_VERBS = (CREATE_SCHEDULE, CHANGE_SCHEDULE, SWITCH_ON, SWITCH_OFF, DELETE_SCHEDULE)

#: Removes nothing but what RETENTION has already given up, so whoever may run its job may do it.
PRUNE = Verb("prune", "pruned", "jobs.run_job", START_RUN.sentence)

VERBS: dict[str, Verb] = {
    verb.name: verb
    for verb in (
        *(START_RUN, OPEN_FILE, EXPORT_RUNS, RESET_ADMIN, SAVE_PRESET, DELETE_PRESET),
        *SCHEDULE_VERBS,
        PRUNE,
    )
}


def require(verb: Verb, actor: Actor, subject: Subject, *permissions: str) -> None:
    """Let the actor pass, or record the refusal and raise.

    Args:
        permissions: what the object asks for besides the verb's own permission.

    Raises:
        NotPermitted: the text names what is missing. The refusal is in the audit trail, in a transaction of its own.
    """
    for permission in (verb.permission, *permissions):
        if not actor.may(permission):
            record(verb.name, actor, subject, outcome=AuditEvent.Outcome.DENIED, details={"missing": permission})
            raise NotPermitted(
                verb.sentence
                if permission == verb.permission
                else f"{subject.label} needs the permission {permission}; ask an administrator for it."
            )
