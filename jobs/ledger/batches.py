"""Batches: runs that one press of a button has started together, what becomes of them, and stopping the rest.

There is no table of them: the nonces of a batch's runs begin with its name, and the audit trail says who began it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Case, CharField, Count, Max, Q, Value, When
from django.utils import timezone

from jobs.models import AuditEvent, Run
from jobs.states import State

from .audit import Actor, Subject, record
from .cancel import REMOVED_NOTE, SKIPPED_NOTE, How, subject_of
from .slices import begins_with
from .verbs import CANCEL_RUN, RETRY_RUN, STOP_RETRY, require

#: What nothing has been done of yet.
NOT_BEGUN = frozenset({State.WAITING, State.ACCEPTED, State.QUEUED})
#: A batch that has ended is told of for so long.
TOLD_FOR = timedelta(hours=24)
#: So many of the last retries of one group are looked at.
LOOKED_AT = 3
#: Runs that one transaction locks.
PORTION = 100


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch and what has become of its runs, as far as they are kept.

    Attributes:
        name: what `of_batch` and the list of runs ask for.
        to_go: not begun; `at_work` have, and have not ended; `lost` with their worker; `cancelled` by anybody.
        last_start: when the last of those that wait for their time starts; None where none does.
    """

    name: str
    begun_at: datetime
    by: str
    reason: str
    to_go: int
    at_work: int
    done: int
    failed: int
    lost: int
    cancelled: int
    last_start: datetime | None

    @property
    def total(self) -> int:
        return self.to_go + self.at_work + self.done + self.failed + self.lost + self.cancelled

    @property
    def moves(self) -> bool:
        return bool(self.to_go or self.at_work)


def batch_of_retry(batch_id: str) -> str:
    """The name of the batch that the form `batch_id` has started as a retry of many."""
    return f"retry:{batch_id}"


def of_batch(name: str) -> Q:
    """Its runs, in a form that an index serves."""
    return begins_with("nonce", f"{name}:")


def retries_of(subject: Subject, now: datetime) -> tuple[Batch, ...]:
    """The last retries of many runs of `subject`, the newest first: those that move, and those of the last day.

    One statement where there was none, else two.
    """
    done = AuditEvent.objects.filter(object_type=subject.type, object_id=subject.id, verb=RETRY_RUN.name)
    begun: dict[str, AuditEvent] = {}
    # The same form pressed again is the same batch; the older event says when it began.
    for event in done.filter(outcome=AuditEvent.Outcome.DONE).order_by("-id")[: 2 * LOOKED_AT]:
        if (batch_id := event.details.get("batch")) and event.details.get("runs"):
            begun[batch_of_retry(str(batch_id))] = event
    names = list(begun)[:LOOKED_AT]
    if not names:
        return ()
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for row in _by_state(names):
        rows[row["batch"]].append(row)
    found = [_batch(name, begun[name], rows[name]) for name in names]
    return tuple(one for one in found if one.moves or (one.total and now - one.begun_at < TOLD_FOR))


def _by_state(names: Sequence[str]) -> Iterable[Any]:
    whose, runs = [], Q()
    for name in names:
        whose.append(When(of_batch(name), then=Value(name)))
        runs |= of_batch(name)
    labelled = Run.objects.filter(runs).order_by().annotate(batch=Case(*whose, output_field=CharField()))
    return labelled.values("batch", "state").annotate(count=Count("pk"), last=Max("not_before"))


def _batch(name: str, event: AuditEvent, rows: Sequence[dict[str, Any]]) -> Batch:
    counts = {State(row["state"]): int(row["count"]) for row in rows}
    return Batch(
        name=name,
        begun_at=event.at,
        by=event.actor_label,
        reason=event.reason,
        to_go=sum(counts.get(state, 0) for state in NOT_BEGUN),
        at_work=counts.get(State.RUNNING, 0) + counts.get(State.RETRYING, 0),
        done=counts.get(State.SUCCEEDED, 0),
        failed=counts.get(State.FAILED, 0),
        lost=counts.get(State.LOST, 0) + counts.get(State.EXPIRED, 0),
        cancelled=counts.get(State.CANCELLED, 0),
        last_start=max((row["last"] for row in rows if row["state"] == State.WAITING and row["last"]), default=None),
    )


def stop_rest(name: str, *, actor: Actor, subject: Subject, reason: str = "") -> int:
    """Cancel the runs of a batch that have not begun; how many were. What runs or has ended is left alone.

    Args:
        subject: what the batch was a retry of, for the audit trail; each run has an event of its own, too.

    Raises:
        NotPermitted: nothing was cancelled; the refusal is in the audit trail.
    """
    require(STOP_RETRY, actor, subject)
    stopped, after = 0, 0
    while True:
        with transaction.atomic():
            waiting = Run.objects.filter(of_batch(name), state__in=NOT_BEGUN, pk__gt=after).order_by("pk")
            told = waiting.only("pk", "task_id", "task_name", "state", "publish_count")
            portion = list(told.select_for_update()[:PORTION])
            if portion:
                stopped += _stop(portion, actor, subject, reason)
                after = portion[-1].pk
        if len(portion) < PORTION:
            break
    record(STOP_RETRY.name, actor, subject, reason=reason, details={"runs": stopped, "batch": name})
    return stopped


def _stop(runs: Sequence[Run], actor: Actor, subject: Subject, reason: str) -> int:
    """The caller holds their rows: none of them begins meanwhile."""
    now = timezone.now()
    hows = {run.pk: How.SKIPPED if run.publish_count else How.REMOVED for run in runs}
    for how, note in ((How.REMOVED, REMOVED_NOTE), (How.SKIPPED, SKIPPED_NOTE)):
        keys = [pk for pk, done in hows.items() if done is how]
        if keys:
            Run.objects.filter(pk__in=keys).update(
                state=State.CANCELLED, provisional=False, state_note=note, finished_at=now, publish_after=None,
                cancel_requested_at=now,
            )  # fmt: skip
    AuditEvent.objects.bulk_create(
        AuditEvent(
            actor_id=actor.id,
            actor_label=actor.label,
            via=actor.via,
            ip=actor.ip,
            verb=CANCEL_RUN.name,
            object_type=(one := subject_of(run)).type,
            object_id=one.id,
            object_label=one.label[:255],
            reason=reason,
            details={"how": hows[run.pk].value, "was": run.state, "because_of": subject.label},
            part=True,
        )
        for run in runs
    )
    return len(runs)
