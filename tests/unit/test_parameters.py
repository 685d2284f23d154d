"""Parameters: from a signature to fields, to JSON, and back to equal values."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    Field,
    HttpUrl,
    Json,
    SecretStr,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import ErrorDetails
from pydantic_core._pydantic_core import list_all_errors

from jobs.catalog.fields import Kind
from jobs.catalog.hints import SECRET_PREFIX, File
from jobs.catalog.parameters import Call, Parameters
from jobs.catalog.refusals import refusal
from jobs.errors import ConfigurationError, InvalidArguments
from jobs.pipeline.arguments import decode, encode

#: Null characters are refused, which has a test of its own.
TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=30)


class Colour(Enum):
    RED = "r"
    DEEP_BLUE = "b"


def sample(
    day: Annotated[date, Field(title="From", description="First day.")],
    count: Annotated[int, Field(ge=1, le=10)],
    mode: Literal["fast", "full"] = "fast",
    note: str | None = None,
    loud: bool = False,
    extra: dict[str, int] | None = None,
) -> None: ...


def every_kind(
    when: datetime,
    lasts: timedelta,
    price: Decimal,
    key: UUID,
    colour: Colour,
    colours: list[Colour],
    days: list[date],
    share: float,
    secret: SecretStr,
    text: Annotated[str, Field(max_length=5000)],
    anything: Any = None,
    odd: int | str = 1,
) -> None: ...


def test_fields_tell_a_form_what_to_ask() -> None:
    fields = {field.name: field for field in Parameters(sample).fields}
    assert (fields["day"].label, fields["day"].help, fields["day"].kind) == ("From", "First day.", Kind.DATE)
    assert (fields["count"].minimum, fields["count"].maximum, fields["count"].required) == (1, 10, True)
    assert [choice.value for choice in fields["mode"].choices] == ["fast", "full"]
    assert fields["mode"].default == "fast"
    assert [fields[n].kind for n in ("note", "loud", "extra")] == [Kind.TEXT, Kind.SWITCH, Kind.JSON]
    assert (fields["note"].required, fields["note"].nullable, fields["loud"].nullable) == (False, True, False)
    assert fields["extra"].note == "Typed in as JSON; checked as dict[str, int]."


def test_every_kind_is_told_apart() -> None:
    fields = {field.name: field for field in Parameters(every_kind).fields}
    assert {name: field.kind for name, field in fields.items()} == {
        "when": Kind.MOMENT,
        "lasts": Kind.DURATION,
        "price": Kind.DECIMAL,
        "key": Kind.UUID,
        "colour": Kind.CHOICE,
        "colours": Kind.CHOICES,
        "days": Kind.LINES,
        "share": Kind.NUMBER,
        "secret": Kind.SECRET,
        "text": Kind.LONG_TEXT,
        "anything": Kind.JSON,
        "odd": Kind.JSON,
    }
    assert [(c.text, c.label) for c in fields["colour"].choices] == [("r", "Red"), ("b", "Deep blue")]


@given(st.dates(), st.integers(1, 10), st.sampled_from(["fast", "full"]), st.none() | TEXT)
def test_what_the_body_receives_equals_what_was_entered(day: date, count: int, mode: str, note: str | None) -> None:
    parameters = Parameters(sample)
    entered = {"day": day, "count": count, "mode": mode, "note": note}
    sent = parameters.to_json(entered)
    received = parameters.to_python(sent.args, json.loads(json.dumps(sent.kwargs))).kwargs
    assert {name: received[name] for name in entered} == entered
    assert type(received["day"]) is date


#: A hint, a strategy for its values, and whether None may stand in.
ZONES = st.builds(lambda minutes: timezone(timedelta(minutes=minutes)), st.integers(-12 * 60, 14 * 60))
HINTS: dict[Any, st.SearchStrategy[Any]] = {
    int: st.integers(),
    bool: st.booleans(),
    float: st.floats(allow_nan=False, allow_infinity=False),
    str: TEXT,
    date: st.dates(),
    AwareDatetime: st.datetimes(timezones=ZONES),
    timedelta: st.timedeltas(timedelta(days=-9999), timedelta(days=9999)),
    Decimal: st.decimals(allow_nan=False, allow_infinity=False, places=4),
    UUID: st.uuids(),
    Colour: st.sampled_from(Colour),
    list[int]: st.lists(st.integers(), max_size=4),
    list[str]: st.lists(TEXT, max_size=4),
    list[Colour]: st.lists(st.sampled_from(Colour), max_size=4),
    dict[str, int]: st.dictionaries(TEXT, st.integers(), max_size=3),
}


@given(st.data())
def test_a_generated_signature_brings_back_what_it_was_given(data: st.DataObject) -> None:
    hints = data.draw(st.lists(st.sampled_from(list(HINTS)), min_size=1, max_size=6))
    optional = data.draw(st.lists(st.booleans(), min_size=len(hints), max_size=len(hints)))
    positional = data.draw(st.integers(0, len(hints)))
    names = [f"a{number}" for number in range(len(hints))]
    spelled = ", ".join([*names[:positional], *(["/"] if positional else []), *names[positional:]])
    namespace: dict[str, Any] = {}
    exec(f"def generated({spelled}): ...", namespace)  # noqa: S102
    function = namespace["generated"]
    function.__module__ = __name__
    function.__annotations__ = {
        name: (hint | None if may_be_none and not isinstance(hint, str) else hint)
        for name, hint, may_be_none in zip(names, hints, optional, strict=True)
    }
    values = {
        name: data.draw(st.none() | HINTS[hint] if may_be_none else HINTS[hint])
        for name, hint, may_be_none in zip(names, hints, optional, strict=True)
    }
    parameters = Parameters(function)
    sent = parameters.to_json(values)
    over_the_wire = json.loads(json.dumps([sent.args, sent.kwargs]))
    received = parameters.bind(*over_the_wire)
    typed = parameters.typed(received)
    assert typed == values
    assert [type(typed[name]) for name in names] == [type(values[name]) for name in names]


def test_each_wrong_value_is_named_by_its_field() -> None:
    with pytest.raises(InvalidArguments) as refused:
        Parameters(sample).to_json({"day": "2026-02-30", "count": 11, "mode": "slow", "unknown": 1})
    assert set(refused.value.fields) == {"day", "count", "mode", "unknown"}
    assert all(sentence.endswith(".") for sentence in refused.value.fields.values())
    assert str(refused.value).startswith("Nothing was started: 4 fields to correct")


SAID: list[tuple[Any, Any, str]] = [
    (int, "x", "Enter a whole number."),
    (int, 1.5, "Enter a whole number."),
    (int, "9" * 5000, "This number has too many digits."),
    (float, "x", "Enter a number such as 0.5."),
    (float, "NaN", "Enter a number; infinity and NaN are none."),
    (Decimal, "1,5", "Enter a number such as 0.5."),
    (Annotated[int, Field(gt=1000)], 1, "Enter more than 1,000."),
    (Annotated[int, Field(ge=1000)], 1, "Enter 1,000 or more."),
    (Annotated[float, Field(lt=0.5)], 1, "Enter less than 0.5."),
    (Annotated[Decimal, Field(le=Decimal("1000.50"))], 1001, "Enter 1,000.50 or less."),
    (Annotated[int, Field(multiple_of=5000)], 1, "Enter a multiple of 5,000."),
    (Annotated[Decimal, Field(max_digits=3)], "1.234", "Digits in all: at most 3."),
    (Annotated[Decimal, Field(decimal_places=2)], "1.234", "Digits after the point: at most 2."),
    (Annotated[Decimal, Field(max_digits=3, decimal_places=2)], "12", "Digits before the point: at most 1."),
    (Annotated[date, Field(ge=date(2026, 1, 1))], "2025-01-01", "Enter 2026-01-01 or later."),
    (Annotated[date, Field(lt=date(2026, 1, 1))], "2026-01-01", "Enter one before 2026-01-01."),
    (Annotated[datetime, Field(le=datetime(2026, 1, 1, tzinfo=UTC))], "2027-01-01T00:00Z", " or earlier."),
    (Annotated[timedelta, Field(le=timedelta(minutes=90))], "PT2H", "Enter 1 hour and 30 minutes or less."),
    (str, 1, "Enter a text."),
    (Annotated[str, Field(max_length=5000)], "x" * 6012, "At most 5,000 characters; these are 6,012."),
    (Annotated[str, Field(min_length=2)], "x", "At least 2 characters; this is 1."),
    (Annotated[str, Field(pattern="^a+$")], "b", "This must fit the pattern “^a+$”."),
    (Annotated[list[int], Field(max_length=2)], [1, 2, 3], "At most 2 of them; these are 3."),
    (Annotated[list[int], Field(min_length=2)], [1], "At least 2 of them; this is 1."),
    (Annotated[set[int], Field(max_length=1)], [1, 2, 3], "At most 1 of them; these are 3."),
    (list[int], {}, "Enter a list, such as [1, 2]."),
    (list[int], [1, "x"], "Line 2: Enter a whole number."),
    (list[date], ["2026-01-01", "x"], "Line 2: Enter a date such as 2026-09-30."),
    (dict[str, int], [], 'Enter an object, such as {"name": 1}.'),
    (Literal["a", "b", 3], "x", "Choose 'a', 'b' or 3."),
    (Colour, "x", "Choose 'r' or 'b'."),
    (bool, "x", "Choose yes or no."),
    (date, "x", "Enter a date such as 2026-09-30."),
    (date, "2026-09-30T10:00", "Enter a date without a time, such as 2026-09-30."),
    (datetime, "x", "Enter a day and a time such as 2026-09-30T14:30."),
    (datetime, "2026-09-30T14:30", "Enter it with its zone, such as 2026-09-30T14:30Z."),
    (time, "x", "Enter a time such as 14:30."),
    (timedelta, "x", "Enter a duration such as 01:30:00 or PT1H30M."),
    (UUID, "zzz", "Enter a UUID such as 123e4567-e89b-12d3-a456-426614174000."),
    (HttpUrl, "x", "Enter an address such as https://example.org/page."),
    (HttpUrl, "ftp://x", "Its beginning must be 'http' or 'https', followed by ://."),
    (Json, "{x", "This is not JSON: "),
]  # fmt: skip


@pytest.mark.parametrize(("hint", "value", "sentence"), SAID, ids=[f"{s[0]}"[:40] for s in SAID])
def test_what_does_not_fit_is_said_in_a_sentence_for_staff(hint: Any, value: object, sentence: str) -> None:
    def asked(x: Any) -> None: ...

    asked.__annotations__ = {"x": hint}
    with pytest.raises(InvalidArguments) as refused:
        Parameters(asked).to_json({"x": value})
    assert sentence in refused.value.fields["x"] and "Input" not in refused.value.fields["x"]


def test_no_error_of_pydantic_is_shown_in_its_own_words() -> None:
    for kind in list_all_errors():
        if kind["type"] in ("value_error", "assertion_error"):  # an author's own
            continue
        facts = kind.get("example_context") or {}
        raw = kind["message_template_python"]
        item: ErrorDetails = {"type": kind["type"], "loc": (), "msg": raw, "input": None, "ctx": facts}
        said = refusal(item)
        assert said.endswith(".") and said.rstrip(".") != raw.rstrip("."), kind["type"]


def test_an_authors_own_error_is_shown_as_it_is() -> None:
    def even(value: int) -> int:
        if value % 2:
            raise ValueError("Choose an even number.")
        return value

    with pytest.raises(ValidationError) as refused:
        TypeAdapter(Annotated[int, AfterValidator(even)]).validate_python(1)
    assert refusal(refused.value.errors()[0]) == "Choose an even number."


def test_wrong_asks_only_for_what_is_there() -> None:
    assert Parameters(sample).wrong({"count": 11, "mode": "fast", "note": "\0"}).keys() == {"count", "note"}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "NaN", "-Infinity"])
def test_what_json_cannot_carry_is_refused(value: object) -> None:
    def share(x: float) -> None: ...

    share.__annotations__ = {"x": float}
    with pytest.raises(InvalidArguments) as refused:
        Parameters(share).to_json({"x": value})
    assert set(refused.value.fields) == {"x"}


def test_a_secret_travels_encrypted() -> None:
    def connect(password: SecretStr, token: str) -> None: ...

    connect.__annotations__ = {"password": SecretStr, "token": str}
    parameters = Parameters(connect, secrets=["token"])
    sent = parameters.to_json({"password": "canary-1", "token": "canary-2"})
    assert "canary" not in repr(sent)
    assert all(value.startswith(SECRET_PREFIX) for value in sent.kwargs.values())
    received = parameters.to_python(sent.args, sent.kwargs).kwargs
    assert (received["password"].get_secret_value(), received["token"]) == ("canary-1", "canary-2")
    assert parameters.secrets == {"password", "token"}


def test_a_bound_task_does_not_ask_for_itself() -> None:
    def bound(self: Any, at: datetime) -> None: ...

    # The hints of a function inside a function cannot be looked up by name; hand over the evaluated ones.
    bound.__annotations__ = {"self": Any, "at": datetime}
    assert [field.name for field in Parameters(bound, bound=True).fields] == ["at"]


def _spread(first: Any, *rest: Any, flag: Any = True, **more: Any) -> None: ...
def _positional(a: Any, b: Any = 2, /) -> None: ...
def _awkward(copy: Any, json: Any, model_fields: Any = 0) -> None: ...


@pytest.mark.parametrize(
    ("function", "values", "call"),
    [
        (_spread, {"first": 1}, Call([], {"first": 1, "flag": True})),
        (_spread, {"first": 1, "rest": [2], "more": {"x": 3}}, Call([1, 2], {"flag": True, "x": 3})),
        (_positional, {"a": 1}, Call([1, 2], {})),
        (_awkward, {"copy": 1, "json": 2}, Call([], {"copy": 1, "json": 2, "model_fields": 0})),
    ],
)
def test_every_kind_of_parameter_reaches_its_place(
    function: Callable[..., Any], values: dict[str, Any], call: Call
) -> None:
    parameters = Parameters(function)
    sent = parameters.to_json(values)
    assert sent == call
    function(*sent.args, **sent.kwargs)
    assert parameters.to_python(sent.args, sent.kwargs) == call


def test_defaults_without_hints_tell_the_kind() -> None:
    def unhinted(count=3, name="x", loud=True, other=None): ...  # type: ignore[no-untyped-def]

    assert [field.kind for field in Parameters(unhinted).fields] == [
        Kind.WHOLE_NUMBER, Kind.TEXT, Kind.SWITCH, Kind.JSON,
    ]  # fmt: skip


def test_a_hint_that_cannot_be_checked_names_its_parameter() -> None:
    def strange(good: int, bad: object) -> None: ...

    strange.__annotations__ = {"good": int, "bad": type("Opaque", (), {})}
    with pytest.raises(ConfigurationError, match="type of the parameter bad cannot be checked"):
        Parameters(strange)


def test_a_hint_that_cannot_be_resolved_says_what_to_do() -> None:
    def strange(a: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(ConfigurationError, match="outside `if TYPE_CHECKING`"):
        Parameters(strange)


def test_arguments_that_do_not_fit_the_signature_are_refused() -> None:
    with pytest.raises(InvalidArguments) as refused:
        Parameters(sample).to_python([1, 2, 3, 4, 5, 6, 7], {})
    assert refused.value.fields[""].startswith("The arguments do not fit the parameters")


def _proposals(amount=0, rate=0.5, name="x", loud=False): ...  # type: ignore[no-untyped-def]


@pytest.mark.parametrize(
    "given",
    [{"amount": 12.5}, {"amount": "12,5"}, {"amount": [1]}, {"rate": 3}, {"name": 7}, {"loud": 2}, {"amount": None}],
)
def test_a_default_without_a_hint_proposes_and_rules_nothing(given: dict[str, Any]) -> None:
    parameters = Parameters(_proposals)
    sent = parameters.to_json(given)
    received = parameters.to_python(sent.args, json.loads(json.dumps(sent.kwargs))).kwargs
    (name,) = given
    assert received[name] == given[name] and type(received[name]) is type(given[name])


_NOBODY_ELSE_KNOWS = object()


def _own_defaults(a: Any = 1, turn=print, marker=_NOBODY_ELSE_KNOWS, wait=timedelta(1), kind=Colour.RED): ...  # type: ignore[no-untyped-def]


def test_a_default_that_is_no_json_stays_the_functions_own() -> None:
    parameters = Parameters(_own_defaults)
    call, typed = parameters.check({"a": 2})
    assert call == Call([], {"a": 2}), "what nobody gave and no message can carry does not travel"
    assert typed["turn"] is print and typed["marker"] is _NOBODY_ELSE_KNOWS
    received = parameters.to_python([], {"a": 2}).kwargs
    assert received["marker"] is _NOBODY_ELSE_KNOWS and received["wait"] == timedelta(1)
    assert [field.default for field in parameters.fields] == [1, None, None, timedelta(1), Colour.RED]


def _unfit_defaults(count: Annotated[int, Field(ge=1)] = 0, day: date = None, word: str = "w"): ...  # type: ignore[no-untyped-def, assignment]  # noqa: RUF013


def test_a_default_that_was_not_given_is_not_checked() -> None:
    parameters = Parameters(_unfit_defaults)
    call, typed = parameters.check({})
    assert call.kwargs == {"word": "w"}, "a worker would refuse what is given and does not fit"
    assert (typed["count"], typed["day"], typed["word"]) == (0, None, "w")
    parameters.to_python(call.args, call.kwargs)
    with pytest.raises(InvalidArguments) as refused:
        parameters.check({"count": 0})
    assert set(refused.value.fields) == {"count"}, "what is given is checked, and nothing else is told of"
    with pytest.raises(InvalidArguments) as refused:
        parameters.to_json({"word": 3})
    assert set(refused.value.fields) == {"word"}


def _left_between(a: Any = _NOBODY_ELSE_KNOWS, b: Any = 2, /, c: Any = 3, *rest: Any) -> None: ...


def test_what_has_a_place_needs_what_stands_before_it() -> None:
    with pytest.raises(InvalidArguments) as refused:
        Parameters(_left_between).to_json({"b": 1})
    assert set(refused.value.fields) == {"a"}
    assert Parameters(_left_between).to_json({"a": 5, "rest": [4]}).args == [5, 2, 3, 4]


def _bytes(raw: bytes, anything: Any = None, table: dict[str, Any] | None = None) -> None: ...


@pytest.mark.parametrize("place", ["raw", "anything", "table"])
def test_bytes_that_are_no_text_travel(place: str) -> None:
    value: Any = b"\xff\xfe"
    given = {"raw": b"a"} | {place: {"deep": [value]} if place == "table" else value}
    parameters = Parameters(_bytes)
    text, exact = encode(*(lambda call: (call.args, call.kwargs))(parameters.to_json(given)))
    assert exact
    received = parameters.to_python(*decode(text)).kwargs
    assert received[place] == given[place]


def test_what_is_nested_too_deeply_is_refused_in_words() -> None:
    deep: Any = 1
    for _ in range(350):
        deep = {"a": deep}
    with pytest.raises(InvalidArguments) as refused:
        Parameters(_bytes).to_json({"raw": b"", "table": {"t": object()}})
    assert set(refused.value.fields) == {"table"}
    with suppress(InvalidArguments):
        Parameters(_bytes).to_json({"raw": b"", "table": {"t": deep}})
    with suppress(InvalidArguments):
        Parameters(_bytes).to_json({"raw": b"", "anything": deep})


def test_whatever_the_jobs_own_check_raises_is_a_refusal() -> None:
    def boom(**_: Any) -> None:
        raise KeyError("customer")

    with pytest.raises(InvalidArguments) as refused:
        Parameters(_bytes, check=boom).to_json({"raw": b""})
    assert "KeyError" in refused.value.fields[""]


class Branch(BaseModel):
    """A model that holds itself."""

    twigs: list[Branch] = []
    leaf: File | None = None


def test_a_model_that_holds_itself_says_that_it_holds_files() -> None:
    def function(tree: Branch, trees: dict[str, list[Branch]], plain: dict[str, int]) -> None: ...

    notes = [field.note for field in Parameters(function).fields]
    assert ["files" in note for note in notes] == [True, True, False]
