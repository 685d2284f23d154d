"""How runs end that Celery tells of in an odd way: what of a canvas never starts, and errors that cannot be pickled."""

from __future__ import annotations

from typing import Any

import pytest
from celery import chain, chord, current_app, group
from celery.utils.serialization import UnpickleableExceptionWrapper
from django_celery_results.models import TaskResult

from jobs.models import Attempt, Run
from jobs.pipeline.arguments import decode
from jobs.pipeline.canvas import CHAIN_BROKEN, CHORD_BROKEN, RESULT_TO_COME
from jobs.pipeline.stored import stored_result
from jobs.states import State
from tests import tasks_observed as tasks
from tests.e2e.conftest import finished
from tests.e2e.processes import Stack, wait_for


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


def broken_header() -> list[Any]:
    return [tasks.succeed.s(1), tasks.break_down.s("link")]


def never_started(task_id: str, name: str, arguments: list[Any], *, note: str = CHORD_BROKEN) -> Run:
    """The run that never started, once it is told: cancelled, with its name, its arguments and a row of its failure."""
    run = finished(task_id)
    assert (run.state, run.state_note, run.provisional) == (State.CANCELLED, note, False)
    assert run.task_name == f"tests.tasks_observed.{name}"
    assert decode(run.arguments) == (arguments, {}) and not run.arguments_exact
    assert run.failure_group_id is None
    row = wait_for(lambda: TaskResult.objects.filter(task_id=task_id).first(), "its result to be recorded")
    assert (row.status, row.task_name) == ("FAILURE", run.task_name)
    return run


def parent_of(run: Run) -> Run:
    """The run that kept it from starting, of the same family."""
    parent = Run.objects.get(task_id=run.parent_id)
    assert run.root_id == (parent.root_id or parent.task_id)
    return parent


def test_the_body_of_a_broken_chord_is_told_as_the_rest_of_a_chain_is() -> None:
    result = chord(broken_header())(tasks.add_up.s())
    run = never_started(result.id, "add_up", [RESULT_TO_COME])
    failed = parent_of(run)
    assert (failed.task_name, failed.state) == ("tests.tasks_observed.break_down", State.FAILED)
    assert run.error_type == "ChordError" and failed.task_id in run.error_message


def test_its_result_stays_when_redis_has_let_it_go(running: Stack) -> None:
    result = chord(broken_header())(tasks.add_up.s())
    never_started(result.id, "add_up", [RESULT_TO_COME])
    told = type(current_app.AsyncResult(result.id).result)
    assert running.client().delete(f"celery-task-meta-{result.id}") == 1
    kept = current_app.AsyncResult(result.id)
    assert (kept.state, type(kept.result)) == ("FAILURE", told)
    assert "ChordError" in str(kept.traceback)


def test_a_body_that_is_a_group_is_its_members() -> None:
    result: Any = chord(broken_header())(group(tasks.succeed.s("a"), tasks.succeed.si("b") | tasks.succeed.s("c")))
    first, second = (member.id for member in result.results)
    parent_of(never_started(first, "succeed", [RESULT_TO_COME, "a"]))
    parent_of(never_started(second, "succeed", [RESULT_TO_COME, "c"]))
    row = wait_for(lambda: TaskResult.objects.filter(task_id=result.id).first(), "the group's own to be recorded")
    assert row.status == "FAILURE", "as Celery stores it"
    assert not Run.objects.filter(task_id=result.id).exists()


def test_a_body_that_is_a_chain_is_its_end() -> None:
    result = chord(broken_header())(tasks.succeed.si("first") | tasks.succeed.s("last"))
    parent_of(never_started(result.id, "succeed", [RESULT_TO_COME, "last"]))


def test_a_chord_within_a_broken_chain_makes_no_run_of_its_group() -> None:
    steps = chain(tasks.break_down.si("link"), group(tasks.succeed.s(1), tasks.succeed.s(2)), tasks.add_up.s())
    result = chain(steps, tasks.succeed.s("end")).apply_async()
    run = never_started(result.id, "succeed", [RESULT_TO_COME, "end"], note=CHAIN_BROKEN)
    family = Run.objects.filter(root_id=parent_of(run).task_id)
    names = ["tests.tasks_observed.add_up", "tests.tasks_observed.succeed"]
    wait_for(lambda: sorted(family.values_list("task_name", flat=True)) == names, "the whole family to be recorded")
    of_chord = TaskResult.objects.get(task_name="celery.chord", status="FAILURE")
    assert not Run.objects.filter(task_id=of_chord.task_id).exists()


def test_the_member_of_a_header_that_is_a_chain_keeps_its_family() -> None:
    header = [tasks.break_down.si("first") | tasks.succeed.s("second"), tasks.succeed.s(1)]
    run = never_started(chord(header)(tasks.add_up.s()).id, "add_up", [RESULT_TO_COME])
    second = parent_of(run)
    assert second.state_note == CHAIN_BROKEN
    assert parent_of(second).task_name == "tests.tasks_observed.break_down"


def test_a_member_that_is_lost_with_its_process_breaks_its_chord() -> None:
    result = chord([tasks.succeed.s(1), tasks.die.s()])(tasks.add_up.s())
    lost = parent_of(never_started(result.id, "add_up", [RESULT_TO_COME]))
    assert lost.state == State.LOST
    assert TaskResult.objects.get(task_id=lost.task_id).status == "FAILURE"


def test_an_immutable_body_has_all_its_arguments() -> None:
    run = finished(chord(broken_header())(tasks.succeed.si("clean up")).id)
    assert (decode(run.arguments), run.arguments_exact) == ((["clean up"], {}), True)


def test_what_a_chord_says_of_an_error_that_cannot_be_pickled() -> None:
    run = finished(chord([tasks.succeed.s(1), tasks.call_out.s(404, "gone")])(tasks.add_up.s()).id)
    assert run.error_message.endswith("raised ClientError('404: gone')")


def test_what_is_stored_for_an_id_that_nobody_knows_is_a_result_and_no_run() -> None:
    backend = current_app.backend
    backend.store_result("by-hand", {"rows": 2}, "SUCCESS")
    backend.mark_as_failure("by-hand-failed", LookupError("no such thing"))
    current_app.control.revoke("revoked-unknown")
    ids = ["by-hand", "by-hand-failed", "revoked-unknown"]
    stored = TaskResult.objects.filter(task_id__in=ids)
    wait_for(lambda: stored.count() == 3, "the results to be recorded")
    assert dict(stored.values_list("task_id", "status")) == dict(
        zip(ids, ["SUCCESS", "FAILURE", "REVOKED"], strict=True)
    )
    assert not Run.objects.filter(task_id__in=ids).exists()


def test_what_is_stored_by_hand_for_a_run_is_its_result() -> None:
    ignored = finished(tasks.ignore.delay().id)
    assert ignored.state == State.CANCELLED
    current_app.backend.store_result(ignored.task_id, "done elsewhere", "SUCCESS")
    wait_for(lambda: Run.objects.filter(task_id=ignored.task_id, state=State.SUCCEEDED).exists(), "it to be recorded")
    assert stored_result(ignored.task_id).value == "done elsewhere"
