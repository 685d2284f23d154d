"""The Diagnostics group: what each gives back, and who may run it."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from jobs.catalog.fields import Kind
from jobs.catalog.registry import RUN_ANY_TASK, declared_jobs, find_job
from jobs.library import diagnostics
from jobs.pipeline.cancelled import Cancelled
from tests.integration.library_runs import Stop, run_as

pytestmark = pytest.mark.django_db


def test_the_echo_asks_for_every_kind_of_parameter() -> None:
    parameters = find_job(diagnostics.echo.name).parameters
    assert parameters is not None
    assert {field.kind for field in parameters.fields} == set(Kind)


def test_the_echo_tells_the_types_and_keeps_the_secret() -> None:
    ana = User.objects.create_user("ana")
    given = {"text": "é", "day": "2026-02-28", "person": ana.pk, "secret": "hush", "sizes": ["small"]}
    value = run_as(ana, diagnostics.echo, **given).value
    assert value["text"] == "str: é" and value["day"] == "date: 2026-02-28" and value["person"] == "User: ana"
    assert "hush" not in str(value) and "number" not in value


def test_each_ends_as_it_says() -> None:
    failed = run_as(None, diagnostics.fail, message="as asked").value
    assert isinstance(failed, diagnostics.DeliberateFailure) and str(failed) == "as asked"
    assert run_as(None, diagnostics.wait, seconds=0).value == "Waited 0 seconds."
    assert run_as(None, diagnostics.log_lines, lines=3).value == "Wrote 3 lines."
    assert run_as(None, diagnostics.use_memory, megabytes=2, seconds=0).value == "Held 2 MB for 0 seconds."
    assert len(run_as(None, diagnostics.attach_a_file, kilobytes=2).text("diagnostics.txt")) == 2000


def test_only_who_may_run_any_task_may_run_them() -> None:
    group = [job for job in declared_jobs() if job.group == diagnostics.GROUP and job.listed]
    assert len(group) == 7 and {job.permission for job in group} == {RUN_ANY_TASK}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("job", "values"),
    [
        (diagnostics.wait, {"seconds": 1}),
        (diagnostics.log_lines, {"lines": 10}),
        (diagnostics.use_memory, {"megabytes": 1, "seconds": 1}),
    ],
)
def test_what_takes_long_ends_where_somebody_asks_for_it(job: Any, values: dict[str, int]) -> None:
    assert isinstance(run_as(None, job, Stop.FIRST, **values).value, Cancelled)
