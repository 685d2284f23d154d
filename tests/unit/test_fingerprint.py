"""Failures that are alike have one fingerprint: a table of real exceptions, and what must never split a group."""

from __future__ import annotations

import asyncio
import json
import re
import smtplib
import socket
import sqlite3
import subprocess
import sys
import time
import traceback
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import psycopg
import pytest
import redis
from billiard.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded, WorkerLostError
from django.core.exceptions import ImproperlyConfigured, ObjectDoesNotExist, PermissionDenied, ValidationError
from django.core.mail import BadHeaderError
from django.db.utils import IntegrityError, OperationalError
from django.http import QueryDict
from django.template import Context, Engine
from django.urls import reverse
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from redis.backoff import NoBackoff
from redis.retry import Retry

from jobs.failures.fingerprint import Basis, Fingerprint, fingerprint
from jobs.failures.normal import comparable, normalise
from jobs.ledger.frames import read_traceback

JOB = "shop.work"
NO_RETRY = Retry(NoBackoff(), 0)


def of(error: BaseException, job: str = JOB) -> Fingerprint:
    """The fingerprint of an exception that was really raised, from what Celery would tell of it."""
    text = "".join(traceback.format_exception(error))
    given = getattr(error, "fingerprint", "")
    return fingerprint(
        job, error_type=type(error).__name__, error_message=" ".join(map(str, error.args)), traceback=text, given=given
    )


def raised(call: Callable[[], Any]) -> BaseException:
    """What the call raises."""
    try:
        call()
    except BaseException as error:  # noqa: BLE001 - groups and exits, too
        return error
    raise AssertionError("it raised nothing")


def bare(error: BaseException) -> Fingerprint:
    """The same without a frame of our own: only what it says tells."""
    return fingerprint(JOB, error_type=type(error).__name__, error_message=" ".join(map(str, error.args)))


# --- The project's own code, as far as this table goes ---


class OrderError(Exception):
    pass


class Named(Exception):
    def __init__(self, text: str, fingerprint: str) -> None:
        super().__init__(text)
        self.fingerprint = fingerprint


def charge(order: object) -> None:
    raise OrderError(f"order {order} has no lines")


def refund(order: object) -> None:
    raise OrderError(f"order {order} has no lines")


def wrapped(call: Callable[[], Any], text: str = "work failed") -> None:
    """What catches everything and says where it came from."""
    try:
        call()
    except Exception as error:
        raise OrderError(text) from error


def handled(call: Callable[[], Any], text: str = "cleaning up failed") -> None:
    """What fails while it handles something else."""
    try:
        call()
    except Exception:  # noqa: BLE001
        raise OrderError(text)  # noqa: B904


def group(*calls: Callable[[], Any]) -> None:
    raise ExceptionGroup(f"{len(calls)} failed", [raised(call) for call in calls])  # type: ignore[type-var]


def look_up(key: object) -> object:
    return {"a": 1}[key]  # type: ignore[index]


def to_int(text: str) -> int:
    return int(text)


def to_decimal(text: str) -> Decimal:
    return Decimal(text)


def parse(text: str) -> object:
    return json.loads(text)


def divide(number: int) -> float:
    return number / 0


def attribute(thing: object, name: str) -> object:
    return getattr(thing, name)


def open_file(path: str) -> object:
    return open(path)


def missing_command(name: str) -> object:
    return subprocess.run([name], check=True)


def failing_command(code: int) -> object:
    return subprocess.run([sys.executable, "-c", f"raise SystemExit({code})"], check=True)


def redis_away(port: int) -> object:
    return redis.Redis(host="127.0.0.1", port=port, socket_connect_timeout=0.2, retry=NO_RETRY).ping()


def redis_away_otherwise(port: int) -> object:
    return redis.Redis(host="127.0.0.1", port=port, socket_connect_timeout=0.2, retry=NO_RETRY).llen("q")


def postgres_away(port: int) -> object:
    return psycopg.connect(host="127.0.0.1", port=port, dbname="x", connect_timeout=1)


def psycopg_says(error: type[psycopg.Error], text: str) -> None:
    raise error(text)


def django_over_psycopg(text: str) -> None:
    try:
        psycopg_says(psycopg.errors.UniqueViolation, text)
    except psycopg.Error as error:
        raise IntegrityError(text) from error


def sqlite(statement: str, *values: object) -> object:
    with sqlite3.connect(":memory:") as connection:
        connection.execute("CREATE TABLE a (name TEXT UNIQUE)")
        connection.execute("INSERT INTO a VALUES ('x')")
        return connection.execute(statement, values)


def fetch(port: int) -> object:
    return urllib.request.urlopen(f"http://127.0.0.1:{port}/rates?day={port}", timeout=0.2)


def http_error(code: int, url: str) -> None:
    raise urllib.error.HTTPError(url, code, "Bad Gateway", {}, None)  # type: ignore[arg-type]


def resolve_name(name: str) -> object:
    return socket.create_connection(("127.0.0.1", 1), timeout=0.01) if not name else socket.inet_aton(name)


def send_mail(address: str) -> None:
    raise smtplib.SMTPRecipientsRefused({address: (550, b"mailbox full")})


def smtp_away(port: int) -> object:
    return smtplib.SMTP("127.0.0.1", port, timeout=0.2)


def clean(value: object) -> None:
    raise ValidationError(f"Row {value}: “{value}” is not a valid e-mail.")


def find(pk: object) -> None:
    raise ObjectDoesNotExist(f"User matching query {pk} does not exist.")


def render(name: str) -> object:
    return Engine(dirs=[]).get_template(name)


def render_wrong(text: str) -> object:
    return Engine().from_string(text).render(Context())


def url_of(name: str) -> object:
    return reverse(name)


def form_value(data: str) -> object:
    return QueryDict(data)["missing"]


def validate(kind: Any, value: object) -> object:
    return TypeAdapter(kind).validate_python(value)


def deep(depth: int) -> int:
    return deep(depth + 1) + helper(depth)


def helper(depth: int) -> int:
    return depth


def sleep_here(_: object) -> None:
    raise SoftTimeLimitExceeded


def compute_there(_: object) -> None:
    raise SoftTimeLimitExceeded


def in_a_lambda(value: object) -> object:
    return (lambda: {"a": 1}[value])()  # type: ignore[index]


def in_a_list(value: object) -> object:
    return [int(str(value)) for _ in range(3)]


def date_of(text: str) -> date:
    return date.fromisoformat(text)


def permission(user: str) -> None:
    raise PermissionDenied(f"{user} may not")


def header(text: str) -> None:
    raise BadHeaderError(f"Header values can't contain newlines (got {text!r})")


def configured(name: str) -> None:
    raise ImproperlyConfigured(f"Set the {name} environment variable")


def timed(seconds: float) -> None:
    asyncio.run(asyncio.wait_for(asyncio.sleep(5), timeout=seconds))


def assert_equal(left: object, right: object) -> None:
    assert left == right, f"{left!r} is not {right!r}"


def stop(iterator: Any) -> object:
    return next(iterator)


def unpack(values: list[int]) -> int:
    a, b = values
    return a + b


def decode(data: bytes) -> str:
    return data.decode("ascii")


def unicode_said(text: str) -> None:
    raise OrderError(f"Größe „{text}“ ist ungültig – 価格 {len(text)}")


def call_wrongly(count: int) -> None:
    charge(*range(count))


def os_error(number: int) -> None:
    raise OSError(number, "No space left on device", f"/var/spool/{number}.tmp")


def locked(seconds: int) -> None:
    raise OperationalError(f"database is locked after {seconds} s")


# --- The table: each row is a kind of failure, and runs that fail so with other values ---

ALIKE: dict[str, tuple[Callable[[], Any], ...]] = {
    "own, number": (partial(charge, 1), partial(charge, 999_999)),
    "own, uuid": (partial(refund, uuid.uuid4()), partial(refund, uuid.uuid4())),
    "KeyError": (partial(look_up, "sku-1"), partial(look_up, "größe"), partial(look_up, 42), partial(look_up, (1, 2))),
    "int()": (partial(to_int, "a"), partial(to_int, "<b>x</b>"), partial(to_int, "\ud800")),
    "Decimal": (partial(to_decimal, "x"), partial(to_decimal, "1,5")),
    "json": (partial(parse, "{"), partial(parse, "[1, 2"), partial(parse, "")),
    "ZeroDivisionError": (partial(divide, 1), partial(divide, 2)),
    "AttributeError": (partial(attribute, 1, "a"), partial(attribute, "x", "b")),
    "FileNotFoundError": (partial(open_file, "/tmp/none/1.csv"), partial(open_file, "/srv/none/zwei.csv")),
    "command not found": (partial(missing_command, "none-1"), partial(missing_command, "none-2")),
    "command failed": (partial(failing_command, 2), partial(failing_command, 3)),
    "redis away": (partial(redis_away, 1), partial(redis_away, 2)),
    "redis away, other place": (partial(redis_away_otherwise, 1), partial(redis_away_otherwise, 2)),
    "postgres away": (partial(postgres_away, 1), partial(postgres_away, 2)),
    "psycopg unique": (
        partial(psycopg_says, psycopg.errors.UniqueViolation, "Key (name)=(ana) already exists"),
        partial(psycopg_says, psycopg.errors.UniqueViolation, "Key (name)=(jonas) already exists"),
    ),
    "psycopg serialization": (
        partial(psycopg_says, psycopg.errors.SerializationFailure, "could not serialize access"),
        partial(psycopg_says, psycopg.errors.SerializationFailure, "could not serialize access due to update"),
    ),
    "psycopg timeout": (
        partial(psycopg_says, psycopg.errors.QueryCanceled, "canceling statement after 5000 ms"),
        partial(psycopg_says, psycopg.errors.QueryCanceled, "canceling statement after 30 s"),
    ),
    "psycopg deadlock": (
        partial(psycopg_says, psycopg.errors.DeadlockDetected, "Process 12 waits for ShareLock on transaction 9"),
        partial(psycopg_says, psycopg.errors.DeadlockDetected, "Process 77 waits for ShareLock on transaction 8"),
    ),
    "django over psycopg": (partial(django_over_psycopg, "Key 1"), partial(django_over_psycopg, "Key 2")),
    "sqlite unique": (
        partial(sqlite, "INSERT INTO a VALUES ('x')"),
        partial(sqlite, "INSERT INTO a VALUES (?)", "x"),
    ),
    "sqlite operational": (partial(sqlite, "SELECT * FROM b1"), partial(sqlite, "SELECT * FROM b2")),
    "http away": (partial(fetch, 1), partial(fetch, 2)),
    "http error": (partial(http_error, 502, "https://a/1"), partial(http_error, 503, "https://b/2?x=1")),
    "bad address": (partial(resolve_name, "a"), partial(resolve_name, "b")),
    "connection refused": (partial(resolve_name, ""), partial(resolve_name, "")),
    "smtp refused": (partial(send_mail, "ana@example.com"), partial(send_mail, "jonas@example.org")),
    "smtp away": (partial(smtp_away, 1), partial(smtp_away, 2)),
    "django validation": (partial(clean, 1), partial(clean, "ana@")),
    "django missing object": (partial(find, 1), partial(find, uuid.uuid4())),
    "django template missing": (partial(render, "a.html"), partial(render, "mail/b.txt")),
    "django template wrong": (partial(render_wrong, "{% a %}"), partial(render_wrong, "{% b %}")),
    "django no url": (partial(url_of, "a"), partial(url_of, "b:c")),
    "django query dict": (partial(form_value, "a=1"), partial(form_value, "")),
    "django permission": (partial(permission, "ana"), partial(permission, "jonas")),
    "django header": (partial(header, "a\nb"), partial(header, "c\nd")),
    "django configured": (partial(configured, "A"), partial(configured, "B")),
    "django locked": (partial(locked, 5), partial(locked, 20)),
    "pydantic": (partial(validate, int, "a"), partial(validate, list[int], ["x", "y"])),
    "recursion": (partial(deep, 0), partial(deep, 7)),
    "soft time limit": (partial(sleep_here, 1), partial(compute_there, 1)),
    "in a lambda": (partial(in_a_lambda, 1), partial(in_a_lambda, "b")),
    "in a comprehension": (partial(in_a_list, "a"), partial(in_a_list, "b")),
    "date": (partial(date_of, "2026-13-01"), partial(date_of, "heute")),
    "asyncio timeout": (partial(timed, 0.01), partial(timed, 0.02)),
    "assertion": (partial(assert_equal, 1, 2), partial(assert_equal, "a", {"b": [1]})),
    "stop iteration": (partial(stop, iter([])), partial(stop, iter(()))),
    "unpack": (partial(unpack, [1]), partial(unpack, [1, 2, 3])),
    "unicode": (partial(decode, b"\xff"), partial(decode, "ö".encode())),
    "own unicode": (partial(unicode_said, "日本"), partial(unicode_said, "Ünïcödé")),
    "wrong call": (partial(call_wrongly, 0), partial(call_wrongly, 3)),
    "disk full": (partial(os_error, 28), partial(os_error, 29)),
    # A wrapper tells the same of everything: what it wraps decides.
    "wrapped, key": (partial(wrapped, partial(look_up, 1)), partial(wrapped, partial(look_up, 2), "it failed")),
    "wrapped, redis": (partial(wrapped, partial(redis_away, 1)), partial(wrapped, partial(redis_away, 2))),
    "wrapped twice": (
        partial(wrapped, partial(wrapped, partial(divide, 1))),
        partial(wrapped, partial(wrapped, partial(divide, 2))),
    ),
    # What was being handled decides nothing.
    "while handling": (partial(handled, partial(look_up, 1)), partial(handled, partial(divide, 1))),
    # Groups: what they hold, in any order and number.
    "group of two": (
        partial(group, partial(look_up, 1), partial(divide, 1)),
        partial(group, partial(divide, 2), partial(look_up, 2), partial(look_up, 3)),
    ),
    "group of one kind": (partial(group, partial(look_up, 1)), partial(group, *[partial(look_up, 2)] * 5)),
    "group in a group": (
        partial(group, partial(group, partial(divide, 1))),
        partial(group, partial(group, partial(divide, 2), partial(divide, 3))),
    ),
}

#: Without a frame of our own: what the message says without what changes.
SAID: dict[str, tuple[BaseException, ...]] = {
    "numbers": (OrderError("row 1: e-mail is not valid"), OrderError("row 20,417: e-mail is not valid")),
    "another sentence": (OrderError("row 1: name is missing"), OrderError("row 9: name is missing")),
    "another exception": (ValueError("row 1: name is missing"), ValueError("row 2: name is missing")),
    "ids": (OrderError(f"order {uuid.uuid4()} is gone"), OrderError(f"order {uuid.uuid4().hex} is gone")),
    "quotes": (OrderError("no 'a b' here"), OrderError('no "It\'s" here'), OrderError("no “ü” here")),
    "paths": (OrderError("can't read /srv/a/b.csv today"), OrderError("can't read C:\\data\\ü.csv today")),
    "addresses": (
        OrderError("mail from ana@example.com refused"),
        OrderError("mail from Jonas.B+x@mail.example.org refused"),
    ),
    "ip": (OrderError("host 10.0.0.1:6379 refuses"), OrderError("host 192.168.17.4:80 refuses")),
    "ipv6": (OrderError("host fe80::1 refuses us"), OrderError("host 2001:db8::ff00:42:8329 refuses us")),
    "url": (OrderError("GET https://a.example/v1/x?y=1 failed"), OrderError("GET http://b.example failed")),
    "dates": (
        OrderError("nothing for 2026-11-22"),
        OrderError("nothing for 2026-11-22T14:02:11.123456+00:00"),
        OrderError("nothing for 5 Oct 2026"),
    ),
    "a memory address": (
        OrderError("<object at 0x7f3a2c1b9d00> failed"),
        OrderError("<object at 0x10a4d2f50> failed"),
    ),
    "lists": (OrderError("unknown rows [1, 2, 3]"), OrderError("unknown rows [7]")),
    "units": (OrderError("took 30s"), OrderError("took 5s")),
    "lost child": (
        WorkerLostError("Worker exited prematurely: signal 9 (SIGKILL) Job: 12."),
        WorkerLostError("Worker exited prematurely: signal 9 (SIGKILL) Job: 8842."),
    ),
    "lost child, crash": (
        WorkerLostError("Worker exited prematurely: signal 11 (SIGSEGV) Job: 12."),
        WorkerLostError("Worker exited prematurely: signal 11 (SIGSEGV) Job: 7."),
    ),
    "hard time limit": (TimeLimitExceeded(30), TimeLimitExceeded(600)),
    "html": (OrderError("<script>alert(1)</script>"), OrderError("<script>alert(2)</script>")),
    "empty": (OrderError(""), OrderError("   ")),
    "unicode": (OrderError("価格 12 が無効です"), OrderError("価格 900 が無効です")),
    "named": (Named("a 1", "gateway-away"), Named("quite another", "gateway-away")),
}


def said(error: BaseException) -> Fingerprint:
    return bare(error) if not hasattr(error, "fingerprint") else of(error)


@pytest.fixture(scope="module")
def table() -> dict[str, list[Fingerprint]]:
    """Every row's failures, really raised once."""
    rows = {name: [of(raised(call)) for call in calls] for name, calls in ALIKE.items()}
    return rows | {f"said: {name}": [said(error) for error in errors] for name, errors in SAID.items()}


def test_the_table_has_at_least_sixty_exceptions(table: dict[str, list[Fingerprint]]) -> None:
    assert len(table) >= 60 and sum(map(len, table.values())) >= 150


def test_what_is_alike_is_one_group(table: dict[str, list[Fingerprint]]) -> None:
    apart = {name: [one.title for one in row] for name, row in table.items() if len({one.key for one in row}) != 1}
    assert apart == {}


def test_what_is_not_alike_is_apart(table: dict[str, list[Fingerprint]]) -> None:
    keys: dict[str, list[str]] = {}
    for name, row in table.items():
        keys.setdefault(row[0].key, []).append(name)
    assert [names for names in keys.values() if len(names) > 1] == []


def test_each_basis_is_told(table: dict[str, list[Fingerprint]]) -> None:
    assert table["own, number"][0].basis is Basis.PLACE
    assert table["own, number"][0].place == "unit/test_fingerprint.py, charge"
    assert table["soft time limit"][0].basis is Basis.TYPE
    assert table["said: numbers"][0].basis is Basis.MESSAGE
    assert table["said: named"][0].basis is Basis.EXPLICIT
    assert table["wrapped, key"][0].place.endswith("look_up"), "where the cause was raised"


def test_another_job_is_another_group() -> None:
    error = raised(partial(charge, 1))
    assert of(error, "a").key != of(error, "b").key


def test_line_release_and_virtual_environment_say_nothing() -> None:
    text = "".join(traceback.format_exception(raised(partial(charge, 1))))
    moved = re.sub(r'"[^"]*/unit/', '"/srv/releases/2026.10.1/tests/unit/', re.sub(r"line \d+", "line 7", text))
    assert moved != text
    assert len({fingerprint(JOB, error_type="OrderError", traceback=one).key for one in (text, moved)}) == 1


def test_the_consoles_own_frames_are_nobodys() -> None:
    text = 'Traceback (most recent call last):\n  File "/app/jobs/pipeline/task.py", line 1, in before_start\nE: x'
    assert fingerprint(JOB, error_type="E", error_message="x", traceback=text).basis is Basis.MESSAGE


# --- What changes from run to run never splits a group ---

NUMBERS = st.integers(-(10**12), 10**12).map(str) | st.decimals(allow_nan=False, allow_infinity=False, places=3).map(
    str
)
IDS = st.uuids().map(str) | st.uuids().map(lambda one: one.hex) | st.uuids(version=4).map(lambda one: str(one).upper())
QUOTED = st.text(
    st.characters(exclude_characters="\"'`«»“”„\n\r", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=60
)
WORDS = st.text("abcdefghijklmnopqrstuvwxyzäöü", min_size=1, max_size=12)
PATHS = st.lists(WORDS, min_size=1, max_size=5).map(lambda parts: "/" + "/".join(parts))
MAILS = st.tuples(WORDS, WORDS, WORDS).map(lambda parts: f"{parts[0]}@{parts[1]}.{parts[2]}")
MOMENTS = st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)).map(
    lambda at: at.isoformat()
)
URLS = st.tuples(WORDS, PATHS, NUMBERS).map(lambda parts: f"https://{parts[0]}.example{parts[1]}?n={parts[2]}")
IPS = st.ip_addresses(v=4).map(str)
VOLATILE = {
    "number": NUMBERS,
    "id": IDS,
    "quoted": QUOTED.map(lambda text: f"'{text}'") | QUOTED.map(lambda text: f'"{text}"') | QUOTED.map("“{}”".format),
    "path": PATHS,
    "mail": MAILS,
    "moment": MOMENTS,
    "url": URLS,
    "ip": IPS,
}
SENTENCES = (
    "{} is wrong",
    "order {} of customer {} cannot be sent to {}",
    "could not read {}: it is empty",
    "({}), ({})",
)


@pytest.mark.parametrize("kind", VOLATILE)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_volatile_parts_never_split_a_group(kind: str, data: st.DataObject) -> None:
    sentence = data.draw(st.sampled_from(SENTENCES))
    slots = sentence.count("{}")
    one, other = (data.draw(st.lists(VOLATILE[kind], min_size=slots, max_size=slots)) for _ in range(2))
    texts = [sentence.format(*one), sentence.format(*other)]
    assert len({comparable(normalise(text)) for text in texts}) == 1, [normalise(text) for text in texts]


@settings(max_examples=100, deadline=None)
@given(kind=st.text(max_size=40), message=st.text(max_size=400), trace=st.text(max_size=400), told=st.text(max_size=20))
def test_any_text_has_a_fingerprint_that_a_database_takes(kind: str, message: str, trace: str, told: str) -> None:
    found = fingerprint(JOB, error_type=kind, error_message=message, traceback=trace, given=told)
    for text in (found.title, found.place, found.error_type):
        assert len(text) <= 255 and "\x00" not in text
        text.encode()
    assert found == fingerprint(JOB, error_type=kind, error_message=message, traceback=trace, given=told)


FRAME = '  File "/srv/a/b.py", line 3, in f\n    f()\n'
HEAD = "Traceback (most recent call last):\n"
HOSTILE = {
    "html": "<script>" * 100_000,
    "5 MB": "m" * 5_000_000,
    "5 MB of quotes": "'" * 5_000_000,
    "5 MB of digits": "1" * 5_000_000,
    "5 MB of slashes": "/a" * 2_500_000,
    "5 MB of colons": ":" * 5_000_000,
    "5 MB of at": "a@" * 2_500_000,
    "surrogates": "\ud800" * 100_000,
    "nul": "\x00" * 100_000,
    "new lines": "\n" * 1_000_000,
    "accents": "é" * 1_000_000,
    "10,000 frames": HEAD + FRAME * 10_000 + "E: x",
    "10,000 chained": (
        HEAD + FRAME + "E: x\n\nThe above exception was the direct cause of the following exception:\n\n"
    )
    * 10_000,
    "5 MB of a frame": HEAD + '  File "' + "a/" * 2_500_000 + '", line 1, in f\nE: x',
    "deep group": "".join("  " * n + "| " + HEAD.replace("Trace", "Exception Group Trace") for n in range(500)),
    "margins": ("|" * 1_000 + "\n") * 1_000,
    "spaces": "  File " + " " * 1_000_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_quick(name: str) -> None:
    began = time.process_time()
    fingerprint(JOB, error_type=HOSTILE[name], error_message=HOSTILE[name], traceback=HOSTILE[name])
    assert time.process_time() - began < 0.25


def test_a_usual_failure_takes_far_less_than_a_millisecond() -> None:
    error = raised(partial(wrapped, partial(redis_away, 1)))
    text = "".join(traceback.format_exception(error))
    assert len(read_traceback(text)) >= 2
    began = time.process_time()
    for _ in range(200):
        fingerprint(JOB, error_type="OrderError", error_message="order 12 of ana@example.com is wrong", traceback=text)
    assert (time.process_time() - began) / 200 < 0.002


def test_titles_are_what_people_read() -> None:
    assert normalise("row 12: e-mail is not valid\nand more") == "row <n>: e-mail is not valid"
    assert normalise("Error 111 connecting to 10.0.0.1:6379.") == "Error <n> connecting to <n>."
    assert normalise("text/html and/or import/2026/a.csv") == "text/html and/or <path>"
    assert normalise("it didn't work, the users' list") == "it didn't work, the users' list"
