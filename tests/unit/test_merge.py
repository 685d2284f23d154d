"""Facts in any order, any number of times: the run ends in the same state."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.models import Run
from jobs.pipeline.backend import LOST_CHILD, SHUTDOWN
from jobs.pipeline.canvas import CHAIN_BROKEN, CHORD_BROKEN, CHORD_UNSENT, NOT_STARTED
from jobs.pipeline.facts import Fact, Kind
from jobs.recorder.merge import WORKER_GONE, apply_fact, new_observed_run
from jobs.states import State, rank


def ended(state: str, n: int | None = 1, **more: Any) -> Fact:
    values = {"at": 1_800_000_000.0 + (n or 0), "task": "tests.task", "guaranteed": n is not None, "worker": "w@1"}
    return Fact(kind=Kind.ENDED, task_id="t", n=n, state=state, **{**values, **more})


def running(attempt: int = 1, *, task: str = "tests.task") -> Run:
    return Run(task_id="t", task_name=task, guaranteed=True, state=State.RUNNING, attempt=attempt)


@pytest.mark.parametrize(
    ("fact", "state"),
    [
        (ended("SUCCESS"), State.SUCCEEDED),
        (ended("FAILURE", error_type="ValueError"), State.FAILED),
        (ended("FAILURE", note=LOST_CHILD), State.LOST),  # the pool child was killed
        (ended("FAILURE", note=WORKER_GONE), State.LOST),  # the reaper's word
        (ended("RETRY", started_at=1.0), State.RETRYING),
        (
            ended("RETRY", provisional=True, note=SHUTDOWN),
            State.LOST,
        ),  # "cancelled by Celery": nobody delivers it again
        (ended("REVOKED", error_message="revoked"), State.CANCELLED),
        (ended("REVOKED", error_message="expired"), State.EXPIRED),
    ],
)
def test_each_celery_state_has_its_own(fact: Fact, state: State) -> None:
    run = running()
    apply_fact(run, fact)
    assert run.state == state


def test_a_retry_that_overtakes_its_own_fact_is_not_pulled_back() -> None:
    run = running(attempt=2)  # the next attempt was claimed first
    merged = apply_fact(run, ended("RETRY", 1, started_at=1.0))
    assert (run.state, run.attempt) == (State.RUNNING, 2)
    assert merged.attempt is not None and merged.attempt.number == 1, "the attempt is history all the same"


def test_a_success_of_an_earlier_attempt_is_fenced() -> None:
    run = running(attempt=2)
    merged = apply_fact(run, ended("SUCCESS", 1))
    assert (run.state, merged.counts) == (State.RUNNING, False)
    assert merged.attempt is not None and merged.attempt.outcome == "fenced"


def test_a_lost_run_that_was_alive_may_finish() -> None:
    run = running()
    apply_fact(run, ended("FAILURE", note=WORKER_GONE))
    assert run.state == State.LOST
    assert apply_fact(run, ended("SUCCESS")).counts
    assert run.state == State.SUCCEEDED


def test_a_real_end_beats_a_provisional_one_in_both_orders() -> None:
    for order in itertools.permutations([ended("REVOKED", None, provisional=True), ended("SUCCESS")]):
        run = running()
        for fact in order:
            apply_fact(run, fact)
        assert (run.state, run.provisional) == (State.SUCCEEDED, False)


def test_lost_and_revoked_come_to_the_same_in_both_orders() -> None:
    lost = ended("FAILURE", note=WORKER_GONE)
    for order in itertools.permutations([ended("REVOKED", None, provisional=True), lost]):
        run = running()
        for fact in order:
            apply_fact(run, fact)
        assert (run.state, run.provisional) == (State.CANCELLED, True)


def test_an_idempotent_job_is_put_back_after_a_loss_and_only_once_for_the_same_fact() -> None:
    run = running(task="tests.jobs_under_test.hold_again")
    lost = ended("FAILURE", note=WORKER_GONE, task="tests.jobs_under_test.hold_again")
    assert apply_fact(run, lost).attempt is not None
    assert (run.state, run.attempt) == (State.ACCEPTED, 1)
    apply_fact(run, lost)
    assert run.state == State.ACCEPTED, "repeated, the same fact changes nothing"
    apply_fact(run, ended("SUCCESS"))
    assert run.state == State.SUCCEEDED, "it was alive after all, and nobody had begun again"


def test_an_idempotent_job_that_keeps_losing_its_worker_is_lost_in_the_end() -> None:
    run = running(attempt=3, task="tests.jobs_under_test.hold_again")
    apply_fact(run, ended("FAILURE", 3, note=WORKER_GONE))
    assert run.state == State.LOST


def test_an_observed_run_counts_celerys_retries() -> None:
    published = Fact(kind=Kind.PUBLISHED, task_id="t", at=1.0, task="x", arguments="[[1], {}]", source="code")
    end = ended("SUCCESS", None, retries=2)
    for order in itertools.permutations([published, end]):
        run = new_observed_run(order[0])
        for fact in order:
            apply_fact(run, fact)
        assert (run.state, run.attempt, run.arguments, run.arguments_exact) == (State.SUCCEEDED, 3, "[[1], {}]", True)


FACTS = st.one_of(
    st.builds(
        ended,
        st.sampled_from(["SUCCESS", "FAILURE", "RETRY", "REVOKED"]),
        st.integers(1, 3),
        started_at=st.just(1.0),
        provisional=st.booleans(),
        note=st.sampled_from(["", WORKER_GONE]),
    )
)


@given(st.lists(FACTS, max_size=8), st.integers(1, 3))
def test_no_fact_moves_a_run_backwards(facts: list[Fact], attempt: int) -> None:
    run = running(attempt)
    known = (run.attempt, rank(State(run.state)))
    for fact in facts:
        apply_fact(run, fact)
        now = (run.attempt, rank(State(run.state), provisional=run.provisional))
        assert now >= known
        known = now


@given(st.lists(FACTS, max_size=6), st.data())
def test_repeating_facts_changes_nothing(facts: list[Fact], data: st.DataObject) -> None:
    once, twice = running(), running()
    for fact in facts:
        apply_fact(once, fact)
        apply_fact(twice, fact)
        apply_fact(twice, data.draw(st.sampled_from(facts[: facts.index(fact) + 1])))
    assert (once.state, once.attempt) == (twice.state, twice.attempt)


def published(at: float, task: str = "x", **more: Any) -> Fact:
    values = {"arguments": "[[1], {}]", "source": "code", "published": at}
    return Fact(kind=Kind.PUBLISHED, task_id="t", at=at, task=task, **{**values, **more})


def test_an_id_used_again_is_one_run_with_its_attempts_numbered_on() -> None:
    """In whatever order the facts of the two uses arrive."""
    first, again = published(1.0), published(50.0, "y", arguments="[[2], {}]")
    failed = ended("FAILURE", None, at=2.0, task="x", published=1.0, error_type="ValueError")
    succeeded = ended("SUCCESS", None, at=51.0, task="y", published=50.0)
    for order in itertools.permutations([first, failed, again, succeeded]):
        run = new_observed_run(order[0])
        for fact in order:
            apply_fact(run, fact)
        assert (run.state, run.task_name, run.arguments) == (State.SUCCEEDED, "y", "[[2], {}]"), order
        assert run.accepted_at.timestamp() == 50.0
        assert run.attempt == (2 if order.index(failed) < min(order.index(again), order.index(succeeded)) else 1)


def test_a_start_that_is_seen_late_changes_no_end() -> None:
    seen = Fact(Kind.STARTED, "t", 3.0, worker="w@1", started_at=2.0)
    for order in itertools.permutations([published(1.0), seen, ended("SUCCESS", None, at=4.0)]):
        run = new_observed_run(order[0])
        for fact in order:
            apply_fact(run, fact)
        assert (run.state, run.attempt) == (State.SUCCEEDED, 1)
        assert run.started_at is not None and run.started_at.timestamp() == 2.0


def test_what_ends_without_an_outcome_is_cancelled_and_says_why() -> None:
    for fact, note in [
        (ended("IGNORED", None, started_at=1.0), "the task told Celery to ignore it"),
        (ended("FAILURE", None, note=CHAIN_BROKEN), CHAIN_BROKEN),
    ]:
        run = new_observed_run(fact)
        merged = apply_fact(run, fact)
        assert (run.state, run.state_note) == (State.CANCELLED, note)
        assert merged.counts == (fact.state == "FAILURE"), "what Celery stores, we store"


def test_a_retry_is_not_its_own_parent() -> None:
    run = new_observed_run(published(1.0, parent_id="mother", root_id="mother"))
    apply_fact(run, published(1.0, parent_id="mother", root_id="mother"))
    apply_fact(run, ended("SUCCESS", None, retries=1, parent_id="t", root_id="mother"))
    assert (run.parent_id, run.root_id) == ("mother", "mother")


def test_secrets_of_a_declared_job_are_not_in_the_summary_of_what_code_publishes() -> None:
    fact = published(1.0, "tests.jobs_under_test.echo_types", arguments='[[], {"pin": "1234", "text": "plain"}]')
    run = new_observed_run(fact)
    apply_fact(run, fact)
    assert run.summary == "pin=•••, text=plain"


def test_only_celerys_final_states_end_a_run() -> None:
    """Also where a worker of an earlier release tells a state that was set by hand as an end."""
    for state in ["PROGRESS", "success", "PENDING", "STARTED", "RECEIVED", "ABORTED", "", "IGNORED ", *"abc"]:
        run = new_observed_run(published(1.0))
        merged = apply_fact(run, ended(state, None, at=2.0, started_at=1.5, published=1.0))
        assert (run.state, merged.counts, merged.attempt) == (State.RUNNING, False, None), state
        apply_fact(run, ended("SUCCESS", None, at=3.0, published=1.0))
        assert (run.state, run.attempt) == (State.SUCCEEDED, 1)


def test_a_state_that_somebody_else_sets_is_progress_of_what_is_open() -> None:
    run = new_observed_run(published(1.0))
    said = Fact(Kind.SET, "t", 2.0, progress={"state": "SENT", "at": 2.0})
    apply_fact(run, said)
    assert (run.state, run.progress) == (State.QUEUED, {"state": "SENT", "at": 2.0})
    apply_fact(run, ended("SUCCESS", None, at=3.0, published=1.0))
    apply_fact(run, Fact(Kind.SET, "t", 4.0, progress={"state": "ABORTED", "at": 4.0}))
    assert (run.state, run.progress) == (State.SUCCEEDED, {"state": "SENT", "at": 2.0})


def test_an_id_used_again_takes_all_that_its_newest_use_was_published_with() -> None:
    """In whatever order the facts of the two uses arrive."""
    names = ("parent_id", "root_id", "group_id", "origin", "queue")
    at_first: dict[str, Any] = dict(zip(names, ("mother", "mother", "g1", "1@a", "q1"), strict=True))
    again: dict[str, Any] = dict(zip(names, ("aunt", "grandmother", "", "2@b", "q2"), strict=True))
    told = [
        published(1.0, "x", actor_id="7", actor_label="Ana", eta=5.0, expires=9.0, priority=9, **at_first),
        ended("SUCCESS", None, at=2.0, task="x", published=1.0, **{**at_first, "origin": ""}),
        published(50.0, "y", arguments="[[2], {}]", **again),
        ended("SUCCESS", None, at=51.0, task="y", published=50.0, **{**again, "origin": ""}),
    ]
    for order in itertools.permutations(told):
        run = new_observed_run(order[0])
        for fact in order:
            apply_fact(run, fact)
        assert (run.task_name, run.arguments, run.summary, run.queue) == ("y", "[[2], {}]", "2", "q2"), order
        assert (run.parent_id, run.root_id, run.group_id, run.origin) == ("aunt", "grandmother", "", "2@b"), order
        assert (run.actor_id, run.actor_label, run.not_before, run.expires_at) == (None, "", None, None), order
        assert (run.priority, run.delivery) == (None, None), order


def test_what_replaces_a_task_stays_where_the_task_was() -> None:
    """`Task.replace()` publishes the same id; Celery names the run as its own parent."""
    same: dict[str, Any] = {"root_id": "mother", "group_id": "g"}
    first = published(1.0, "x", parent_id="mother", source="schedule", schedule_name="n", **same)
    instead = published(2.0, "y", arguments="[[2], {}]", parent_id="t", source="code", **same)
    end = ended("SUCCESS", None, at=3.0, task="y", published=2.0, parent_id="t", **same)
    for order in itertools.permutations([first, instead, end]):
        run = new_observed_run(order[0])
        for fact in order:
            apply_fact(run, fact)
        assert (run.task_name, run.arguments, run.root_id, run.group_id) == ("y", "[[2], {}]", "mother", "g"), order
        if order[0] is first:
            assert (run.parent_id, run.source, run.schedule_name) == ("mother", "schedule", "n")


def by_hand(state: str, at: float) -> Fact:
    """What somebody's own code stores, as `AsyncResult.backend.store_result` does."""
    return ended(state, None, at=at, task="", worker="", provisional=True, makes_run=False)


def test_a_result_that_is_stored_by_hand_counts_as_the_last_word_but_over_a_success() -> None:
    run = new_observed_run(published(1.0))
    steps = [
        (by_hand("FAILURE", 2.0), State.FAILED, True),
        (by_hand("FAILURE", 2.0), State.FAILED, True),  # told again
        (by_hand("SUCCESS", 3.0), State.SUCCEEDED, True),
        (by_hand("FAILURE", 4.0), State.SUCCEEDED, False),
    ]
    for fact, state, counts in steps:
        assert apply_fact(run, fact).counts == counts
        assert (run.state, run.provisional, run.task_name) == (state, True, "x")
    assert apply_fact(run, ended("FAILURE", None, at=5.0, published=1.0)).counts, "its worker's own word says more"
    assert (run.state, run.provisional) == (State.FAILED, False)
    apply_fact(run, by_hand("SUCCESS", 6.0))
    assert (run.state, run.provisional) == (State.SUCCEEDED, False)


def test_a_console_run_goes_on_whatever_is_stored_by_hand() -> None:
    run = running()
    assert apply_fact(run, by_hand("FAILURE", 2.0)).counts, "`AsyncResult` says it meanwhile"
    assert run.state == State.RUNNING
    apply_fact(run, ended("FAILURE"))
    apply_fact(run, by_hand("SUCCESS", 3.0))
    assert run.state == State.SUCCEEDED


def test_what_remote_control_revokes_is_stored_until_a_worker_says_more() -> None:
    run = new_observed_run(published(1.0))
    assert apply_fact(run, by_hand("REVOKED", 2.0)).counts
    assert (run.state, run.provisional) == (State.CANCELLED, True)


def test_a_run_that_is_lost_with_its_process_has_a_result_and_one_whose_worker_is_gone_has_none() -> None:
    for note, counts in [(LOST_CHILD, True), (WORKER_GONE, False)]:
        run = running()
        assert apply_fact(run, ended("FAILURE", note=note)).counts is counts
        assert run.state == State.LOST


@pytest.mark.parametrize("note", sorted(NOT_STARTED))
def test_what_never_started_says_what_it_would_have_been(note: str) -> None:
    told = {"note": note, "arguments": '[["?", 5], {}]', "arguments_exact": False, "parent_id": "p", "root_id": "r"}
    fact = ended("FAILURE", None, worker="", **told)
    run = new_observed_run(fact)
    merged = apply_fact(run, fact)
    assert run.state == (State.FAILED if note == CHORD_UNSENT else State.CANCELLED)
    assert (run.task_name, run.parent_id, run.root_id) == ("tests.task", "p", "r")
    assert (run.arguments, run.arguments_exact, run.provisional) == ('[["?", 5], {}]', False, False)
    assert merged.counts


def test_what_was_told_never_to_start_and_starts_after_all_runs() -> None:
    """A member that failed is delivered once more, and then succeeds."""
    broken = ended("FAILURE", None, at=2.0, worker="", note=CHORD_BROKEN, arguments="[[], {}]")
    run = new_observed_run(broken)
    apply_fact(run, broken)
    apply_fact(run, published(3.0))
    assert (run.state, run.state_note, run.arguments) == (State.QUEUED, "", "[[1], {}]")
    apply_fact(run, ended("SUCCESS", None, at=4.0, published=3.0))
    assert (run.state, run.attempt) == (State.SUCCEEDED, 1)


def test_what_is_told_never_to_start_while_it_runs_ends_as_its_worker_says() -> None:
    broken = ended("FAILURE", None, at=2.0, worker="", note=CHAIN_BROKEN)
    for order in itertools.permutations([broken, ended("SUCCESS", None, at=3.0, published=1.0)]):
        run = new_observed_run(published(1.0))
        for fact in [published(1.0), *order]:
            apply_fact(run, fact)
        assert (run.state, run.attempt, run.arguments) == (State.SUCCEEDED, 1, "[[1], {}]")
