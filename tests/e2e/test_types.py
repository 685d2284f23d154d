"""Every type through a real worker: what the body receives equals what was entered, or it is refused by its name."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from celery import current_app
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from redis import Redis

from jobs import File
from jobs.catalog.registry import find_job
from jobs.errors import InvalidArguments
from jobs.ledger.audit import Actor
from jobs.ledger.refill import refill_from_run
from jobs.ledger.run_page import outcome, run_page
from jobs.ledger.start import start_run
from jobs.models import AuditEvent, Run
from jobs.states import State
from tests import jobs_under_test as under_test
from tests.e2e.conftest import finished
from tests.e2e.processes import Stack, wait_for
from tests.jobs_under_test import Size, told

HOSTILE = "'\"; DROP TABLE x; -- <script>alert(1)</script> {{7*7}} \u202e é 😀 \\ \n\t"
VILNIUS = ZoneInfo("Europe/Vilnius")
LAST_OF_WINTER = datetime(2026, 3, 29, 0, 59, 59, 999999, tzinfo=UTC)
GOOD: list[tuple[str, Any, Any]] = [
    ("whole", "7", 7),
    ("whole", -1, -1),
    ("whole", 10**40, 10**40),
    ("number", "0.1", 0.1),
    ("number", 1e308, 1e308),
    ("number", -0.0, -0.0),
    ("price", "1.10", Decimal("1.10")),
    ("price", Decimal("1E-28"), Decimal("1E-28")),
    ("switch", False, False),
    ("text", "", ""),
    ("text", HOSTILE, HOSTILE),
    ("text", "x" * 200_000, "x" * 200_000),
    ("day", "2028-02-29", date(2028, 2, 29)),
    ("day", date.min, date.min),
    ("moment", LAST_OF_WINTER, LAST_OF_WINTER),
    ("lasts", timedelta(days=-1, microseconds=1), timedelta(days=-1, microseconds=1)),
    ("lasts", timedelta(days=400, seconds=1), timedelta(days=400, seconds=1)),
    ("key", "123e4567-e89b-12d3-a456-426614174000", UUID("123e4567-e89b-12d3-a456-426614174000")),
    ("size", 2, Size.LARGE),
    ("size", Size.SMALL, Size.SMALL),
    ("mode", 3, 3),
    ("numbers", ["1", 2, -3], [1, 2, -3]),
    ("numbers", [], []),
    ("days", ["2026-01-31", date(2024, 2, 29)], [date(2026, 1, 31), date(2024, 2, 29)]),
    ("sizes", [2, 1], [Size.LARGE, Size.SMALL]),
    ("table", {"a": ["1"], HOSTILE: []}, {"a": [1], HOSTILE: []}),
    ("anything", {"deep": [{"x": None}, 1.5, "y"]}, {"deep": [{"x": None}, 1.5, "y"]}),
]  # fmt: skip
WRONG: list[tuple[str, Any]] = [
    ("whole", "1.5"),
    ("whole", "many"),
    ("number", "NaN"),
    ("number", float("inf")),
    ("price", "NaN"),
    ("switch", "perhaps"),
    ("text", "a\x00b"),
    ("text", "x" * 1_000_000),
    ("text", "\ud800"),
    ("text", 7),
    ("day", "2026-02-29"),
    ("day", "yesterday"),
    ("moment", "2026-03-29T01:30:00"),  # no zone
    ("lasts", "a while"),
    ("key", "123"),
    ("size", 3),
    ("mode", "3"),
    ("numbers", ["1", "x"]),
    ("days", ["2026-02-30"]),
    ("person", 99_999_999),
    ("person", "x' OR 1=1"),
    ("people", [99_999_999]),
    ("file", {"path": "../../etc/passwd", "name": "x", "size": 1}),
    ("file", {"path": "uploads/gone", "name": "gone.csv", "size": 1}),
    ("table", {"a": "b"}),
    ("anything", {"a": "\x00"}),
    ("unknown_key", 1),
]


def run_with(actor: Actor, **values: Any) -> Run:
    run = finished(start_run(find_job(under_test.echo_types.name), values, actor=actor).run.task_id)
    assert run.state == State.SUCCEEDED, run.error_message
    return run


def received(run: Run) -> dict[str, Any]:
    (line,) = under_test.book(run.task_id)
    values: dict[str, Any] = line["received"]
    return values


def test_every_good_value_arrives_as_it_was_entered(stack: Stack, actor: Actor) -> None:
    started = []
    for name, entered, expected in GOOD:
        run = start_run(find_job(under_test.echo_types.name), {name: entered}, actor=actor).run
        started.append((run, name, expected))
    for run, name, expected in started:
        assert finished(run.task_id, 60).state == State.SUCCEEDED, name
        assert received(run)[name] == told(expected), name


@pytest.mark.parametrize(("name", "value"), WRONG, ids=lambda v: repr(v)[:30])
def test_every_wrong_value_is_refused_beside_its_field(stack: Stack, actor: Actor, name: str, value: Any) -> None:
    before = Run.objects.count()
    with pytest.raises(InvalidArguments) as refused:
        start_run(
            find_job(under_test.echo_types.name),
            {name: value, "switch" if name != "switch" else "whole": 1},
            actor=actor,
        )
    assert set(refused.value.fields) == {name}
    assert refused.value.fields[name].endswith(".")
    assert Run.objects.count() == before


def test_objects_travel_as_keys_and_are_linked(stack: Stack, actor: Actor) -> None:
    people = [User.objects.create_user(f"person-{number}") for number in range(3)]
    run = run_with(actor, person=people[0].pk, people=[str(p.pk) for p in people])

    assert received(run)["person"] == told(people[0])
    assert received(run)["people"] == told(people)
    assert str(people[1].pk) in run.arguments and "person-1" not in run.arguments
    assert set(run.objects_of.values_list("model", "key")) == {("auth.user", str(p.pk)) for p in people}
    # A deleted object is told when the form is filled again, and by the worker of a run that waited for it.
    parameters = find_job(run.task_name).parameters
    assert parameters is not None
    gone_key = people[0].pk
    people[0].delete()
    refill = refill_from_run(run, parameters)
    assert f"The user {gone_key} does not exist any more" in refill.problems["person"]


def test_a_file_arrives_with_its_content(stack: Stack, actor: Actor) -> None:
    path = default_storage.save("uploads/list.csv", ContentFile(b"a,b\n1,2\n"))
    run = run_with(actor, file=File(path, "list.csv", 8))
    assert received(run)["file"] == told(["list.csv", "a,b\n1,2\n"])


def test_a_secret_arrives_and_is_kept_nowhere(stack: Stack, actor: Actor) -> None:
    run = run_with(actor, password="canary-7331", pin="canary-4711", whole=1)  # noqa: S106

    assert received(run)["password"] == ["str", "'canary-7331'"]
    assert received(run)["pin"] == ["str", "'canary-4711'"]
    page = run_page(run.task_id)
    details = AuditEvent.objects.get(object_id=run.task_id).details
    for place in (
        run.arguments,
        repr(page),
        repr(details),
        repr(stack.client().get(f"celery-task-meta-{run.task_id}")),
    ):
        assert "canary" not in place
    parameters = find_job(run.task_name).parameters
    assert parameters is not None
    refill = refill_from_run(run, parameters)
    assert (set(refill.values) & {"password", "pin"}, refill.secrets) == (set(), ("Password", "Pin"))


def test_a_secret_that_code_gives_is_kept_nowhere(stack: Stack) -> None:
    name = under_test.fail_with_secret.name
    token = "canary-8'8\"1"  # noqa: S105
    first = current_app.send_task(name, ["pos", token])
    second = current_app.send_task(name, ["pos"], {"token": token, "fails": False})
    for one in (first, second):
        finished(one.id, 60)
        # What its publisher tells may come after its end.
        told_by_code = Run.objects.filter(task_id=one.id, arguments_exact=True)
        wait_for(told_by_code.exists, "its arguments")
    failed, succeeded = (Run.objects.get(task_id=one.id) for one in (first, second))
    assert (failed.state, succeeded.state) == (State.FAILED, State.SUCCEEDED)
    assert failed.error_message.startswith("failed at pos with •••") and failed.summary == "pos, •••"
    assert succeeded.summary == "pos, token=•••, fails=False" and first.result.args[0] == "failed at pos with •••"
    assert second.result == {"said": ["it was •••"]}
    page = run_page(failed.task_id)
    assert page is not None and "•••" in outcome(page).traceback and "KeyError" in outcome(page).traceback
    assert [file.name for file in failed.files.all()] == ["of •••.txt"]
    parameters = find_job(name).parameters
    assert parameters is not None
    refill = refill_from_run(failed, parameters)
    assert (refill.values, refill.secrets) == ({"place": "pos"}, ("Token",))
    assert "canary-8" not in in_database() + in_redis(stack)


def in_database() -> str:
    """All rows of all tables."""
    tables = connection.introspection.table_names()
    with connection.cursor() as cursor:
        found = []
        for table in tables:
            cursor.execute(f'SELECT * FROM "{table}"')  # noqa: S608
            found.append(repr(cursor.fetchall()))
    return "\n".join(found)


def in_redis(stack: Stack) -> str:
    """All that it holds."""
    # As bytes: the samples of queues are no text.
    client = Redis(unix_socket_path=str(stack.socket), socket_timeout=5)
    found = [repr((key, READ[client.type(key)](client, key))) for key in client.scan_iter(count=1000)]
    assert any("celery-task-meta" in text for text in found)
    return "\n".join(found)


READ: dict[Any, Any] = {
    b"string": lambda client, key: client.get(key),
    b"hash": lambda client, key: client.hgetall(key),
    b"list": lambda client, key: client.lrange(key, 0, -1),
    b"set": lambda client, key: client.smembers(key),
    b"zset": lambda client, key: client.zrange(key, 0, -1),
    b"stream": lambda client, key: client.xrange(key),
}


def test_run_like_this_sends_the_same_again(stack: Stack, actor: Actor) -> None:
    values = {name: entered for name, entered, _ in GOOD if name not in {"text"}}
    first = run_with(actor, **values, text=HOSTILE)
    parameters = find_job(first.task_name).parameters
    assert parameters is not None
    second = run_with(actor, **refill_from_run(first, parameters).values)
    assert second.arguments == first.arguments
    assert received(second) == received(first)


def test_what_changed_in_the_job_is_told() -> None:
    parameters = find_job(under_test.add.name).parameters
    assert parameters is not None
    run = Run(task_name=under_test.add.name, arguments='[["many"], {"b": 101, "colour": "red", "api_key": "k"}]')
    refill = refill_from_run(run, parameters)
    assert refill.values == {"a": "many", "b": 101}
    assert refill.gone == (("colour", "red"), ("api_key", "•••"))
    assert set(refill.problems) == {"a", "b"}


PLAIN = [
    (under_test.plain.name, {"args": [1, "x"], "kwargs": {"k": True}}, [[1, "x"], {"k": True}]),
    (under_test.bound_plain.name, {"a": 5}, 6),
    (under_test.unhinted.name, {"count": 4, "name": "n"}, [4, "n"]),
    (under_test.positional.name, {"a": 1}, [1, 2]),
    ("tests.class_based", {"x": 20}, 21),
]


@pytest.mark.parametrize(("name", "values", "result"), PLAIN, ids=[p[0].rsplit(".", 1)[-1] for p in PLAIN])
def test_each_kind_of_plain_task_can_be_run(stack: Stack, actor: Actor, name: str, values: Any, result: Any) -> None:
    run = finished(start_run(find_job(name), values, actor=actor).run.task_id)
    assert run.state == State.SUCCEEDED, run.error_message
    page = run_page(run.task_id)
    assert page is not None and outcome(page).result == result


def test_a_plain_task_that_cannot_be_asked_for_says_why() -> None:
    job = find_job(under_test.opaque.name)
    assert job.parameters is None
    assert "type of the parameter thing cannot be checked" in job.why_not


def test_what_code_sends_to_a_plain_task_is_left_alone(stack: Stack) -> None:
    # The hint says int; Celery does not mind, and neither may we.
    assert current_app.send_task(under_test.bound_plain.name, ["1.0"]).get(timeout=20) == "1.0!"


def test_moments_of_a_zone_come_back_as_the_same_instant(stack: Stack, actor: Actor) -> None:
    winter = datetime(2026, 10, 25, 3, 30, fold=1, tzinfo=VILNIUS)
    run = run_with(actor, moment=winter)
    parameters = find_job(run.task_name).parameters
    assert parameters is not None
    values = parameters.typed(refill_from_run(run, parameters).values)
    assert values["moment"] == winter.astimezone(UTC)
