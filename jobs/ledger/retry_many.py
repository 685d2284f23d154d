"""Retrying many runs in one act: each is checked, locked and claimed as a single one is, a portion at a time."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from django.db import DatabaseError, OperationalError, transaction
from django.db.models import Max
from django.utils import timezone

from jobs.catalog.registry import Job, RetrySafety
from jobs.errors import JobsError
from jobs.models import AuditEvent, Run
from jobs.states import ACTIVE, RETRYABLE, State

from .audit import Actor, Subject, record
from .batches import batch_of_retry, of_batch
from .retry import RetryRefused, prepare_retry, retry_run, secrets_of, subject_of
from .start import Wish, details_of, keep
from .verbs import RETRY_RUN, START_RUN, require

logger = logging.getLogger(__name__)

#: Runs that one transaction locks: others wait for it no longer than for a batch of facts.
PORTION = 100
#: How many are started a minute, where not all at once.
PACES = (10, 60, 600)
#: More than so many at once would meet whatever they failed at all in the same moment.
MOST_AT_ONCE, PACE_OF_MORE = 100, 60

NOT_ENDED = "not ended with a failure any more"
NOT_EXACT = "its arguments were not kept whole"
SECRET = "a secret of it must be typed again"  # noqa: S105 - a sentence
UNFIT = "its values do not fit the job any more"
NEVER = "the job says that it must not be retried"
RETRIED = "being retried already"
PRUNED = "pruned since"
#: Whatever else one of them meets; the others go on.
STUMBLED = "it could not be started ({})"
#: So many of those that are left out for one reason are named.
NAMED = 5


def usual_pace(count: int) -> int:
    """How many a minute, where nobody says otherwise; 0: all at once."""
    return 0 if count <= MOST_AT_ONCE else PACE_OF_MORE


def last_start(count: int, pace: int, begin: datetime) -> datetime:
    """When the last of `count` starts at `pace` a minute, 0: all at once, if the first one does at `begin`."""
    return begin + timedelta(minutes=max(count - 1, 0) / pace) if pace else begin


class _Pace:
    """When the next one starts. The same form sent again goes on behind what it has accepted before."""

    def __init__(self, pace: int, batch: str) -> None:
        self._step = timedelta(minutes=1 / pace) if pace else None
        self._next = timezone.now()
        latest = Run.objects.filter(of_batch(batch)).aggregate(last=Max("not_before"))["last"] if pace else None
        if latest is not None and self._step is not None:
            self._next = max(self._next, latest + self._step)

    def next(self) -> datetime | None:
        """None: at once."""
        if self._step is None:
            return None
        at, self._next = self._next, self._next + self._step
        return at


@dataclass(slots=True)
class RetriedMany:
    """What came of it.

    Attributes:
        started: new runs; `earlier` were started by this same form before.
        left_out: how many were not retried, by the reason in words.
        named: the short ids of the first of them, by the same reasons.
    """

    started: int = 0
    earlier: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    named: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def leave_out(self, run: Run, reason: str) -> None:
        """Count and name it."""
        self.left_out[reason] += 1
        if len(self.named[reason]) < NAMED:
            self.named[reason].append(run.short_id)


def retry_many(
    runs: Sequence[Run], job: Job, *, actor: Actor, wish: Wish, subject: Subject, batch_id: str, pace: int = 0
) -> RetriedMany:
    """Retry runs of one job as they were; what cannot be is left out and counted.

    Args:
        wish: the reason, for all of them; queue and priority stay each run's own.
        subject: what the act is on, for the audit trail; each run has an event of its own, too.
        batch_id: one per form shown. The same one again goes on where it was interrupted, and retries nothing twice.
        pace: how many start a minute, by waiting in the database until their time; 0: all at once.

    Raises:
        NotPermitted: nothing was started.
    """
    require(RETRY_RUN, actor, subject, START_RUN.permission, job.permission)
    done, starts = RetriedMany(), _Pace(pace, batch_of_retry(batch_id))
    for at in range(0, len(runs), PORTION):
        portion = runs[at : at + PORTION]
        try:
            _add(done, _retry_portion(portion, job, actor, wish, batch_id, starts))
        except OperationalError:  # the database is away: nothing of the rest can be started either
            raise
        except Exception:  # one of them slipped past our locks, or is odd: the others must not suffer for it
            logger.info("A portion of %s runs is retried one by one", len(portion), exc_info=True)
            _add(done, _one_by_one(portion, job, actor, wish, batch_id, starts))
    if done.started or not done.earlier:
        details = {
            "runs": done.started,
            "left_out": dict(done.left_out),
            "named": dict(done.named),
            "batch": batch_id,
            "pace": pace,
        }
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


def _retry_portion(
    runs: Sequence[Run], job: Job, actor: Actor, wish: Wish, batch_id: str, starts: _Pace
) -> RetriedMany:
    done, prepared, events = RetriedMany(), [], []
    given = {run.pk: run for run in runs}
    keys = list(given)
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
                done.leave_out(run or given[key], reason)
                continue
            own = replace(wish, nonce=_nonce(batch_id, key), not_before=starts.next())
            try:
                one = prepare_retry(run, job, actor, own, None)
            except RetryRefused:
                done.leave_out(run, UNFIT)
                continue
            except DatabaseError:
                raise
            except Exception as error:
                logger.exception("Run %s could not be retried", run.task_id)
                done.leave_out(run, STUMBLED.format(type(error).__name__))
                continue
            prepared.append(one)
            events.append(_event(run, job, one.run, actor, own, batch_id))
        if prepared:
            keep(prepared)
            AuditEvent.objects.bulk_create(events)
    done.started = len(prepared)
    return done


def _one_by_one(runs: Sequence[Run], job: Job, actor: Actor, wish: Wish, batch_id: str, starts: _Pace) -> RetriedMany:
    done = RetriedMany()
    for run in runs:
        try:
            if reason := left_out(run, job):
                done.leave_out(run, reason)
                continue
            own = replace(wish, nonce=_nonce(batch_id, run.pk), not_before=starts.next())
            started = retry_run(run, actor=actor, wish=own)
        except RetryRefused as error:
            done.leave_out(run, RETRIED if error.by else UNFIT)
        except JobsError:
            done.leave_out(run, UNFIT)
        except OperationalError:
            raise
        except Exception as error:
            logger.exception("Run %s could not be retried", run.task_id)
            done.leave_out(run, STUMBLED.format(type(error).__name__))
        else:
            done.started += started.created
            done.earlier += not started.created
    return done


def _add(done: RetriedMany, more: RetriedMany) -> None:
    done.started += more.started
    done.earlier += more.earlier
    done.left_out += more.left_out
    for reason, names in more.named.items():
        done.named[reason] = [*done.named[reason], *names][:NAMED]


def _nonce(batch_id: str, key: int) -> str:
    return f"{batch_of_retry(batch_id)}:{key}"


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
        part=True,
    )
