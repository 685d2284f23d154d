"""The task activity report: what it counts."""

from datetime import UTC, date, datetime, timedelta

import pytest

from jobs.catalog.registry import find_job
from jobs.errors import InvalidArguments
from jobs.library.reports import activity, task_activity_report
from jobs.models import Run
from jobs.states import State

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 10, 12, tzinfo=UTC)


def run(number: int, state: State = State.SUCCEEDED, *, at: datetime = NOON, **values: object) -> None:
    Run.objects.create(task_id=f"t{number}", state=state, accepted_at=at, **{"task_name": "x", "queue": "q", **values})


def test_lines_count_states_durations_and_waits() -> None:
    for number in range(1, 21):
        run(number, runtime=float(number), started_at=NOON + timedelta(seconds=number))
    run(21, State.FAILED, runtime=100.0)
    run(22, State.LOST)
    run(23, task_name="jobs.library.reports.task_activity_report", queue="reports")

    by_job = {line.name: line.cells()[1:] for line in activity(date(2026, 11, 10), date(2026, 11, 10), "job")}
    assert by_job["x"] == [22, 20, 1, 1, 11.0, 20.0, 10.0, 19.0]
    assert by_job["Task activity report"][0] == 1
    assert [line.name for line in activity(date(2026, 11, 1), date(2026, 11, 30), "queue")] == ["q", "reports"]
    assert [line.name for line in activity(date(2026, 11, 1), date(2026, 11, 30), "schedule")] == ["no schedule"]


def test_days_are_utc_days_and_both_are_included() -> None:
    for number, at in enumerate(
        [
            datetime(2026, 11, 9, 23, 59, 59, 999999, tzinfo=UTC),
            datetime(2026, 11, 10, tzinfo=UTC),
            datetime(2026, 11, 11, 23, 59, 59, 999999, tzinfo=UTC),
            datetime(2026, 11, 12, tzinfo=UTC),
        ]
    ):
        run(number, at=at)
    (line,) = activity(date(2026, 11, 10), date(2026, 11, 11), "job")
    assert line.runs == 2


def test_time_held_back_by_the_person_is_no_wait() -> None:
    run(1, not_before=NOON + timedelta(hours=2), started_at=NOON + timedelta(hours=2, seconds=3))
    (line,) = activity(date(2026, 11, 10), date(2026, 11, 10), "job")
    assert line.waits == [3.0]


@pytest.mark.parametrize(
    ("start", "end", "sentence"),
    [("2026-02-02", "2026-02-01", "Swap the two dates"), ("2024-01-01", "2026-01-01", "at most 367 are read")],
)
def test_an_impossible_period_is_refused_beside_its_field(start: str, end: str, sentence: str) -> None:
    parameters = find_job(task_activity_report.name).parameters
    assert parameters is not None
    with pytest.raises(InvalidArguments) as refused:
        parameters.to_json({"start": start, "end": end})
    assert sentence in refused.value.fields["end"]
