"""Keys of people travel as text; messages and facts of earlier releases hold numbers."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.fleet.headers import ACTOR_HEADER, own_headers
from jobs.pipeline.facts import Fact, Kind, read_entry

UUID = "6f9619ff-8b86-4011-b42d-00c04fc964ff"


@pytest.mark.parametrize(
    ("said", "read"),
    [(UUID, UUID), ("7", "7"), (7, "7"), (0, "0"), ("", None), (None, None), (-1, None), (True, None), ([7], None)],
)
def test_whatever_a_header_holds(said: Any, read: str | None) -> None:
    assert own_headers({ACTOR_HEADER: said}).actor_id == read


def test_a_key_that_is_no_safe_text_or_long_is_cut() -> None:
    assert own_headers({ACTOR_HEADER: "x" * 300}).actor_id == "x" * 255
    assert "\0" not in (own_headers({ACTOR_HEADER: "a\0b"}).actor_id or "")


@pytest.mark.parametrize(("said", "read"), [("7", "7"), (f'"{UUID}"', UUID), ("null", None)])
def test_a_fact_of_any_release(said: str, read: str | None) -> None:
    fact = read_entry({"f": f'{{"kind": "published", "task_id": "a", "at": 1.0, "actor_id": {said}}}'})
    assert fact.actor_id == read


def test_a_fact_is_read_as_it_was_written() -> None:
    fact = Fact(kind=Kind.PUBLISHED, task_id="a", at=1.0, actor_id=UUID)
    assert read_entry(fact.entry()) == fact
