"""Beat over the same rows: nothing fires at once, one moment is one run, one bad row stops no other."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import pytest
from celery import current_app
from django.db import DatabaseError
from django.utils import timezone
from django_celery_beat.models import ClockedSchedule, IntervalSchedule, PeriodicTask, PeriodicTasks

from jobs.ledger.audit import Actor
from jobs.models import Run
from jobs.schedules.scheduler import ConsoleEntry, ConsoleScheduler
from jobs.schedules.verbs import switch_off, switch_on

from .schedule_rows import on_mars, row

pytestmark = pytest.mark.django_db

SYSTEM = Actor("the console", via="system")


@pytest.fixture(autouse=True)
def _one_connection() -> Iterator[None]:
    """Beat lets go of its connection now and then; the one of a test holds the test's transaction."""
    ours, stock = (
        "jobs.schedules.scheduler.close_old_connections",
        "django_celery_beat.schedulers.close_old_connections",
    )
    with mock.patch(ours), mock.patch(stock):
        yield


def every(count: int, period: str = "minutes") -> IntervalSchedule:
    return IntervalSchedule.objects.create(every=count, period=period)


def at(moment: datetime) -> Any:
    return mock.patch("django.utils.timezone.now", return_value=moment)


def fire(beat: ConsoleScheduler, name: str) -> None:
    """What one tick does with an entry that is due."""
    entry = beat.schedule[name]
    beat.reserve(entry)
    beat.apply_entry(entry)


def aged(made: PeriodicTask, **age: float) -> PeriodicTask:
    """The row as if it had been saved so long ago."""
    PeriodicTask.objects.filter(pk=made.pk).update(date_changed=timezone.now() - timedelta(**age))
    made.refresh_from_db()
    return made


@pytest.mark.parametrize("spec", ["interval", "interval with a start", "crontab"])
def test_what_is_switched_on_does_not_fire_at_once(spec: str) -> None:
    fields: dict[str, Any] = {"interval": every(10)} if spec.startswith("interval") else {}
    if spec.endswith("start"):
        fields["start_time"] = timezone.now() - timedelta(days=30, minutes=3)
    made = aged(row(enabled=False, **fields), days=30)

    switch_on(made.pk, actor=SYSTEM)

    made.refresh_from_db()
    entry = ConsoleEntry(made, app=current_app)
    due, wait = entry.is_due()
    assert made.enabled and not due
    assert 0 < wait <= (600 if fields else 86_400)
    if spec.endswith("start"):
        assert wait <= 7 * 60 + 1, "it still counts from its start"


def test_switching_off_and_on_again_catches_up_with_nothing() -> None:
    made = aged(row(interval=every(10)), days=3)
    assert ConsoleEntry(made, app=current_app).is_due().is_due
    switch_off(made.pk, actor=SYSTEM)
    switch_on(made.pk, actor=SYSTEM)
    made.refresh_from_db()
    assert not ConsoleEntry(made, app=current_app).is_due().is_due


def test_the_rounds_of_a_beat_accept_what_is_due_and_nothing_else() -> None:
    aged(row("Due", interval=every(10)), minutes=25)
    aged(row("Not yet", interval=every(10)), minutes=3)
    row("Broken", task="gone", kwargs="[1]")
    beat = ConsoleScheduler(app=current_app)
    for _ in range(5):
        beat.tick()
    run = Run.objects.get()
    assert (run.schedule_name, run.state) == ("Due", "accepted")
    # Another beat that takes over reads what this one has noted.
    assert not ConsoleScheduler(app=current_app).schedule["Due"].is_due().is_due
    beat.close()


def test_a_moment_decided_twice_is_one_run() -> None:
    aged(row(interval=every(10)), minutes=25)
    for _ in range(2):
        beat = ConsoleScheduler(app=current_app)
        entry = beat.schedule["Nightly sum"]
        entry.last_run_at = timezone.now() - timedelta(minutes=20)
        beat.apply_entry(entry)

    (run,) = Run.objects.all()
    made = PeriodicTask.objects.get()
    assert run.source == "schedule" and (run.schedule_id, run.schedule_name) == (made.pk, made.name)
    assert run.due_at is not None and run.due_at == made.date_changed + timedelta(minutes=20)


def test_a_late_beat_decides_the_same_minute() -> None:
    made = row()
    day = datetime(2026, 11, 23, tzinfo=UTC)
    PeriodicTask.objects.update(date_changed=day)
    for late in (timedelta(seconds=1), timedelta(minutes=8)):
        with at(day + timedelta(hours=4, minutes=30) + late):
            beat = ConsoleScheduler(app=current_app)
            entry = beat.schedule[made.name]
            entry.last_run_at = day
            assert entry.is_due().is_due
            beat.apply_entry(entry)
    assert Run.objects.get().due_at == day + timedelta(hours=4, minutes=30)


def test_a_last_run_that_lies_in_the_future_counts_as_now() -> None:
    """A clock was ahead when it was written down: what the list foretells fires, and what has passed does not."""
    now = timezone.now()
    made = aged(row(interval=every(10), last_run_at=now + timedelta(days=3)), minutes=25)
    entry = ConsoleScheduler(app=current_app).schedule[made.name]
    due, wait = entry.is_due()
    assert not due and wait == pytest.approx(300, abs=30), "as the list says"

    with at(now + timedelta(seconds=wait + 60)):
        # Whichever beat asks: it is written down.
        beat = ConsoleScheduler(app=current_app)
        beat.tick()
    assert Run.objects.get().due_at == made.date_changed + timedelta(minutes=30)


def test_a_clock_that_is_set_back_under_a_running_beat_delays_nothing() -> None:
    now = timezone.now()
    made = aged(row(interval=every(10)), minutes=25)
    beat = ConsoleScheduler(app=current_app)
    with at(now + timedelta(days=3)):
        beat.tick()
    Run.objects.get()
    beat.tick()
    with at(now + timedelta(minutes=6)):
        beat.tick()
    assert Run.objects.order_by("due_at").first().due_at == made.date_changed + timedelta(minutes=30)  # type: ignore[union-attr]


def test_firing_moves_neither_the_anchor_nor_what_a_person_changed() -> None:
    made = aged(row(interval=every(10)), minutes=25)
    before = PeriodicTask.objects.get()
    beat = ConsoleScheduler(app=current_app)
    entry = beat.schedule[made.name]
    PeriodicTask.objects.filter(pk=made.pk).update(description="changed meanwhile")
    beat.reserve(entry)
    beat.apply_entry(entry)

    after = PeriodicTask.objects.get()
    assert after.date_changed == before.date_changed and after.description == "changed meanwhile"
    assert after.total_run_count == 1 and after.last_run_at is not None


def test_beat_does_not_switch_on_again_what_a_person_switched_off_meanwhile() -> None:
    made = aged(row(interval=every(10)), minutes=25)
    beat = ConsoleScheduler(app=current_app)
    entry = beat.schedule[made.name]
    switch_off(made.pk, actor=SYSTEM)
    beat.reserve(entry)
    beat.apply_entry(entry)
    after = PeriodicTask.objects.get()
    assert not after.enabled and after.last_run_at is None


def test_a_single_moment_runs_once_and_switches_itself_off() -> None:
    moment = timezone.now() + timedelta(minutes=5)
    made = row(clocked=ClockedSchedule.objects.create(clocked_time=moment), one_off=True)
    beat = ConsoleScheduler(app=current_app)
    assert not beat.schedule[made.name].is_due().is_due
    with at(moment + timedelta(seconds=1)):
        assert beat.schedule[made.name].is_due().is_due
        fire(beat, made.name)

    assert Run.objects.get().due_at == moment
    made.refresh_from_db()
    assert not made.enabled
    assert not ConsoleScheduler(app=current_app).schedule


def test_one_past_its_end_switches_itself_off() -> None:
    made = row(interval=every(10), expires=timezone.now() + timedelta(minutes=1))
    with at(timezone.now() + timedelta(minutes=2)):
        assert not ConsoleEntry(made, app=current_app).is_due().is_due
    made.refresh_from_db()
    assert not made.enabled


def test_bad_rows_stop_no_other_and_are_told() -> None:
    row("Good")
    row("Headers", headers="[1]")
    row("Queue", queue="nowhere")
    row("Broken JSON", kwargs='{"a": ')
    row("List for a dict", kwargs="[1]")
    row("Never advances", interval=every(0))
    PeriodicTask.objects.filter(name="Good").update(total_run_count=3)
    bad = row("Bad cron", crontab=row("x").crontab.__class__.objects.create(minute="99"))
    on_mars()
    with mock.patch("jobs.schedules.scheduler.logger") as log:
        beat = ConsoleScheduler(app=current_app)

    assert set(beat.schedule) == {"Good", "Queue", "x"}
    told = {call.args[1]: str(call.args[2]) for call in log.error.call_args_list}
    assert told.keys() == {"Headers", "Broken JSON", "List for a dict", "Never advances", bad.name, "On Mars"}
    assert "Enter 1 or more" in told["Never advances"] and "no zone Mars/Phobos" in told["On Mars"]
    assert PeriodicTask.objects.filter(enabled=False).count() == 0, "beat disables nothing behind anybody's back"


def test_a_job_that_is_gone_is_logged_when_it_fires() -> None:
    aged(row(task="legacy.export", interval=every(10)), minutes=25)
    beat = ConsoleScheduler(app=current_app)
    with mock.patch("jobs.schedules.scheduler.logger") as log:
        fire(beat, "Nightly sum")
    told = log.error.call_args.args
    assert "Nightly sum" in told and "No job is called legacy.export" in str(told[-1])
    assert not Run.objects.exists()


def test_a_moment_is_not_lost_when_the_database_fails() -> None:
    aged(row(interval=every(10)), minutes=25)
    beat = ConsoleScheduler(app=current_app)
    entry = beat.schedule["Nightly sum"]
    with mock.patch("jobs.schedules.scheduler.start_run", side_effect=DatabaseError("away")):
        beat.reserve(entry)
        beat.apply_entry(entry)
    assert beat.schedule["Nightly sum"].is_due().is_due
    fire(beat, "Nightly sum")
    assert Run.objects.count() == 1


def test_a_schedule_of_any_hour_is_loaded_in_two_queries(django_assert_num_queries: Any) -> None:
    for number in range(20):
        row(f"Number {number}")
    beat = ConsoleScheduler(app=current_app)
    with django_assert_num_queries(2):
        assert len(beat.all_as_schedule()) == 20


def test_the_verbs_tell_beat_to_read_again() -> None:
    made = row(enabled=False)
    before = PeriodicTasks.last_change()
    switch_on(made.pk, actor=SYSTEM)
    assert PeriodicTasks.last_change() > before
