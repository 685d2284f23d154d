"""The states: every one has a rank, belongs to one set, and knows who may claim it."""

from jobs.states import ACTIVE, CLAIMABLE, DISPATCHABLE, FINISHED, PROVISIONAL_RANK, RANKS, RETRYABLE, State, rank


def test_every_state_is_active_or_finished_and_has_a_rank() -> None:
    assert ACTIVE | FINISHED == set(State) == set(RANKS)
    assert not ACTIVE & FINISHED


def test_what_may_be_claimed_or_dispatched_is_active_and_what_staff_retry_has_ended() -> None:
    assert CLAIMABLE <= ACTIVE
    assert DISPATCHABLE < ACTIVE
    assert RETRYABLE < FINISHED


def test_a_provisional_end_ranks_below_a_real_one() -> None:
    for state in FINISHED - {State.LOST}:
        assert rank(state, provisional=True) == PROVISIONAL_RANK < rank(state)
    assert rank(State.LOST) < rank(State.SUCCEEDED), "a lost run that turns out to be alive may still finish"
