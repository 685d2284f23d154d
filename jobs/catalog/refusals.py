"""What a person reads where a value does not fit: one sentence for each kind of error that pydantic tells."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic_core import ErrorDetails

#: A choice among more than this is better looked up than read.
LONGEST_EXPECTED = 300
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d|\d\d:\d\d:\d\d")
#: Words with at least one letter, and nothing that JSON is made of.
_PLAIN_TEXT = re.compile(r"(?=.*[^\W\d_])[\w .@/+-]{1,60}")
#: Python's own words: whoever types them means no text.
_NO_TEXT = {"true", "false", "none", "null", "nan", "infinity", "-infinity"}
_Facts = Mapping[str, Any]


def refusal(item: ErrorDetails) -> str:
    """The sentence of one error, with its full stop; an author's own error says what the author wrote."""
    found = _SENTENCES.get(item["type"])
    if found is None:
        own = item["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
        return own.rstrip(".") + "."
    if isinstance(found, str):
        return found + "."
    return found(item.get("ctx", {}), item.get("input")) + "."


def quotes_wanted(text: str) -> str:
    """`Text needs quotes: "blue".` for what was typed in as JSON and would be text; "" for anything else."""
    bare = text.strip().strip("'")
    if bare.lower() in _NO_TEXT or not _PLAIN_TEXT.fullmatch(bare):
        return ""
    return f'Text needs quotes: "{bare}".'


def _said(bound: Any) -> str:
    """`1,000`, `0.5`, `2026-01-01`, `1 hour and 30 minutes`."""
    return bound if isinstance(bound, str) else f"{bound:,}"


def _bound(name: str, number: str, moment: str) -> Callable[[_Facts, Any], str]:
    """A limit of numbers and durations, or of days and times, which are not more or less but later or earlier."""

    def told(facts: _Facts, _: Any) -> str:
        said = _said(facts[name])
        return (moment if _MOMENT.match(said) else number).format(said)

    return told


def _figure(name: str, sentence: str) -> Callable[[_Facts, Any], str]:
    return lambda facts, _: sentence.format(_said(facts[name]))


def _length(name: str, sentence: str, unit: str) -> Callable[[_Facts, Any], str]:
    """`At most 5,000 characters; these are 6,012`."""

    def told(facts: _Facts, given: Any) -> str:
        actual = facts.get("actual_length") or (len(given) if isinstance(given, (str, bytes, list, dict)) else None)
        plural = unit if facts[name] != 1 or not unit.endswith("s") else unit[:-1]
        said = f"{sentence} {facts[name]:,}{plural}"
        if actual is None:
            return said
        return f"{said}; {'this is' if actual == 1 else 'these are'} {actual:,}"

    return told


def _expected(facts: _Facts, _: Any) -> str:
    wanted = str(facts["expected"])
    return f"Choose {wanted}" if len(wanted) <= LONGEST_EXPECTED else "Choose one of the options"


def _offset(facts: _Facts, _: Any) -> str:
    sign, minutes = ("-" if facts["tz_expected"] < 0 else "+"), abs(facts["tz_expected"]) // 60
    return f"Enter it with the offset {sign}{minutes // 60:02}:{minutes % 60:02}"


def _of_kinds(kinds: str, sentence: str) -> dict[str, str]:
    return dict.fromkeys(kinds.split(), sentence)


_NUMBER = "Enter a number such as 0.5"
_DATE = "Enter a date such as 2026-09-30"
_MOMENT_WANTED = "Enter a day and a time such as 2026-09-30T14:30"
_UUID = "Enter a UUID such as 123e4567-e89b-12d3-a456-426614174000"
_URL = "Enter an address such as https://example.org/page"
_OTHER = "This is not the kind of value that is asked for"

_SENTENCES: dict[str, str | Callable[[_Facts, Any], str]] = {
    "missing": "Enter a value",
    "extra_forbidden": "There is no such parameter",
    "none_required": "Leave it empty",
    **_of_kinds("int_type int_parsing int_from_float", "Enter a whole number"),
    "int_parsing_size": "This number has too many digits",
    **_of_kinds("float_type float_parsing decimal_type decimal_parsing", _NUMBER),
    **_of_kinds("complex_type complex_str_parsing", "Enter a complex number such as 1+2j"),
    **_of_kinds("fraction_type fraction_parsing", "Enter a fraction such as 1/3"),
    "finite_number": "Enter a number; infinity and NaN are none",
    "greater_than": _bound("gt", "Enter more than {}", "Enter one after {}"),
    "greater_than_equal": _bound("ge", "Enter {} or more", "Enter {} or later"),
    "less_than": _bound("lt", "Enter less than {}", "Enter one before {}"),
    "less_than_equal": _bound("le", "Enter {} or less", "Enter {} or earlier"),
    "multiple_of": _figure("multiple_of", "Enter a multiple of {}"),
    "decimal_max_digits": _figure("max_digits", "Digits in all: at most {}"),
    "decimal_max_places": _figure("decimal_places", "Digits after the point: at most {}"),
    "decimal_whole_digits": _figure("whole_digits", "Digits before the point: at most {}"),
    **_of_kinds("bool_type bool_parsing", "Choose yes or no"),
    **_of_kinds("string_type string_sub_type", "Enter a text"),
    "string_unicode": "A text in it has half a character, such as \\ud800 alone",
    "string_not_ascii": "Use letters, digits and signs without accents",
    "string_too_short": _length("min_length", "At least", " characters"),
    "string_too_long": _length("max_length", "At most", " characters"),
    "string_pattern_mismatch": _figure("pattern", "This must fit the pattern “{}”"),
    "bytes_type": "Enter a text",
    "bytes_too_short": _length("min_length", "At least", " bytes"),
    "bytes_too_long": _length("max_length", "At most", " bytes"),
    "bytes_invalid_encoding": _figure("encoding", "This cannot be read as {}"),
    **dict.fromkeys(("enum", "literal_error"), _expected),
    "too_short": _length("min_length", "At least", " of them"),
    "too_long": _length("max_length", "At most", " of them"),
    **_of_kinds(
        "list_type tuple_type set_type frozen_set_type deque_type iterable_type iteration_error",
        "Enter a list, such as [1, 2]",
    ),
    **_of_kinds(
        "dict_type mapping_type frozen_dict_type ordered_dict_type counter_type model_type model_attributes_type "
        "dataclass_type dataclass_exact_type named_tuple_type arguments_type",
        'Enter an object, such as {"name": 1}',
    ),
    "invalid_key": "The names in it must be texts",
    "set_item_not_hashable": "What stands in it must be plain values, not lists or objects",
    **_of_kinds("recursion_loop recursion_depth_exceeded", "This is nested too deeply"),
    **_of_kinds("date_type date_parsing date_from_datetime_parsing", _DATE),
    "date_from_datetime_inexact": "Enter a date without a time, such as 2026-09-30",
    **_of_kinds("date_past datetime_past", "Enter one that has passed"),
    **_of_kinds("date_future datetime_future", "Enter one to come"),
    **_of_kinds("time_type time_parsing", "Enter a time such as 14:30"),
    **_of_kinds("datetime_type datetime_parsing datetime_object_invalid datetime_from_date_parsing", _MOMENT_WANTED),
    "timezone_aware": "Enter it with its zone, such as 2026-09-30T14:30Z",
    "timezone_naive": "Enter it without a zone, such as 2026-09-30T14:30",
    "timezone_offset": _offset,
    **_of_kinds("time_delta_type time_delta_parsing", "Enter a duration such as 01:30:00 or PT1H30M"),
    **_of_kinds("uuid_type uuid_parsing", _UUID),
    "uuid_version": _figure("expected_version", "Enter a UUID of version {}"),
    **_of_kinds("url_type url_parsing url_syntax_violation", _URL),
    "url_too_long": _length("max_length", "At most", " characters"),
    "url_scheme": _figure("expected_schemes", "Its beginning must be {}, followed by ://"),
    "json_invalid": _figure("error", "This is not JSON: {}"),
    "json_type": "Enter a text that is JSON",
    "union_tag_invalid": lambda facts, _: f"Its {facts['discriminator']} must be one of {facts['expected_tags']}",
    "union_tag_not_found": _figure("discriminator", "It must say its {}"),
    "missing_argument": "Enter a value",
    # No form can send these: they are about Python objects and calls.
    **_of_kinds(
        "no_such_attribute get_attribute_error needs_python_object frozen_field frozen_instance is_instance_of "
        "is_subclass_of callable_type default_factory_not_called missing_sentinel_error ellipsis_error "
        "unexpected_keyword_argument missing_keyword_only_argument unexpected_positional_argument "
        "missing_positional_only_argument multiple_argument_values",
        _OTHER,
    ),
}
