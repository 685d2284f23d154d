"""The verb *retry*: a new run of one that ended without success. The old one is never changed, not even marked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from jobs.catalog.registry import Job, RetrySafety, find_job, job_title
from jobs.catalog.routing import exists
from jobs.catalog.secrecy import CALLS_OF_MANY, called_within
from jobs.errors import FormReused, InvalidArguments, JobsError, UnknownJob
from jobs.models import AuditEvent, Run
from jobs.pipeline.arguments import decode
from jobs.pipeline.canvas import NOT_STARTED
from jobs.states import ACTIVE, RETRYABLE, Source, State

from .audit import Actor, Subject, record
from .since import since
from .start import Prepared, Started, Wish, details_of, keep, prepare, why_not_startable
from .summary import summarise
from .verbs import RETRY_RUN, RETRY_UNSAFE, START_RUN, require


class RetryRefused(JobsError):
    """The run cannot be retried now; the text says why and what to do.

    Attributes:
        by: the id of the retry that is under way, where that is the reason.
    """

    def __init__(self, sentence: str, by: str = "") -> None:
        self.by = by
        super().__init__(f"Nothing was started: {sentence}")


def retry_run(
    run: Run,
    *,
    actor: Actor,
    wish: Wish | None = None,
    arguments: Mapping[str, Any] | None = None,
    confirmed: str = "",
    seen: str | None = None,
) -> Started:
    """Accept a new run with `retry_of`, and write the audit event, in one transaction.

    Args:
        run: what is retried; its row is locked and read again.
        wish: reason, nonce, time, queue and priority; what it leaves open is as it was.
        arguments: edited ones, by parameter name; None: exactly the old ones, value and type.
        confirmed: what the person typed; a job that says `never` wants its title, and a reason.
        seen: the id of the newest retry with success that the person was shown, "" for none; a newer one refuses, so
            that nobody does a work again that was done while the page stood open. None: whatever has succeeded.

    Raises:
        NotPermitted, RetryRefused: nothing was started; the refusal is in the audit trail.
        InvalidArguments: edited arguments do not fit, a sentence for each field.
        FormReused: the nonce already started something else.
    """
    wish = wish or Wish()
    try:
        job = find_job(run.task_name)
    except UnknownJob:
        refusal = RetryRefused(why_no_job(run.task_name, run.arguments))
        raise _refused(subject_of(run, run.task_name), actor, wish, refusal) from None
    subject = subject_of(run, job.title)
    require(RETRY_RUN, actor, subject, START_RUN.permission, job.permission)
    if job.retry is RetrySafety.NEVER:
        require(RETRY_UNSAFE, actor, subject)
    try:
        return _retry(run, job, subject, actor, wish, arguments, confirmed, seen)
    except RetryRefused as refusal:
        raise _refused(subject, actor, wish, refusal) from None


def subject_of(run: Run, title: str) -> Subject:
    """How the audit trail names a run."""
    return Subject("run", run.task_id, f"{title} {run.short_id}")


def why_not(run: Run, job: Job | None) -> str:
    """Why this run cannot be retried as it was, whoever asks and whatever else is under way; "" when it can."""
    if State(run.state) in ACTIVE:
        return f"run {run.short_id} has not finished; it is {run.state}."
    if State(run.state) not in RETRYABLE:
        return f"run {run.short_id} has succeeded. To do its work once more, use Run like this."
    if job is None:
        return why_no_job(run.task_name, run.arguments)
    if refusal := why_not_startable(job):
        return refusal
    if not run.arguments_exact and run.state_note in NOT_STARTED:
        return (
            f"run {run.short_id} never started and was to get the result of what ran before it, which failed. Retry "
            f"that one, run {run.parent_id[:8]}; then start {job.title} with its form."
        )
    if not run.arguments_exact:
        return (
            f"the arguments of run {run.short_id} could not be kept exactly when it was published. Start the job with "
            "its form."
        )
    if labels := secrets_of(run, job):
        return f"a secret is never kept for this. Press Edit first and type it again: {', '.join(labels)}."
    return ""


def why_no_job(task_name: str, arguments: str = "") -> str:
    """Why the catalogue has no job for a task, and what to do instead.

    Args:
        arguments: the run's, which name the task that one of Celery's own calls.
    """
    if not task_name:
        return "which task it was to run is not known: only its end was told."
    if not task_name.startswith("celery."):
        return f"no job is called {task_name} any more. It may have been renamed or removed since."
    if task_name not in CALLS_OF_MANY:
        return f"{task_name} is a task of Celery's own, which holds a canvas together. Retry the run that failed in it."
    inner, times = _called(task_name, arguments)
    words = f"{inner} once for each set of arguments ({times:,})" if inner else "another task many times"
    return (
        f"{task_name} is a task of Celery's own: in one run it calls {words}, and some of them may be done. Start "
        f"{inner or 'that task'} with its form for those that are missing, or have the code that sent it send it again."
    )


def _called(task_name: str, arguments: str) -> tuple[str, int]:
    """The title of the task that a map, starmap or chunk calls, and how many times; "" where that cannot be read."""
    try:
        within = called_within(task_name, *decode(arguments))
    except InvalidArguments:
        within = None
    return (job_title(within[0]), len(within[1])) if within is not None and within[0] else ("", 0)


def secrets_of(run: Run, job: Job) -> tuple[str, ...]:
    """Labels of the secrets that the run was given, and that must be typed again."""
    if job.parameters is None or not job.parameters.secrets:
        return ()
    try:
        values = job.parameters.bind(*decode(run.arguments))
    except InvalidArguments:
        return ()
    return tuple(field.label for field in job.parameters.fields if field.name in job.parameters.secrets
                 and values.get(field.name) is not None)  # fmt: skip


def live_retry(run: Run) -> Run | None:
    """The retry of `run` that has not finished; there is at most one."""
    return Run.objects.filter(retry_of=run, state__in=ACTIVE).defer("arguments").first()


def healing_retry(run: Run) -> Run | None:
    """The newest retry of `run` that succeeded."""
    retries = Run.objects.filter(retry_of=run, state=State.SUCCEEDED).defer("arguments")
    return retries.order_by("-accepted_at", "-id").first()


def _retry(
    run: Run,
    job: Job,
    subject: Subject,
    actor: Actor,
    wish: Wish,
    arguments: Mapping[str, Any] | None,
    confirmed: str,
    seen: str | None,
) -> Started:
    if (earlier := _same_form(run, actor, wish)) is not None:
        return Started(earlier, created=False)
    try:
        with transaction.atomic():
            locked = Run.objects.select_for_update().filter(pk=run.pk).first()
            if locked is None:
                raise RetryRefused("this run is not kept any more.")
            _check(locked, job, wish, confirmed, edited=arguments is not None)
            if seen is not None and (healed := healing_retry(locked)) is not None and healed.task_id != seen:
                raise _succeeded(healed)
            prepared = prepare_retry(locked, job, actor, wish, arguments)
            keep([prepared])
            details = details_of(job, prepared.run, wish) | {"retry": prepared.run.task_id}
            if arguments is not None:
                details["edited"] = True
            record(RETRY_RUN.name, actor, subject, reason=wish.reason, details=details)
    except IntegrityError:
        # The row was locked, so whoever was first holds the nonce, or wrote past the lock: the constraint stands.
        if (earlier := _same_form(run, actor, wish)) is not None:
            return Started(earlier, created=False)
        live = live_retry(run)
        if live is None:
            raise
        raise _already(live) from None
    prepared.run.refresh_from_db()
    return Started(prepared.run, created=True)


def _same_form(run: Run, actor: Actor, wish: Wish) -> Run | None:
    """The retry that this very form has already started."""
    earlier = Run.objects.filter(nonce=wish.nonce).first() if wish.nonce else None
    if earlier is not None and (earlier.retry_of_id, earlier.actor_id) != (run.pk, actor.id):
        raise FormReused(earlier.task_id)
    return earlier


def _check(run: Run, job: Job, wish: Wish, confirmed: str, *, edited: bool) -> None:
    reason = why_not(run, job)
    # Who edits types the secrets again, and what could not be kept.
    if reason and not (edited and State(run.state) in RETRYABLE):
        raise RetryRefused(reason)
    if (live := live_retry(run)) is not None:
        raise _already(live)
    if job.retry is RetrySafety.NEVER:
        if not wish.reason:
            raise RetryRefused("this job says that its runs must never be retried. Give the reason why it is right.")
        if confirmed != job.title:
            raise RetryRefused(f"this job says that its runs must never be retried. Type {job.title} to confirm.")


def prepare_retry(
    run: Run, job: Job, actor: Actor, wish: Wish, arguments: Mapping[str, Any] | None
) -> Prepared:  # fmt: skip
    """The new run, checked and not yet kept; raises RetryRefused, or InvalidArguments for edited arguments."""
    if arguments is not None:
        prepared = prepare(job, arguments, actor, Source.RETRY, wish)
        prepared.run.based_on = run.task_id
    else:
        # Its old queue may be gone; then it goes where a new one would.
        queue = wish.queue or (run.queue if exists(run.queue) else "")
        priority = run.priority if wish.priority is None else wish.priority
        prepared = _as_it_was(run, job, actor, replace(wish, queue=queue, priority=priority))
    prepared.run.retry_of, prepared.run.nonce = run, wish.nonce
    prepared.run.delivery = run.delivery
    if wish.expires_at is None and (within := expires_within(run)) is not None:
        prepared.run.expires_at = (wish.not_before or timezone.now()) + within
    return prepared


def expires_within(run: Run) -> timedelta | None:
    """How long after it was asked for it could still begin; a retry gets as long anew. None: it does not expire."""
    if run.expires_at is None or run.expires_at <= run.accepted_at:
        return None
    waited = run.not_before is not None and run.not_before < run.expires_at
    return run.expires_at - (run.not_before if waited and run.not_before else run.accepted_at)


def _as_it_was(run: Run, job: Job, actor: Actor, wish: Wish) -> Prepared:
    """The very text of the arguments; that it still fits is checked here, so that the worker need not refuse it."""
    try:
        args, kwargs = decode(run.arguments)
        values = job.parameters.bind(args, kwargs) if job.parameters else kwargs
        prepared = prepare(job, values, actor, Source.RETRY, wish, args)
    except InvalidArguments as error:
        told = " ".join(f"{name}: {sentence}" if name else sentence for name, sentence in error.fields.items())
        raise RetryRefused(f"its values do not fit the job any more. {told} Press Edit first.") from None
    prepared.run.arguments = run.arguments
    prepared.run.summary = summarise(run.arguments, job.name, dry_run=job.dry_run)
    return prepared


def _already(live: Run) -> RetryRefused:
    who = live.actor_label or "somebody"
    sentence = f"already retried by {who} {since(live.accepted_at)}: run {live.short_id}, which is {live.state}."
    return RetryRefused(sentence, by=live.task_id)


def _succeeded(healed: Run) -> RetryRefused:
    who = healed.actor_label or "somebody"
    sentence = (
        f"it was retried by {who} meanwhile: run {healed.short_id}, which succeeded. Its work is done; press again "
        "only if it must be done once more."
    )
    return RetryRefused(sentence, by=healed.task_id)


def _refused(subject: Subject, actor: Actor, wish: Wish, refusal: RetryRefused) -> RetryRefused:
    """Note the refusal in the audit trail, in a transaction of its own."""
    details = {"refused": str(refusal)} | ({"by": refusal.by} if refusal.by else {})
    record(RETRY_RUN.name, actor, subject, reason=wish.reason, outcome=AuditEvent.Outcome.DENIED, details=details)
    return refusal
