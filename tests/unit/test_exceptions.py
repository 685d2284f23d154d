"""The exception that Celery's stand-in stands for."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from celery.exceptions import ChordError
from celery.utils.serialization import UnpickleableExceptionWrapper, get_pickleable_exception

from jobs.pipeline.exceptions import original
from tests.tasks_observed import ClientError, ServerError


class Odd(Exception):
    """Its `args` are nobody's business."""

    args = None  # type: ignore[assignment]


def chord_error(message: str, cause: Exception) -> ChordError:
    """As Celery makes it of what the header raised."""
    error = ChordError(message)
    error.__cause__ = cause
    return error


def handled(raised: Exception, then: Callable[[], Any]) -> Any:
    """What `then` gives while `raised` is being handled."""
    try:
        raise raised
    except Exception:  # noqa: BLE001
        return then()


@pytest.mark.parametrize("kind", [ClientError, ServerError])
def test_it_is_what_is_being_handled(kind: type[Exception]) -> None:
    raised = kind(404, "gone")
    stand_in = get_pickleable_exception(raised)
    assert type(stand_in) is not kind
    assert handled(raised, lambda: original(stand_in)) is raised
    # A task that retries itself handles Celery's `Retry`, which it raised while it handled the error.
    assert handled(raised, lambda: handled(ValueError(), lambda: original(stand_in))) is raised


def test_what_is_handled_and_is_another_is_not_taken_for_it() -> None:
    other = LookupError("503: away")
    assert original(other) is other
    assert handled(ServerError(503, "away"), lambda: original(other)) is other, "equal, and not the same"
    assert handled(Odd(), lambda: original(other)) is other


def test_out_of_reach_it_has_its_name_and_what_it_said() -> None:
    found = original(get_pickleable_exception(ClientError(404, "gone")))
    assert (type(found).__module__, type(found).__name__) == (ClientError.__module__, "ClientError")
    assert found.args == ("404: gone",)


def test_a_chord_tells_what_its_header_raised() -> None:
    kept = json.loads(json.dumps(get_pickleable_exception(ClientError(404, "gone")).args))
    cause = UnpickleableExceptionWrapper(*kept)  # as it comes out of Redis
    error = chord_error(f"Dependency x raised {cause!r}", cause)
    found = handled(error, lambda: original(error))
    assert isinstance(found, ChordError) and str(found) == "Dependency x raised ClientError('404: gone')"
    assert type(found.__cause__).__name__ == "ClientError"


@pytest.mark.parametrize("name", ["a\0b", 7, None, ["x"]])
def test_a_name_that_is_none_leaves_it_as_it_is(name: Any) -> None:
    odd = UnpickleableExceptionWrapper("somewhere", name, (), None)
    assert original(odd) is odd
    assert original(chord_error("no", odd)).__cause__ is odd


def test_a_ring_of_causes_ends() -> None:
    first, second = ValueError(1), ValueError(2)
    first.__cause__, second.__cause__ = second, first
    stand_in = get_pickleable_exception(ClientError(404, "gone"))
    assert type(handled(first, lambda: original(stand_in))).__name__ == "ClientError"
