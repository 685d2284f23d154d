"""What travels and what is shown: arguments, facts, redaction, cells, percentiles."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.ledger.redaction import HIDDEN, redact
from jobs.library.reports import percentile, safe_cell
from jobs.pipeline.arguments import MAX_ARGUMENTS, decode, encode
from jobs.pipeline.facts import Fact, Kind, cut, read_entry

EXACT = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.dates()
    | st.datetimes(timezones=st.just(UTC))
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.uuids(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1, max_size=5), inner, max_size=3),
    max_leaves=8,
).filter(lambda v: not (isinstance(v, dict) and "__type__" in v))


@given(st.lists(EXACT, max_size=3), st.dictionaries(st.text(min_size=1, max_size=5), EXACT, max_size=3))
def test_arguments_decode_to_equal_values(args: list[Any], kwargs: dict[str, Any]) -> None:
    text, exact = encode(args, kwargs)
    assert exact
    assert decode(text) == (args, kwargs)


def test_types_survive() -> None:
    values = [date(2028, 2, 29), datetime(2026, 3, 29, 1, 30, tzinfo=UTC), Decimal("1.10"), UUID(int=7), b"\x00\xff"]
    args, _ = decode(encode(values, {})[0])
    assert args == values
    assert [type(value) for value in args] == [type(value) for value in values]


@pytest.mark.parametrize("value", [object(), "x" * (MAX_ARGUMENTS + 1)])
def test_what_cannot_be_kept_whole_is_not_called_exact(value: object) -> None:
    assert encode([value], {}) == ("[[], {}]", False)


@given(st.text(), st.floats(0, 4e9), st.none() | st.integers(1, 9), st.booleans(), st.booleans())
def test_a_fact_survives_the_stream(text: str, at: float, n: int | None, guaranteed: bool, exact: bool) -> None:
    fact = Fact(kind=Kind.ENDED, task_id="t", at=at, n=n, error_message=text, guaranteed=guaranteed, files=[{"a": 1}])
    fact.arguments_exact = exact
    sent = fact.entry()
    # What no database keeps does not arrive.
    fact.error_message = text.replace("\x00", "").encode(errors="replace").decode()
    assert read_entry(sent) == fact


@pytest.mark.parametrize("entry", [{}, {"f": "no json"}, {"f": '{"kind": "odd"}'}, {"f": '{"kind": "ended", "x": 1}'}])
def test_what_is_not_a_fact_is_refused(entry: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_entry(entry)


def test_a_fact_of_a_later_release_is_refused() -> None:
    fact = Fact(kind=Kind.ENDED, task_id="t", at=1.0, version=99)
    with pytest.raises(ValueError, match="version 99"):
        read_entry(fact.entry())


@given(st.text(max_size=300), st.integers(40, 200))
def test_a_cut_text_keeps_its_bounds_and_both_ends(text: str, limit: int) -> None:
    short, was_cut = cut(text, limit)
    assert len(short) <= limit + 10
    assert was_cut == (len(text) > limit)
    assert short[:10] == text[:10]


SECRET_KEYS = st.sampled_from(["password", "Api_Key", "x-authorization", "db_dsn", "TOKEN", "client_secret"])


@given(st.recursive(st.text(max_size=3), lambda i: st.lists(i, max_size=2) | st.dictionaries(st.text(), i, max_size=2)),
       SECRET_KEYS)  # fmt: skip
def test_no_secret_survives_redaction_at_any_depth(around: Any, key: str) -> None:
    value = [{"a": around, "b": ({key: "canary-4711"},)}]
    assert "canary-4711" not in repr(redact(value))
    assert HIDDEN in repr(redact(value))
    assert redact(redact(value)) == redact(value)


@given(st.text())
def test_no_cell_is_taken_for_a_formula(text: str) -> None:
    cell = safe_cell(text)
    assert not cell.lstrip().startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠"))
    buffer = io.StringIO()
    csv.writer(buffer).writerow([cell])
    assert cell in (text, "'" + text)


def test_numbers_stay_numbers_in_a_cell() -> None:
    assert safe_cell(-5) == -5


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([], 0.5, None), ([7.0], 0.95, 7.0), ([3.0, 1.0, 2.0], 0.5, 2.0), (list(range(1, 101)), 0.95, 95)],
)
def test_percentiles_are_nearest_rank(values: list[float], share: float, expected: float | None) -> None:
    assert percentile(values, share) == expected
