"""`/livez` and `/readyz`: what a supervisor is told, by whomever, and how long it may take."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection, transaction
from django.db.backends.signals import connection_created
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from django.utils import timezone

from admin_ext import health
from jobs.ledger.leases import hold
from jobs.management.commands import prepare
from jobs.models import Lease
from jobs.recorder.identity import LEADER_KEY
from tests.integration.own_redis import fresh as fresh_redis
from tests.integration.own_redis import full, own_redis
from tests.integration.test_one_name import put


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> health._Database:
    """A process that has not asked yet."""
    database = health._Database()
    monkeypatch.setattr(health, "_database", database)
    return database


@pytest.fixture
def redis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "ask", lambda read: "ok")


def test_livez_asks_nobody(client: Client) -> None:
    answer = client.get("/livez")
    assert (answer.status_code, answer.content) == (200, b"ok\n")
    assert client.post("/livez").status_code == 405


@pytest.mark.django_db(transaction=True)
def test_ready_with_database_and_redis(client: Client, redis: None) -> None:
    answer = client.get("/readyz")
    told = {"database": "ok", "redis": "ok", "recorder": "nobody leads", "beat": "nobody leads"}
    assert (answer.status_code, answer.json()) == (200, told)
    assert answer.headers["Cache-Control"].startswith("max-age=0")


@pytest.mark.django_db(transaction=True)
def test_without_redis_the_pages_work_and_it_says_so(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "ask", lambda read: None)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["redis"]) == (200, "no answer")


@pytest.mark.django_db(transaction=True)
def test_who_leads_is_told_and_does_not_count(client: Client, redis: None) -> None:
    hold("recorder", "me")
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["recorder"], answer.json()["beat"]) == (200, "ok", "nobody leads")
    ahead = timezone.now() + timedelta(minutes=10)
    Lease.objects.update(renewed_at=ahead, expires_at=ahead)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["recorder"]) == (200, "nobody leads"), "renewed before a clock went back"


@pytest.mark.django_db(transaction=True)
def test_a_redis_that_is_full_is_told_by_the_probe_and_by_the_self_check(client: Client, root: Path) -> None:
    """Workers can write no beacon then: none of them is to blame."""
    hold("recorder", "me")
    with own_redis(root) as redis:
        fresh_redis(redis)
        with full(redis, root):
            told = client.get("/readyz").json()
            assert (told["redis"], told["recorder"]) == ("takes no writes", "ok")
            with pytest.raises(CommandError, match=r"After 0 s Redis takes no writes \(.*maxmemory"):
                call_command("self_check", timeout=0.0)
        assert client.get("/readyz").json()["redis"] == "ok"


@pytest.mark.django_db(transaction=True)
def test_the_self_check_tells_whose_settings_are_others(root: Path) -> None:
    """The setting is named as the project has written it."""
    hold("recorder", "me")

    def told() -> str:
        with pytest.raises(CommandError) as refusal:
            call_command("self_check", timeout=0.0)
        return str(refusal.value)

    with own_redis(root) as redis:
        fresh_redis(redis)
        assert "the recorder is at work on another Redis" in told() and "REDIS_URL" in told()
        redis.set(LEADER_KEY, "me")
        assert "no worker listens on the queue default" in told() and "REDIS_URL" in told()
        put(redis, "1" * 32, queues=["mine"])
        assert "name default in -Q" in told() and "mine" in told() and "REDIS_URL" not in told()


@pytest.mark.django_db(transaction=True)
def test_what_is_not_migrated_is_not_ready_and_prepare_says_so(
    client: Client, redis: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of a process that has seen the database migrated."""
    assert client.get("/readyz").status_code == 200
    recorder = MigrationRecorder(connection)
    recorder.record_unapplied("jobs", last_migration())
    try:
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["database"]) == (503, "not migrated")
        monkeypatch.setattr(prepare, "call_command", lambda *_, **__: None)
        with pytest.raises(CommandError, match=f"jobs.{last_migration()}"):
            call_command("prepare")
    finally:
        recorder.record_applied("jobs", last_migration())
    assert client.get("/readyz").status_code == 200


def last_migration() -> str:
    ((_, name),) = MigrationLoader(connection).graph.leaf_nodes("jobs")
    return str(name)


@pytest.mark.django_db(transaction=True)
def test_a_database_that_takes_no_writes_is_not_ready(client: Client, redis: None) -> None:
    """Each probe has a connection of its own, whose first statement makes it read-only here."""

    def read_only(connection: Any, **_: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "PRAGMA query_only = 1" if connection.vendor == "sqlite" else "SET default_transaction_read_only = on"
            )

    connection_created.connect(read_only)
    try:
        answer = client.get("/readyz")
    finally:
        connection_created.disconnect(read_only)
    assert (answer.status_code, answer.json()["database"]) == (503, "takes no writes")
    assert client.get("/readyz").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_a_database_that_somebody_writes_to_is_ready(client: Client, redis: None) -> None:
    with transaction.atomic():
        hold("recorder", "me")
        assert client.get("/readyz").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_a_database_that_refuses_is_told_without_its_words(
    client: Client, redis: None, fresh: health._Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> dict[str, str]:
        raise OperationalError("password authentication failed for user console at db.internal")

    monkeypatch.setattr(fresh, "_look", refuse)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"database": "no answer", "redis": "ok"})


@pytest.fixture
def hanging(fresh: health._Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """A database that answers nobody until the test ends; the list counts who asked."""
    end, asked = threading.Event(), list[int]()

    def hang() -> dict[str, str]:
        asked.append(1)
        end.wait(20)
        return {"database": "ok"}

    monkeypatch.setattr(health, "PATIENCE", 0.2)
    monkeypatch.setattr(fresh, "_look", hang)
    yield asked
    end.set()


@pytest.mark.django_db(transaction=True)
def test_a_database_that_hangs_holds_one_thread_and_no_request(client: Client, redis: None, hanging: list[int]) -> None:
    began = time.monotonic()
    answers = [client.get("/readyz") for _ in range(4)]
    assert {answer.status_code for answer in answers} == {503}
    assert time.monotonic() - began < 4
    assert len(hanging) == 1
    assert connection.vendor in {"sqlite", "postgresql"}
