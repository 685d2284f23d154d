"""Due moments: two beats that look a little apart decide the same one."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from jobs.schedules.moments import Plan
from jobs.schedules.spec import Calendar, Every, Once, Unit
from jobs.schedules.timing import Timing

ANCHOR = datetime(2026, 11, 1, 12, 0, 30, tzinfo=UTC)
LONG_AGO = ANCHOR - timedelta(days=1)


@given(st.integers(0, 599_999))
def test_a_calendar_moment_is_the_full_minute_however_late_beat_is(milliseconds: int) -> None:
    plan = Plan(Calendar("30", "6", zone="Europe/Vilnius"), ANCHOR)
    due = datetime(2026, 11, 2, 4, 30, tzinfo=UTC)
    assert Timing(plan).due(LONG_AGO, due + timedelta(milliseconds=milliseconds)) == due


@given(st.integers(1, 100_000), st.integers(0, 10**7), st.floats(0, 1))
def test_an_interval_counts_from_its_anchor(count: int, passed: int, fraction: float) -> None:
    every = Every(count, Unit.SECONDS)
    plan, now = Plan(every, ANCHOR, start=ANCHOR), ANCHOR + timedelta(seconds=passed)
    due = plan.latest(now, since=LONG_AGO)
    assert due is not None and (due - ANCHOR) % every.length == timedelta(0) and due <= now < due + every.length
    assert plan.latest(due + every.length * fraction * 0.999, since=LONG_AGO) == due
    assert plan.next_after(now) == due + every.length


def test_nothing_is_due_before_the_anchor() -> None:
    plan = Plan(Every(5, Unit.MINUTES), ANCHOR, start=ANCHOR)
    assert plan.latest(ANCHOR - timedelta(seconds=1), since=LONG_AGO) is None
    assert plan.next_after(LONG_AGO) == ANCHOR


def test_a_single_moment_is_itself_however_late_beat_is() -> None:
    assert Timing(Plan(Once(ANCHOR), ANCHOR)).due(LONG_AGO, ANCHOR + timedelta(days=2)) == ANCHOR
