"""Code that fails in each of the ways that real jobs do, for the table of failures that are alike."""

from __future__ import annotations

import asyncio
import json
import smtplib
import socket
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import closing
from datetime import date
from decimal import Decimal
from typing import Any

import psycopg
import redis
from billiard.exceptions import SoftTimeLimitExceeded
from django.core.exceptions import ImproperlyConfigured, ObjectDoesNotExist, PermissionDenied, ValidationError
from django.db.utils import IntegrityError, OperationalError
from django.http import QueryDict
from django.template import Context, Engine
from django.urls import reverse
from pydantic import TypeAdapter
from redis.backoff import NoBackoff
from redis.retry import Retry

NO_RETRY = Retry(NoBackoff(), 0)


def raised(call: Callable[[], Any]) -> BaseException:
    """What the call raises."""
    try:
        call()
    except BaseException as error:  # noqa: BLE001 - groups and exits, too
        return error
    raise AssertionError("it raised nothing")


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
    with closing(sqlite3.connect(":memory:")) as connection:
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
    raise ValueError(f"Header values can't contain newlines (got {text!r})")


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
