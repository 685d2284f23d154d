"""Text and JSON from anywhere become safe to keep, to send and to walk."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from jobs.text import DEEPER, MOST_LEVELS, in_zone, read_json, safe_text, safe_value


def test_text_loses_nul_and_halves_of_pairs_and_nothing_else() -> None:
    assert safe_text("a\x00b\ud800c\udfff") == "ab?c?"
    whole = "é\u202e\U0001f468\u200d\r\n\t<b>"
    assert safe_text(whole) == whole


def test_a_value_is_safe_at_every_depth_and_in_its_names() -> None:
    assert safe_value({"\ud800": ["\x00", ("\udfff", 1.5, None, True)]}) == {"?": ["", ["?", 1.5, None, True]]}


def test_what_is_nested_too_deeply_is_said_to_be_and_can_be_written() -> None:
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]
    text = json.dumps(safe_value(deep), indent=2)
    assert DEEPER in json.loads(f'"{DEEPER}"') and text.count("[") == MOST_LEVELS


def test_numbers_that_no_database_keeps_are_texts() -> None:
    found = safe_value([float("inf"), float("-inf"), float("nan"), 10**5000])
    assert all(isinstance(one, str) for one in found)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'{"a": "\ud800\u0000", "b": "\ud83d\ude00"}', {"a": "?", "b": "😀"}),
        ("[1e400, -1e400]", ["inf", "-inf"]),
        ("[NaN, Infinity]", ["NaN", "Infinity"]),
        (f"[{'7' * 5000}, 12]", ["7" * 5000, 12]),
        (b'{"a": 1.5}', {"a": 1.5}),
        (b'["\xff"]', ["\ufffd"]),
    ],
)
def test_json_is_read_safely(text: str | bytes, value: object) -> None:
    assert read_json(text) == value


@pytest.mark.parametrize("text", ["", "{", "[1] [2]", "[" * 100_000])
def test_what_is_no_json_is_a_value_error_and_no_other(text: str) -> None:
    with pytest.raises(ValueError, match=r"Expecting|Extra|not readable"):
        read_json(text)


def test_how_deep_json_may_be_does_not_depend_on_who_reads() -> None:
    """A page reads far down in its own calls, and what it could not read was an error of the page."""
    text = f'["[[[\\"", {"[" * 900}1{"]" * 900}, {{"a": 2}}]'

    def read(below: int) -> Any:
        return read(below - 1) if below else read_json(text)

    found = read(500)
    assert found == read_json(text)
    assert (found[0], found[2]) == ('[[["', {"a": 2}) and DEEPER in json.dumps(found[1], ensure_ascii=False)


def test_whatever_a_tag_raises_is_a_value_error() -> None:
    def raising(found: dict[str, object]) -> object:
        raise AttributeError

    with pytest.raises(ValueError, match="not readable"):
        read_json("{}", raising)


def test_every_moment_has_a_clock() -> None:
    last = datetime.max.replace(tzinfo=UTC)
    assert in_zone(last, ZoneInfo("Asia/Tokyo")) == last
    assert in_zone(datetime(2026, 1, 1, tzinfo=UTC), ZoneInfo("Asia/Tokyo")).hour == 9
