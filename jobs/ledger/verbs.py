"""The registry of verbs: whatever changes something on behalf of a person is listed here, with its permission."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.errors import NotPermitted
from jobs.models import AuditEvent

from .audit import Actor, Subject, record
from .roles import role_words


@dataclass(frozen=True, slots=True)
class Verb:
    """One thing that a person can do.

    Attributes:
        name: stored in the audit trail; never renamed.
        past: completes the sentence "Ana …" on the audit page.
        infinitive: completes the sentence "Ana was refused to …" there.
        permission: `app.codename` that the actor needs besides what the object itself asks for.
        sentence: what a person without it is told.
    """

    name: str
    past: str
    permission: str
    sentence: str
    infinitive: str = ""


START_RUN = Verb(
    "start_run", "ran", "jobs.run_job", "You may not run jobs; ask for the role Operator.", infinitive="run"
)
RETRY_RUN = Verb(
    "retry_run", "retried", "jobs.retry_run", "You may not retry runs; ask for the role Operator.", infinitive="retry"
)
RETRY_UNSAFE = Verb(
    "retry_unsafe",
    "retried against the job's advice",
    "jobs.retry_unsafe",
    "This job says that its runs must never be retried, and you may not do it all the same; ask for a superuser.",
    infinitive="retry against the job's advice",
)
CANCEL_RUN = Verb(
    "cancel_run",
    "cancelled",
    "jobs.cancel_run",
    "You may not cancel runs; ask for the role Operator.",
    infinitive="cancel",
)
FORCE_CANCEL = Verb(
    "force_cancel",
    "ended by force",
    "jobs.force_cancel",
    "You may not end runs by force; ask for a superuser.",
    infinitive="end by force",
)
DECLARE_LOST = Verb("declare_lost", "declared lost", "jobs.cancel_run", CANCEL_RUN.sentence, infinitive="declare lost")
STOP_RETRY = Verb(
    "stop_retry",
    "stopped the rest of the retry of",
    "jobs.cancel_run",
    CANCEL_RUN.sentence,
    infinitive="stop the rest of the retry of",
)
OPEN_FILE = Verb(
    "open_file",
    "opened a file of",
    "jobs.view_run",
    "You may not see runs; ask for the role Viewer.",
    infinitive="open a file of",
)
EXPORT_RUNS = Verb("export_runs", "exported", "jobs.view_run", OPEN_FILE.sentence, infinitive="export")
RESET_ADMIN = Verb(
    "reset_admin",
    "gave a new password to",
    "auth.change_user",
    "You may not change users; ask for a superuser.",
    infinitive="give a new password to",
)
CHANGE_RIGHTS = Verb(
    "change_rights",
    "changed the rights of",
    "auth.change_user",
    "You may not change users; ask for a superuser.",
    infinitive="change the rights of",
)
CHANGE_ROLE = Verb(
    "change_role",
    "changed what is allowed to the role",
    "auth.change_group",
    "You may not change roles; ask for a superuser.",
    infinitive="change what is allowed to the role",
)
#: By a command on the console's host, so that whoever may sign in there may do it.
TEST_ALERT = Verb(
    "test_alert", "sent a test alert to", "jobs.view_run", OPEN_FILE.sentence, infinitive="send a test alert to"
)

SAVE_PRESET = Verb("save_preset", "saved the preset", "jobs.run_job", START_RUN.sentence, infinitive="save a preset of")
DELETE_PRESET = Verb(
    "delete_preset", "deleted the preset", "jobs.run_job", START_RUN.sentence, infinitive="delete a preset of"
)

_BEAT = "django_celery_beat"
_NO_CHANGE = "You may not change schedules; ask for the role Scheduler."
CREATE_SCHEDULE = Verb(
    "create_schedule",
    "made the schedule",
    f"{_BEAT}.add_periodictask",
    "You may not make schedules; ask for the role Scheduler.",
    infinitive="make the schedule",
)
CHANGE_SCHEDULE = Verb(
    "change_schedule",
    "changed the schedule",
    f"{_BEAT}.change_periodictask",
    _NO_CHANGE,
    infinitive="change the schedule",
)
SWITCH_ON = Verb(
    "switch_on",
    "switched on the schedule",
    f"{_BEAT}.change_periodictask",
    _NO_CHANGE,
    infinitive="switch on the schedule",
)
SWITCH_OFF = Verb(
    "switch_off",
    "switched off the schedule",
    f"{_BEAT}.change_periodictask",
    _NO_CHANGE,
    infinitive="switch off the schedule",
)
DELETE_SCHEDULE = Verb(
    "delete_schedule",
    "deleted the schedule",
    f"{_BEAT}.delete_periodictask",
    "You may not delete schedules; ask for a superuser.",
    infinitive="delete the schedule",
)
SCHEDULE_VERBS = (CREATE_SCHEDULE, CHANGE_SCHEDULE, SWITCH_ON, SWITCH_OFF, DELETE_SCHEDULE)

_NO_DECISION = "You may not decide about failures; ask for the role Operator."
_DECIDE = "jobs.change_failuregroup"
SNOOZE_FAILURE = Verb("snooze_failure", "snoozed the failure", _DECIDE, _NO_DECISION, infinitive="snooze the failure")
RESOLVE_FAILURE = Verb(
    "resolve_failure", "resolved the failure", _DECIDE, _NO_DECISION, infinitive="resolve the failure"
)
REOPEN_FAILURE = Verb(
    "reopen_failure", "opened again the failure", _DECIDE, _NO_DECISION, infinitive="open again the failure"
)
NOTE_FAILURE = Verb(
    "note_failure", "wrote about the failure", _DECIDE, _NO_DECISION, infinitive="write about the failure"
)
FAILURE_VERBS = (SNOOZE_FAILURE, RESOLVE_FAILURE, REOPEN_FAILURE, NOTE_FAILURE)

#: Removes nothing but what RETENTION has already given up, so whoever may run its job may do it.
PRUNE = Verb("prune", "pruned", "jobs.run_job", START_RUN.sentence, infinitive="prune")

REREAD_FACTS = Verb(
    "reread_facts",
    "let the recorder read again",
    "jobs.reread_facts",
    "You may not see facts that were set aside; ask for the role Operator.",
    infinitive="let the recorder read again",
)
DISCARD_FACTS = Verb(
    "discard_facts",
    "discarded",
    "jobs.discard_facts",
    "You may not discard facts; ask for the role Operator.",
    infinitive="discard",
)
#: On messages that workers set aside: whoever may settle facts may settle these.
PUT_BACK_MESSAGES = Verb(
    "put_back_messages",
    "put back into its queue",
    REREAD_FACTS.permission,
    "You may not see messages that were set aside; ask for the role Operator.",
    infinitive="put back into its queue",
)
DISCARD_MESSAGES = Verb(
    "discard_messages",
    "discarded",
    DISCARD_FACTS.permission,
    "You may not discard messages; ask for the role Operator.",
    infinitive="discard",
)

#: Noted before anything moves; its event names the verb that follows.
BEGIN_SETTLING = Verb(
    "begin_settling", "began to settle", REREAD_FACTS.permission, REREAD_FACTS.sentence, infinitive="settle"
)

_NO_PURGE = "You may not remove messages; ask for the role Operator."
BEGIN_PURGE = Verb(
    "begin_purge", "began to purge the queue", "jobs.purge_queue", _NO_PURGE, infinitive="purge the queue"
)
PURGE_QUEUE = Verb("purge_queue", "purged the queue", "jobs.purge_queue", _NO_PURGE, infinitive="purge the queue")

_COMMAND = "jobs.control_worker"
_NO_COMMAND = "You may not command workers; ask for the role Operator."
#: Noted before a command is sent; its event names the verb that follows.
BEGIN_COMMAND = Verb("begin_command", "began to command", _COMMAND, _NO_COMMAND, infinitive="command")
GROW_POOL = Verb("grow_pool", "gave more slots to", _COMMAND, _NO_COMMAND, infinitive="give more slots to")
SHRINK_POOL = Verb("shrink_pool", "took slots from", _COMMAND, _NO_COMMAND, infinitive="take slots from")
START_CONSUMING = Verb(
    "start_consuming", "let take from one more queue", _COMMAND, _NO_COMMAND, infinitive="let take from one more queue"
)
STOP_CONSUMING = Verb(
    "stop_consuming", "let take no more from a queue", _COMMAND, _NO_COMMAND, infinitive="let take no more from a queue"
)
SHUT_DOWN = Verb("shut_down", "shut down", _COMMAND, _NO_COMMAND, infinitive="shut down")
WORKER_VERBS = (BEGIN_COMMAND, GROW_POOL, SHRINK_POOL, START_CONSUMING, STOP_CONSUMING, SHUT_DOWN)

VERBS: dict[str, Verb] = {
    verb.name: verb
    for verb in (
        *(START_RUN, RETRY_RUN, RETRY_UNSAFE, CANCEL_RUN, FORCE_CANCEL, DECLARE_LOST, STOP_RETRY),
        *(OPEN_FILE, EXPORT_RUNS, RESET_ADMIN, CHANGE_RIGHTS, CHANGE_ROLE, TEST_ALERT, SAVE_PRESET, DELETE_PRESET),
        *SCHEDULE_VERBS,
        *FAILURE_VERBS,
        PRUNE,
        *(REREAD_FACTS, DISCARD_FACTS, PUT_BACK_MESSAGES, DISCARD_MESSAGES, BEGIN_SETTLING),
        *(BEGIN_PURGE, PURGE_QUEUE),
        *WORKER_VERBS,
    )
}


def done_words(event: AuditEvent) -> str:
    """What the actor did, in the past: completes the sentence "Ana …"; trying out is not the act itself."""
    verb = VERBS.get(event.verb)
    past = verb.past if verb else event.verb.replace("_", " ")
    if verb in (BEGIN_COMMAND, BEGIN_SETTLING) and (begun := VERBS.get(str(event.details.get("command", "")))):
        return f"began to {begun.infinitive}"
    if not event.details.get("dry_run"):
        return past
    return "dry-ran" if event.verb == START_RUN.name else f"{past}, as a dry run,"


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
            if permission == verb.permission:
                raise NotPermitted(verb.sentence)
            raise NotPermitted(f"{subject.label} needs {role_words(permission)}.")
