"""The period of the report that ships as a schedule: it follows the moment for which the run was due."""

from __future__ import annotations

from datetime import UTC, date, datetime
from types import SimpleNamespace
from unittest import mock

import pytest

from jobs.catalog.registry import find_job
from jobs.errors import InvalidArguments
from jobs.library.reports import period, task_activity_report
from jobs.models import Run

pytestmark = pytest.mark.django_db


def test_the_last_days_end_before_the_day_that_the_run_was_due() -> None:
    Run.objects.create(
        task_id="late",
        task_name=task_activity_report.name,
        due_at=datetime(2026, 11, 23, 7, tzinfo=UTC),
        accepted_at=datetime(2026, 11, 25, 9, tzinfo=UTC),
    )
    Run.objects.create(
        task_id="by hand", task_name=task_activity_report.name, accepted_at=datetime(2026, 11, 25, 9, tzinfo=UTC)
    )
    for task_id, expected in (
        ("late", (date(2026, 11, 16), date(2026, 11, 22))),
        ("by hand", (date(2026, 11, 18), date(2026, 11, 24))),
    ):
        running = SimpleNamespace(request=SimpleNamespace(id=task_id))
        with mock.patch("jobs.library.reports.current_task", running):
            assert period(None, None, 7) == period(None, None, None) == expected
    assert period(date(2026, 1, 1), date(2026, 1, 2), None) == (date(2026, 1, 1), date(2026, 1, 2))


@pytest.mark.parametrize(
    ("values", "field", "sentence"),
    [
        ({"start": "2026-01-01"}, "end", "Enter the other date too"),
        ({"end": "2026-01-01"}, "start", "Enter the other date too"),
        ({"last_days": 0}, "last_days", "1"),
    ],
)
def test_half_a_period_is_refused_and_none_is_the_usual_one(
    values: dict[str, object], field: str, sentence: str
) -> None:
    parameters = find_job(task_activity_report.name).parameters
    assert parameters is not None
    with pytest.raises(InvalidArguments) as refused:
        parameters.to_json(values)
    assert sentence in refused.value.fields[field]
    assert parameters.to_json({}).kwargs["last_days"] == 7
    assert parameters.to_json({"last_days": 7, "start": "2026-01-01", "end": "2026-01-02"})
