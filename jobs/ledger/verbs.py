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
RESET_ADMIN = Verb(
    "reset_admin", "gave a new password to", "auth.change_user", "You may not change users; ask for a superuser."
)

SAVE_PRESET = Verb("save_preset", "saved the preset", "jobs.run_job", START_RUN.sentence)
DELETE_PRESET = Verb("delete_preset", "deleted the preset", "jobs.run_job", START_RUN.sentence)

VERBS: dict[str, Verb] = {verb.name: verb for verb in (START_RUN, OPEN_FILE, RESET_ADMIN, SAVE_PRESET, DELETE_PRESET)}


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
