"""People with roles, for tests that need the database and no processes."""

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command

from jobs.ledger.audit import Actor


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
