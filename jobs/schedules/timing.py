"""What beat asks of one schedule: whether it is due. The moments are those that a page foretells."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from celery.schedules import BaseSchedule, schedstate
from django.utils import timezone

from .moments import Plan
from .spec import Calendar

#: Celery takes no None for "never".
NEVER = 100_000_000.0


class Timing(BaseSchedule):
    """Celery's kind of schedule object around a Plan."""

    def __init__(self, plan: Plan, app: Any = None, nowfun: Callable[[], datetime] | None = None) -> None:
        self.plan, self._clock = plan, nowfun
        super().__init__(app=app)

    def now(self) -> datetime:
        return self._clock() if self._clock else timezone.now()

    def is_due(self, last_run_at: datetime) -> Any:
        """Whether a moment after `last_run_at` has come, and in how many seconds to ask again.

        A moment of a calendar that was missed by more than the starting deadline stays missed: it must not fire at a
        wrong hour. A missed interval or single moment fires once, when beat is back.
        """
        now = self.now()
        upcoming = self.plan.next_after(last_run_at)
        if upcoming is None:
            return schedstate(False, NEVER)
        if upcoming > now:
            return schedstate(False, (upcoming - now).total_seconds())
        following = self.plan.next_after(now)
        wait = (following - now).total_seconds() if following else NEVER
        return schedstate(self.due(last_run_at, now) is not None, wait)

    def remaining_estimate(self, last_run_at: datetime) -> timedelta:
        upcoming = self.plan.next_after(last_run_at)
        return upcoming - self.now() if upcoming else timedelta(seconds=NEVER)

    def due(self, last_run_at: datetime, now: datetime, grace: timedelta = timedelta(0)) -> datetime | None:
        """The moment that is due now: the latest that has come, whatever the clock of the beat that asks."""
        since = last_run_at
        deadline = self.app.conf.beat_cron_starting_deadline
        if isinstance(self.plan.spec, Calendar) and deadline is not None:
            since = max(since, now - timedelta(seconds=deadline, microseconds=1) - grace)
        return self.plan.latest(now, since=since)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Timing) and self.plan == other.plan

    def __hash__(self) -> int:
        return hash((self.plan.anchor, self.plan.start, self.plan.until))

    def __repr__(self) -> str:
        return f"<Timing {self.plan.spec}>"
