"""The rule of the setting RETENTION."""

from datetime import timedelta

import pytest

from jobs.ledger.keeping import EXAMPLE, parse_keeping
from jobs.states import State


def test_the_example_reads_as_it_says() -> None:
    keeping = parse_keeping(EXAMPLE)
    assert keeping.runs == keeping.of_state(State.SUCCEEDED) == keeping.of_state(State.EXPIRED) == timedelta(days=90)
    assert keeping.of_state(State.FAILED) == keeping.of_state(State.LOST) == keeping.longest == timedelta(days=365)
    assert keeping.tasks == {"jobs.library.diagnostics.self_check": timedelta(days=7)}


@pytest.mark.parametrize(
    ("text", "runs", "longest"),
    [
        ("runs 2w", timedelta(days=14), timedelta(days=14)),
        (" runs  3 d ,", timedelta(days=3), timedelta(days=3)),
        ("runs forever, failed 1 d", None, None),
        ("runs 1 d, a.b forever", timedelta(days=1), None),
    ],
)
def test_other_ways_to_write_it(text: str, runs: timedelta | None, longest: timedelta | None) -> None:
    keeping = parse_keeping(text)
    assert (keeping.runs, keeping.longest) == (runs, longest)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "must say how long runs are kept"),
        ("failed 1 y", "must say how long runs are kept"),
        ("runs 90", "says 'runs 90', which is no name with a time"),
        ("runs 90 days", "says 'runs 90 days'"),
        ("runs -1 d", "says 'runs -1 d'"),
        ("runs 0 d", "from 1 day to 100 years"),
        ("runs 99999 y", "from 1 day to 100 years"),
        ("runs 1 d, runs 2 d", "names runs twice"),
        ("runs 1 d, running 2 d", "names running, but only finished runs"),
        ("runs 1 d, success 2 d", "names 'success', which is neither runs nor"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_sentence(text: str, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        parse_keeping(text)
