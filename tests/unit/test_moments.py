"""Due moments: two beats that look a little apart compute the same one."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from celery.schedules import crontab, schedule
from hypothesis import given
from hypothesis import strategies as st

from jobs.schedules.moments import due_moment

ANCHOR = datetime(2026, 11, 1, 12, 0, 30, tzinfo=UTC)


def test_a_calendar_moment_is_the_full_minute_in_utc() -> None:
    now = datetime(2026, 11, 2, 6, 30, 4, 5, tzinfo=ZoneInfo("Europe/Vilnius"))
    assert due_moment(crontab(minute="30", hour="6"), anchor=ANCHOR, now=now) == datetime(
        2026, 11, 2, 4, 30, tzinfo=UTC
    )


@given(st.integers(1, 100_000), st.integers(0, 10**7), st.floats(0, 1))
def test_an_interval_counts_from_its_anchor(every: int, passed: int, fraction: float) -> None:
    spec = schedule(timedelta(seconds=every))
    due = due_moment(spec, anchor=ANCHOR, now=ANCHOR + timedelta(seconds=passed))
    late = due + timedelta(seconds=every * fraction * 0.999)
    assert (due - ANCHOR) % timedelta(seconds=every) == timedelta(0)
    assert due_moment(spec, anchor=ANCHOR, now=late) == due
