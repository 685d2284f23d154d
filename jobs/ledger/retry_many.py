"""Retrying many runs in one act: each is checked, locked and claimed as a single one is, a portion at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from django.db import IntegrityError, transaction

from jobs.catalog.registry import Job, RetrySafety
from jobs.errors import JobsError
from jobs.models import AuditEvent, Run
from jobs.states import ACTIVE, RETRYABLE, State

from .audit import Actor, Subject, record
from .retry import RetryRefused, prepare_retry, retry_run, secrets_of, subject_of
from .start import Wish, details_of, keep
from .verbs import RETRY_RUN, START_RUN, require

#: Runs that one transaction locks: others wait for it no longer than for a batch of facts.
PORTION = 100

NOT_ENDED = "not ended with a failure any more"
NOT_EXACT = "its arguments were not kept whole"
SECRET = "a secret of it must be typed again"  # noqa: S105 - a sentence
UNFIT = "its values do not fit the job any more"
NEVER = "the job says that it must not be retried"
RETRIED = "being retried already"
PRUNED = "pruned since"


@dataclass(slots=True)
class RetriedMany:
    """What came of it.

    Attributes:
        started: new runs; `earlier` were started by this same form before.
        left_out: how many were not retried, by the reason in words.
    """

    started: int = 0
    earlier: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


def retry_many(
    runs: Sequence[Run], job: Job, *, actor: Actor, wish: Wish, subject: Subject, batch_id: str
) -> RetriedMany:
    """Retry runs of one job as they were; what cannot be is left out and counted.

    Args:
        wish: reason and time, for all of them; queue and priority stay each run's own.
        subject: what the act is on, for the audit trail; each run has an event of its own, too.
        batch_id: one per form shown. The same one again goes on where it was interrupted, and retries nothing twice.

    Raises:
        NotPermitted: nothing was started.
    """
    require(RETRY_RUN, actor, subject, START_RUN.permission, job.permission)
    done = RetriedMany()
    for at in range(0, len(runs), PORTION):
        portion = runs[at : at + PORTION]
        try:
            _add(done, _retry_portion(portion, job, actor, wish, batch_id))
        except IntegrityError:
            # Somebody started one of them past our locks: the others must not suffer for it.
            _add(done, _one_by_one(portion, job, actor, wish, batch_id))
    if done.started or not done.earlier:
        details = {"runs": done.started, "left_out": dict(done.left_out), "batch": batch_id}
        record(RETRY_RUN.name, actor, subject, reason=wish.reason, details=details)
    return done


def left_out(run: Run, job: Job) -> str:
    """Why this run is not retried as it was; "" when it can be, as far as its own row tells."""
    if State(run.state) not in RETRYABLE:
        return NOT_ENDED
    if job.retry is RetrySafety.NEVER:
        return NEVER
    if not run.arguments_exact:
        return NOT_EXACT
    return SECRET if secrets_of(run, job) else ""


def _retry_portion(runs: Sequence[Run], job: Job, actor: Actor, wish: Wish, batch_id: str) -> RetriedMany:
    done, prepared, events = RetriedMany(), [], []
    keys = [run.pk for run in runs]
    with transaction.atomic():
        locked = {run.pk: run for run in Run.objects.select_for_update().filter(pk__in=keys).order_by("pk")}
        nonces = Run.objects.filter(nonce__in=[_nonce(batch_id, key) for key in keys])
        earlier = set(nonces.values_list("retry_of_id", flat=True))
        live = set(Run.objects.filter(retry_of__in=keys, state__in=ACTIVE).values_list("retry_of_id", flat=True))
        for key in keys:
            run = locked.get(key)
            if key in earlier:
                done.earlier += 1
                continue
            reason = PRUNED if run is None else RETRIED if key in live else left_out(run, job)
            if run is None or reason:
                done.left_out[reason] += 1
                continue
            own = replace(wish, nonce=_nonce(batch_id, key))
            try:
                one = prepare_retry(run, job, actor, own, None)
            except RetryRefused:
                done.left_out[UNFIT] += 1
                continue
            prepared.append(one)
            events.append(_event(run, job, one.run, actor, own, batch_id))
        if prepared:
            keep(prepared)
            AuditEvent.objects.bulk_create(events)
    done.started = len(prepared)
    return done


def _one_by_one(runs: Sequence[Run], job: Job, actor: Actor, wish: Wish, batch_id: str) -> RetriedMany:
    done = RetriedMany()
    for run in runs:
        if reason := left_out(run, job):
            done.left_out[reason] += 1
            continue
        try:
            started = retry_run(run, actor=actor, wish=replace(wish, nonce=_nonce(batch_id, run.pk)))
        except JobsError:
            done.left_out[RETRIED] += 1
        else:
            done.started += started.created
            done.earlier += not started.created
    return done


def _add(done: RetriedMany, more: RetriedMany) -> None:
    done.started += more.started
    done.earlier += more.earlier
    done.left_out += more.left_out


def _nonce(batch_id: str, key: int) -> str:
    return f"retry:{batch_id}:{key}"


def _event(run: Run, job: Job, again: Run, actor: Actor, wish: Wish, batch_id: str) -> AuditEvent:
    subject = subject_of(run, job.title)
    return AuditEvent(
        actor_id=actor.id,
        actor_label=actor.label,
        via=actor.via,
        ip=actor.ip,
        verb=RETRY_RUN.name,
        object_type=subject.type,
        object_id=subject.id,
        object_label=subject.label[:255],
        reason=wish.reason,
        details=details_of(job, again, wish) | {"retry": again.task_id, "batch": batch_id},
    )
