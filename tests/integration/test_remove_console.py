"""`manage.py remove_console`: what it removes, what it leaves, and that it asks."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django_celery_beat.models import CrontabSchedule, PeriodicTask
from django_celery_results.models import TaskResult
from redis import Redis

from jobs.fleet.beacon import beacon_key
from jobs.fleet.broker import BEACONS_KEY
from jobs.models import Run
from jobs.states import State
from tests.integration.own_redis import fresh, own_redis
from tests.integration.test_run_page import make
from tests.integration.test_workers_pages import told

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[Redis]:
    with own_redis(root) as client:
        yield client


@pytest.fixture
def redis(server: Redis) -> Redis:
    fresh(server)
    server.mset({"opsconsole:probe": "1", "opsconsole:log:x": "1", "celery": "a message", "opsconsolidated": "1"})
    return server


@pytest.fixture
def prepared() -> Iterator[None]:
    """A database as `prepare` leaves it; afterwards as the other tests expect it."""
    call_command("prepare", stdout=StringIO())
    make(State.SUCCEEDED)
    TaskResult.objects.create(task_id="a")
    yield
    call_command("migrate", verbosity=0)
    Group.objects.all().delete()
    PeriodicTask.objects.all().delete()


def remove(*arguments: str) -> str:
    out = StringIO()
    call_command("remove_console", *arguments, stdout=out)
    return out.getvalue()


def ours() -> list[str]:
    return [name for name in connection.introspection.table_names() if name.startswith("jobs_")]


def test_it_asks_first(redis: Redis, prepared: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", lambda _: "yes")
    with pytest.raises(CommandError):
        remove()
    assert Run.objects.count() == 1 and redis.exists("opsconsole:probe") and PeriodicTask.objects.exists()


def test_nothing_while_a_worker_works(redis: Redis, prepared: None) -> None:
    redis.set(beacon_key("mail@web-1"), json.dumps(told("mail@web-1")))
    redis.zadd(BEACONS_KEY, {"mail@web-1": time.time()})
    with pytest.raises(CommandError, match="mail@web-1"):
        remove("--yes")
    assert Run.objects.count() == 1


def test_all_of_ours_and_nothing_else(redis: Redis, prepared: None) -> None:
    User.objects.create_user("ana").groups.add(Group.objects.get(name="Operator"))
    Group.objects.get(name="Auditor").permissions.add(Permission.objects.get(codename="add_user"))
    Group.objects.create(name="Editors")
    own = PeriodicTask.objects.create(name="own", task="shop.close", crontab=CrontabSchedule.objects.first())
    said = remove("--yes")
    assert "table jobs_run: 1 rows" in said and "Operator stays" in said and "Auditor stays" in said
    assert ours() == []
    assert not ContentType.objects.filter(app_label="jobs").exists()
    assert not Permission.objects.filter(content_type__app_label="jobs").exists()
    assert set(Group.objects.values_list("name", flat=True)) == {"Operator", "Auditor", "Editors"}
    assert list(PeriodicTask.objects.all()) == [own] and TaskResult.objects.filter(task_id="a").exists()
    assert sorted(redis.keys()) == [b"celery", b"opsconsolidated"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM django_migrations WHERE app = 'jobs'")
        assert cursor.fetchone() == (0,)
    remove("--yes")  # again: nothing is left, and nothing breaks
    call_command("prepare", stdout=StringIO())
    assert "jobs_run" in ours() and Permission.objects.filter(codename="run_job").exists()
