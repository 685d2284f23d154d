"""Parameters: from a signature to fields, to JSON, and back to equal values."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from jobs.catalog.parameters import Kind, Parameters
from jobs.errors import ConfigurationError, InvalidArguments


def sample(
    day: Annotated[date, Field(title="From", description="First day.")],
    count: Annotated[int, Field(ge=1, le=10)],
    mode: Literal["fast", "full"] = "fast",
    note: str | None = None,
    loud: bool = False,
    extra: dict[str, int] | None = None,
) -> None: ...


def test_fields_tell_a_form_what_to_ask() -> None:
    fields = {field.name: field for field in Parameters(sample).fields}
    assert (fields["day"].label, fields["day"].help, fields["day"].kind) == ("From", "First day.", Kind.DATE)
    assert (fields["count"].minimum, fields["count"].maximum, fields["count"].required) == (1, 10, True)
    assert (fields["mode"].choices, fields["mode"].default) == (("fast", "full"), "fast")
    assert [fields[n].kind for n in ("note", "loud", "extra")] == [Kind.TEXT, Kind.SWITCH, Kind.JSON]
    assert not fields["note"].required


@given(st.dates(), st.integers(1, 10), st.sampled_from(["fast", "full"]), st.none() | st.text())
def test_what_the_body_receives_equals_what_was_entered(day: date, count: int, mode: str, note: str | None) -> None:
    parameters = Parameters(sample)
    message = parameters.to_json({"day": day, "count": count, "mode": mode, "note": note})
    received = parameters.to_python(message)
    assert {k: received[k] for k in ("day", "count", "mode", "note")} == {
        "day": day, "count": count, "mode": mode, "note": note,
    }  # fmt: skip
    assert type(received["day"]) is date


def test_each_wrong_value_is_named_by_its_field() -> None:
    with pytest.raises(InvalidArguments) as refused:
        Parameters(sample).to_json({"day": "2026-02-30", "count": 11, "mode": "slow", "unknown": 1})
    assert set(refused.value.fields) == {"day", "count", "mode", "unknown"}
    assert all(sentence.endswith(".") for sentence in refused.value.fields.values())
    assert str(refused.value).startswith("Nothing was started: 4 fields to correct")


def test_a_bound_task_does_not_ask_for_itself() -> None:
    def bound(self: Any, at: datetime) -> None: ...

    # The hints of a function inside a function cannot be looked up by name; hand over the evaluated ones.
    bound.__annotations__ = {"self": Any, "at": datetime}
    assert [field.name for field in Parameters(bound, bound=True).fields] == ["at"]


@pytest.mark.parametrize("kind", ["positional-only", "variadic positional", "variadic keyword"])
def test_a_parameter_without_a_name_is_refused_when_the_job_is_declared(kind: str) -> None:
    def positional(a: Any, /) -> None: ...
    def variadic(*a: Any) -> None: ...
    def keywords(**a: Any) -> None: ...

    functions: dict[str, Callable[..., Any]] = {
        "positional-only": positional,
        "variadic positional": variadic,
        "variadic keyword": keywords,
    }
    function = functions[kind]
    function.__annotations__ = {}
    with pytest.raises(ConfigurationError, match=kind):
        Parameters(function)
