"""The headers that are the console's, and the ids and facts that are kept whatever a message holds."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.fleet.headers import OWN_HEADERS, OwnHeaders, own_headers, recorded_id
from jobs.pipeline.facts import Fact, Kind, read_entry

#: What JSON with kombu's tags can hold, NaN and half a surrogate pair among it.
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.uuids() | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
#: The fields that a message's headers reach; all others are the console's own.
REACHED = (
    *("task_id", "root_id", "parent_id", "group_id", "task", "worker", "queue", "schedule_name", "origin"),
    *("eta", "expires", "published", "retries"),
)


@given(st.dictionaries(st.sampled_from(["retries", "actor_id", "run_attempt", *OWN_HEADERS]), ANYTHING))
def test_no_header_is_taken_for_what_it_cannot_be(headers: dict[str, Any]) -> None:
    ours = own_headers(headers)
    for value, kinds in ((ours.execution, int), (ours.published, float), (ours.actor_id, str), (ours.source, str)):
        assert value is None or type(value) is kinds
    assert len(ours.actor_label) <= 255
    key = ours.actor_id
    assert key is None or (0 < len(key) <= 255 and "\x00" not in key and key.encode())


def test_the_headers_of_a_project_say_nothing() -> None:
    names = ("attempt", "run_attempt", "actor_id", "actor_label", "source", "published_at", "first_published_at")
    assert own_headers({**dict.fromkeys(names, 1), "source": "staff", "actor_label": "Ana"}) == OwnHeaders()


@given(ANYTHING)
def test_every_id_is_kept_as_one_that_the_tables_hold(task_id: Any) -> None:
    kept = recorded_id(task_id)
    assert 0 < len(kept) <= 255 and "\x00" not in kept and kept.encode()
    assert recorded_id(kept) == kept


def test_an_id_is_kept_as_it_is_and_different_ones_stay_different() -> None:
    one = uuid.uuid4()
    assert recorded_id(one) == recorded_id(str(one)) == str(one)
    assert recorded_id("x" * 255) == "x" * 255 and recorded_id("é / 1") == "é / 1"
    odd = ["x" * 256, "x" * 257, "x" * 255 + "\x00", "a\x00", "a", "a\ud800", "a?", "a\ud801", "a\x00\x00", "", "0"]
    assert len({recorded_id(task_id) for task_id in odd}) == len(odd)


@given(st.dictionaries(st.sampled_from(REACHED), ANYTHING), st.dictionaries(st.text(max_size=5), ANYTHING))
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_fact_can_be_read_whatever_its_message_held(values: dict[str, Any], meta: dict[str, Any]) -> None:
    told = Fact(Kind.ENDED, **{"task_id": "t", "at": 1.0, "meta": {"args": meta}, **values})
    read = read_entry(told.entry())
    assert read.task_id == recorded_id(values.get("task_id", "t"))
    assert all(len(str(getattr(read, name))) <= 255 for name in REACHED)
