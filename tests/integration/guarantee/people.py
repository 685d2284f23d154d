"""People and schedules: they start, retry and cancel by the console's own verbs; each act goes into the books."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from django.db import DatabaseError, transaction

from jobs.catalog.registry import find_job
from jobs.errors import NotPermitted
from jobs.ledger.audit import Actor
from jobs.ledger.cancel import CancelRefused, How, cancel_run
from jobs.ledger.retry import RetryRefused, retry_run
from jobs.ledger.start import Moment, Started, Wish, start_run
from jobs.models import AuditEvent, Run
from jobs.states import RETRYABLE, Source, State

from .model import ARGUMENTS, ONCE, Accepted, Books

#: The reason that makes the audit row impossible: a trigger refuses it, as a full disk would.
NO_ROOM = "no room for this"
DONE, DENIED = AuditEvent.Outcome.DONE, AuditEvent.Outcome.DENIED


class People:
    """Olga, who may, Vito, who may not, and a schedule."""

    def __init__(self, books: Books, olga: Actor, vito: Actor) -> None:
        self._books = books
        self._olga = olga
        self._vito = vito

    def submit(self, job: str) -> None:
        wish = Wish(nonce=f"form-{len(self._books.forms)}")
        self._accept(
            partial(start_run, find_job(job), ARGUMENTS[job], actor=self._olga, source=Source.CONSOLE, wish=wish)
        )
        self._books.audited[DONE] += 1

    def fire(self, job: str) -> None:
        """A schedule is due; what it starts is no act of a person."""
        due = datetime(2026, 11, 22, tzinfo=UTC) + timedelta(minutes=len(self._books.forms))
        by, moment = Actor("nightly", "schedule"), Moment(7, "nightly", due)
        self._accept(partial(start_run, find_job(job), ARGUMENTS[job], actor=by, source=Source.SCHEDULE, moment=moment))

    def send_again(self, which: int) -> None:
        """The same form once more, or a second beat at the same moment: the same run, and no second audit row."""
        started = self._books.forms[which % len(self._books.forms)]()
        assert not started.created
        assert started.run.task_id in self._books.accepted

    def submit_without_right(self) -> None:
        with pytest.raises(NotPermitted):
            start_run(find_job(ONCE), ARGUMENTS[ONCE], actor=self._vito)
        self._books.audited[DENIED] += 1

    def submit_while_the_audit_trail_takes_no_row(self) -> None:
        before = Run.objects.count()
        with pytest.raises(DatabaseError), transaction.atomic():
            start_run(find_job(ONCE), ARGUMENTS[ONCE], actor=self._olga, wish=Wish(reason=NO_ROOM))
        assert Run.objects.count() == before, "no act without its audit row"

    def retry(self, one: Accepted) -> None:
        """A new run of one that ended without success and has no retry under way; else a sentence that says why."""
        run = Run.objects.get(task_id=one.task_id)
        wish = Wish(nonce=f"retry-{len(self._books.forms)}")
        live = self._books.live_retry(one.task_id)
        if one.state not in RETRYABLE or live is not None:
            with pytest.raises(RetryRefused) as refused:
                retry_run(run, actor=self._olga, wish=wish)
            assert refused.value.by == (live.task_id if live and one.state in RETRYABLE else "")
            self._books.audited[DENIED] += 1
            return
        made = self._accept(partial(retry_run, run, actor=self._olga, wish=wish), retry_of=one.task_id)
        assert made.job == one.job
        self._books.audited[DONE] += 1

    def retry_and_press_twice(self, one: Accepted) -> None:
        self.retry(one)
        self.send_again(-1)

    def cancel(self, one: Accepted) -> None:
        """What it says it did is what it did: only what runs is still to end by itself."""
        run = Run.objects.get(task_id=one.task_id)
        if one.ended or one.cancelled:
            with pytest.raises(CancelRefused):
                cancel_run(run, actor=self._olga)
            self._books.audited[DENIED] += 1
            return
        one.cancelled = cancel_run(run, actor=self._olga).how
        assert (one.cancelled is How.ASKED) == (one.state is State.RUNNING)
        assert (one.cancelled is How.REMOVED) == (one.state is not State.RUNNING and not run.publish_count)
        self._books.audited[DONE] += 1

    def _accept(self, send: Callable[[], Started], retry_of: str = "") -> Accepted:
        started = send()
        assert started.created
        run = started.run
        made = Accepted(run.task_id, run.task_name, run.retry_of.task_id if run.retry_of else "")
        assert made.retry_of == retry_of
        self._books.accepted[made.task_id] = made
        self._books.forms.append(send)
        return made
