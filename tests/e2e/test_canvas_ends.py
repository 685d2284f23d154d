"""How runs end that Celery tells of in an odd way: what of a canvas never starts, and errors that cannot be pickled."""

from __future__ import annotations

import pytest
from celery import current_app
from celery.utils.serialization import UnpickleableExceptionWrapper

from jobs.models import Attempt, Run
from jobs.pipeline.stored import stored_result
from tests import tasks_observed as tasks
from tests.e2e.conftest import finished
from tests.e2e.processes import Stack


@pytest.fixture(scope="module", autouse=True)
def _up(running: Stack) -> None:
    running.up(running.worker, running.recorder)


def error_of(run: Run) -> tuple[str, str, str]:
    """The class, the message and the last line of the traceback that the run's last attempt shows."""
    attempt = Attempt.objects.filter(run=run).latest("number")
    assert (attempt.error_type, attempt.error_message) == (run.error_type, run.error_message)
    return run.error_type, run.error_message, attempt.traceback.rstrip().rpartition("\n")[2]


def test_an_error_that_cannot_be_pickled_is_told_as_itself() -> None:
    runs = [finished(tasks.call_out.delay(*call).id) for call in [(404, "gone"), (409, "taken"), (503, "away")]]
    name = "tests.tasks_observed.{}: {}"
    for run, kind, message in zip(
        runs, ["ClientError", "ClientError", "ServerError"], ["404: gone", "409: taken", "503: away"], strict=True
    ):
        assert error_of(run) == (kind, message, name.format(kind, message))
    fingerprints = [run.failure_group.fingerprint for run in runs if run.failure_group]
    assert len(set(fingerprints)) == 3, "each says itself what it is, or is of another class"
    again = finished(tasks.call_out.delay(404, "another").id)
    assert again.failure_group_id == runs[0].failure_group_id, "its attribute `fingerprint` counts"


def test_what_asks_for_the_result_gets_what_celery_gives() -> None:
    run = finished(tasks.call_out.delay(404, "gone").id)
    with pytest.raises(UnpickleableExceptionWrapper, match=r"ClientError\('404: gone'\)"):
        current_app.AsyncResult(run.task_id).get(timeout=5)
    assert stored_result(run.task_id).value["exc_type"] == "UnpickleableExceptionWrapper"


def test_each_try_is_told_as_itself() -> None:
    run = finished(tasks.call_out_again.delay(429).id)
    assert error_of(run)[:2] == ("ClientError", "429: busy")
    assert list(run.attempts.order_by("number").values_list("error_type", "outcome")) == [
        ("ClientError", "retried"),
        ("ClientError", "failed"),
    ]
