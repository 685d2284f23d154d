"""People with roles, and an empty Redis, for tests that need the database and no other process."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.test import Client
from redis import Redis

from jobs.fleet.broker import connect
from jobs.ledger.audit import Actor
from tests.integration.own_redis import fresh, own_redis


@pytest.fixture
def roles(db: None) -> None:
    """The roles as they ship."""
    call_command("loaddata", "jobs/fixtures/roles.json", verbosity=0)


@pytest.fixture
def operator(roles: None) -> User:
    """Olga, who may run jobs and see runs."""
    user = User.objects.create_user("olga", first_name="Olga", last_name="Berg", is_staff=True)
    user.groups.add(Group.objects.get(name="Operator"))
    return user


@pytest.fixture
def viewer(roles: None) -> User:
    """Vito, who may see runs and nothing else."""
    user = User.objects.create_user("vito", is_staff=True)
    user.groups.add(Group.objects.get(name="Viewer"))
    return user


@pytest.fixture
def olga(operator: User) -> Actor:
    return Actor.person(operator, via="command")


@pytest.fixture
def vito(viewer: User) -> Actor:
    return Actor.person(viewer, via="command")


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[Redis]:
    """A Redis at the address that the settings name."""
    with own_redis(root) as client:
        yield client


@pytest.fixture
def redis(server: Redis, db: None) -> Redis:
    """Empty, and nobody remembers what was in it."""
    fresh(server)
    return server


@pytest.fixture
def text_redis(redis: Redis) -> Iterator[Redis]:
    """The same, with as much memory as there is; its answers are texts."""
    redis.config_set("maxmemory", 0)
    with connect(settings.REDIS_URL, timeout=5) as client:
        yield client


@pytest.fixture
def ana(db: None) -> Client:
    """The browser of a superuser."""
    client = Client()
    client.force_login(User.objects.create_superuser("ana"))
    return client
