"""The moments that a page foretells are those at which beat fires, and on ordinary days those of Celery itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from celery.utils.time import ffwd
from django_celery_beat.tzcrontab import TzAwareCrontab
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.schedules.moments import Plan, Twist
from jobs.schedules.preview import preview
from jobs.schedules.spec import (
    Calendar,
    Every,
    InvalidSchedule,
    Once,
    Unit,
    calendar_of,
    every_of,
    once_at,
)
from jobs.schedules.timing import Timing

#: With and without daylight saving, half hours, changes of 30 minutes, at midnight, south of the equator.
ZONES = (
    "UTC",
    "Europe/Vilnius",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
    "Africa/Cairo",
    "America/Santiago",
    "Asia/Beirut",
    "Atlantic/Azores",
    "Pacific/Chatham",
)
MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2029, 12, 31), timezones=st.just(UTC))


def numbers(low: int, high: int) -> st.SearchStrategy[str]:
    """A cron field: all, a few, a range, a step."""
    some = st.sets(st.integers(low, high), min_size=1, max_size=3).map(lambda found: ",".join(map(str, sorted(found))))
    span = st.tuples(st.integers(low, high), st.integers(low, high)).map(lambda two: f"{min(two)}-{max(two)}")
    step = st.integers(1, (high - low + 1) // 2).map(lambda n: f"*/{n}")
    return st.one_of(st.just("*"), some, span, step)


CALENDARS = st.tuples(
    numbers(0, 59), numbers(0, 23), st.one_of(st.just("*"), numbers(1, 28)), st.one_of(st.just("*"), numbers(1, 12)),
    st.one_of(st.just("*"), numbers(0, 6)), st.sampled_from(ZONES),
).map(lambda parts: calendar_of(" ".join(parts[:5]), parts[5]))  # fmt: skip


def oracle(calendar: Calendar, after: datetime, days: int) -> list[datetime]:
    """By looking at each minute, one by one, at what the clock on the wall shows."""
    cron, tz = calendar.cron, calendar.tz

    def wanted(wall: datetime) -> bool:
        return (
            wall.minute in cron.minute
            and wall.hour in cron.hour
            and wall.day in cron.day_of_month
            and wall.month in cron.month
            and wall.isoweekday() % 7 in cron.day_of_week
        )

    found = set()
    begin = after.replace(second=0, microsecond=0) - timedelta(hours=3)
    seen: set[datetime] = set()
    before = (begin - timedelta(minutes=1)).astimezone(tz).replace(tzinfo=None, fold=0)
    for number in range(days * 1440 + 180):
        at = begin + timedelta(minutes=number)
        wall = at.astimezone(tz).replace(tzinfo=None, fold=0)
        skipped = wall - before
        if not calendar.elapsed and timedelta(minutes=1) < skipped < timedelta(hours=4):
            minutes = int(skipped.total_seconds() // 60)
            if any(wanted(before + timedelta(minutes=n)) for n in range(1, minutes)):
                found.add(at)
        if wanted(wall) and (calendar.elapsed or wall not in seen):
            found.add(at)
        seen.add(wall)
        before = wall
    return sorted(at for at in found if at > after)


@settings(max_examples=60, deadline=None)
@given(CALENDARS, MOMENTS)
def test_moments_equal_a_look_at_each_minute(calendar: Calendar, after: datetime) -> None:
    expected = oracle(calendar, after, days=3)[:20]
    end = after + timedelta(days=2, hours=20)
    expected = [at for at in expected if at < end]
    found = islice(Plan(calendar, after).after(after), len(expected))
    assert [one.at for one in found] == expected


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(
    "text", ["30 2 * * *", "0 * * * *", "*/20 * * * *", "30 1,23 * * *", "15 0 * * *", "45 3 * * *"]
)
def test_every_change_of_the_clocks_equals_a_look_at_each_minute(zone: str, text: str) -> None:
    calendar, tz = calendar_of(text, zone), ZoneInfo(zone)
    start = datetime(2027, 1, 1, tzinfo=UTC)
    for day in range(365):
        at = start + timedelta(days=day)
        if at.astimezone(tz).utcoffset() != (at + timedelta(days=1)).astimezone(tz).utcoffset():
            since = at - timedelta(hours=6)
            until = since + timedelta(hours=40)
            expected = [moment for moment in oracle(calendar, since, days=2) if moment < until]
            found = [one.at for one in islice(Plan(calendar, since).after(since), len(expected) + 1)]
            assert found[: len(expected)] == expected and found[-1] >= until


@settings(max_examples=150, deadline=None)
@given(CALENDARS, MOMENTS)
def test_an_ordinary_moment_is_the_one_that_celery_computes(calendar: Calendar, after: datetime) -> None:
    upcoming = Plan(calendar, after).next_after(after)
    assert upcoming is not None
    local = after.astimezone(calendar.tz)
    if (
        upcoming - after > timedelta(days=2)
        or len({(local + timedelta(days=d)).utcoffset() for d in (-1, 0, 1, 2, 3)}) > 1
    ):
        return  # Celery keeps the offset of its start; around a change ours is the rule
    stock = TzAwareCrontab(
        calendar.minute, calendar.hour, calendar.day_of_week, calendar.day_of_month, calendar.month, tz=calendar.tz
    )
    stock.nowfunc = stock.nowfun = lambda: local
    last, delta, _ = stock.remaining_delta(local, tz=calendar.tz, ffwd=ffwd)
    assert (last + delta).astimezone(UTC) == upcoming


@settings(max_examples=60, deadline=None)
@given(
    st.one_of(CALENDARS, st.builds(Every, st.integers(1, 100), st.sampled_from([Unit.MINUTES, Unit.HOURS]))), MOMENTS
)
def test_beat_is_due_at_the_foretold_moments_and_at_no_other(spec: Calendar | Every, after: datetime) -> None:
    plan = Plan(spec, after)
    clock = {"now": after}
    timing = Timing(plan, nowfun=lambda: clock["now"])
    last = after
    for line in preview(plan, after).moments:
        clock["now"] = line.at - timedelta(seconds=1)
        due, wait = timing.is_due(last)
        assert (due, wait) == (False, 1.0)
        clock["now"] = line.at + timedelta(milliseconds=300)
        assert timing.is_due(last).is_due and timing.due(last, clock["now"]) == line.at
        last = clock["now"]
        assert not timing.is_due(last).is_due


def test_a_local_time_that_does_not_exist_runs_at_the_first_valid_minute_and_says_so() -> None:
    plan = Plan(calendar_of("30 3 * * *", "Europe/Vilnius"), datetime(2027, 3, 27, tzinfo=UTC))
    lines = preview(plan, datetime(2027, 3, 27, 12, tzinfo=UTC)).moments
    assert (lines[0].day, lines[0].clock, lines[0].utc) == ("Sun 28 Mar 2027", "04:00 EEST", "01:00 UTC")
    assert lines[0].note == "03:30 does not exist on 28 Mar, because clocks go forward. It runs at 04:00."
    assert (lines[1].clock, lines[1].utc, lines[1].note) == ("03:30 EEST", "00:30 UTC", "")


def test_a_local_time_that_comes_twice_runs_once_at_the_first() -> None:
    plan = Plan(calendar_of("30 1 * * *", "America/New_York"), datetime(2026, 10, 31, 12, tzinfo=UTC))
    lines = preview(plan, datetime(2026, 10, 31, 12, tzinfo=UTC)).moments
    assert [line.utc for line in lines[:2]] == ["05:30 UTC", "06:30 UTC"]
    assert lines[0].clock == "01:30 EDT" and "comes twice" in lines[0].note and not lines[1].note


def test_a_schedule_of_every_hour_runs_in_both_of_two_equal_hours() -> None:
    begin = datetime(2026, 11, 1, 4, 30, tzinfo=UTC)
    found = list(islice(Plan(calendar_of("0 * * * *", "America/New_York"), begin).after(begin), 3))
    assert [one.at.hour for one in found] == [5, 6, 7]
    assert [one.twist for one in found] == [Twist.BOTH, Twist.BOTH, Twist.NONE]


def test_a_day_of_another_date_in_utc_is_named() -> None:
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    (line, *_) = preview(Plan(calendar_of("30 0 * * *", "Europe/Vilnius"), now), now).moments
    assert (line.day, line.utc) == ("Mon 23 Nov 2026", "Sun 22:30 UTC")


def test_start_and_end_bound_the_moments() -> None:
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    start, until = now + timedelta(days=2), now + timedelta(days=4)
    plan = Plan(calendar_of("0 12 * * *", "UTC"), start, start, until)
    assert [one.at for one in plan.after(now)] == [start, start + timedelta(days=1)]
    assert Plan(Once(start), start, None, until).next_after(start) is None


def test_a_missed_hour_does_not_fire_at_a_wrong_one() -> None:
    day = datetime(2026, 11, 22, tzinfo=UTC)
    plan = Plan(calendar_of("0 9 * * *", "UTC"), day)
    late = Timing(plan, nowfun=lambda: day + timedelta(hours=15))
    assert late.is_due(day) == (False, 18 * 3600.0)
    assert Timing(plan, nowfun=lambda: day + timedelta(hours=9, minutes=9)).is_due(day).is_due


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("30 6 * * *", "Every day at 06:30"),
        ("30 6 * * mon-fri", "On weekdays at 06:30"),
        ("0 7 * * 1", "On Mondays at 07:00"),
        ("0 0,12 * * *", "Every day at 00:00 and 12:00"),
        ("0 6 1,15 * *", "On the 1st and 15th of the month at 06:00"),
        ("0 9 29 2 *", "On the 29th of February at 09:00"),
        ("0 0 13 * 5", "On the 13th of the month, if it is a Friday, at 00:00"),
        ("* * * * *", "Every minute"),
        ("*/15 7-18 * * 1-5", "Every 15 minutes from 07:00 to 18:59 on weekdays"),
        ("10 * * * *", "Every hour at minute 10"),
        ("0 */2 * * *", "Every 2 hours, from midnight"),
        ("0 8-17 * * *", "Every hour from 08:00 to 17:00"),
        ("7 1,5,9,13,20 * * *", "At minute 7 in the hours 01, 05, 09, 13 and 20"),
        ("30 3 * * 7", "On Sundays at 03:30"),
        ("30 1 * 10 5-7", "On Fridays, Saturdays and Sundays in October at 01:30"),
    ],
)
def test_the_sentence(text: str, words: str) -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    assert preview(Plan(calendar_of(text, "Europe/Vilnius"), now), now).sentence == f"{words}, Europe/Vilnius"


def test_other_sentences() -> None:
    at = datetime(2026, 11, 22, 12, tzinfo=UTC)
    assert preview(Plan(Every(1, Unit.HOURS), at), at).sentence == "Every hour"
    assert preview(Plan(Every(90, Unit.SECONDS), at), at).sentence == "Every 90 seconds"
    told = preview(Plan(Once(at), at), at, zone="Europe/Vilnius")
    assert told.sentence == "Once, on Sun 22 Nov 2026 at 14:00, Europe/Vilnius" and told.moments == ()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("0 0 30 2 *", "There is no such day"),
        ("0 0 */31 * *", "it means only 1"),
        ("*/31 * * * *", "it means only 0,31"),
        ("0 0 * * 8", "8 is no day of the week"),
        ("60 * * * *", "60 is no minute"),
        ("0 24 * * *", "24 is no hour"),
        ("*/0 * * * *", "a step of 0"),
        ("5/10 * * * *", "not understood"),
        ("1-5! * * * *", "not understood"),
        ("0 0 ? * *", "not understood"),
        ("0 0 * foo *", "“foo” is no month"),
        ("@daily", "Write five fields"),
        ("* * * * * *", "These are 6"),
        ("0,,5 * * * *", "not understood"),
        ("٣ * * * *", "Minute"),
        ("<b> * * * *", "not understood"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(InvalidSchedule) as refused:
        calendar_of(text, "UTC")
    assert sentence in refused.value.fields["cron"]


@given(st.text(max_size=40))
def test_no_text_is_more_than_refused(text: str) -> None:
    try:
        calendar = calendar_of(text, "UTC")
    except InvalidSchedule:
        return
    assert calendar.cron.minute


def test_other_impossible_times_are_refused() -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    with pytest.raises(InvalidSchedule, match="1 or more"):
        every_of(0, Unit.MINUTES)
    with pytest.raises(InvalidSchedule, match="five years"):
        every_of(10**12, Unit.DAYS)
    with pytest.raises(InvalidSchedule, match="once a second"):
        every_of(10, Unit.MICROSECONDS)
    with pytest.raises(InvalidSchedule, match="has passed"):
        once_at(now, now)
    with pytest.raises(InvalidSchedule, match="zone of the list"):
        calendar_of("0 0 * * *", "Mars/Phobos")
