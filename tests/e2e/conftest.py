"""The running console of the end-to-end tests: one stack a session, the database shared with its processes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connections
from pytest_django.plugin import DjangoDbBlocker

from jobs.ledger.audit import Actor
from jobs.models import Run
from jobs.states import FINISHED, State
from tests.e2e.processes import Stack, wait_for

PASSWORD = "a long password for tests"  # noqa: S105


@pytest.fixture(scope="session")
def running(root: Path, database_url: str, django_db_blocker: DjangoDbBlocker) -> Iterator[Stack]:
    """The stack; nothing of it runs before a test calls `up`. What tests write stays until the session ends."""
    stack = Stack(root, database_url)
    with django_db_blocker.unblock():
        call_command("loaddata", "fixtures/roles.json", verbosity=0)
        User.objects.create_superuser("ana", "ana@example.com", PASSWORD, first_name="Ana", last_name="Petrova")
        yield stack
        stack.down()
        connections.close_all()


@pytest.fixture
def stack(running: Stack) -> Stack:
    """Redis, one worker and one recorder, alive when the test begins."""
    running.up(running.worker, running.recorder)
    return running


@pytest.fixture
def actor(running: Stack) -> Actor:
    """Ana, who may do everything."""
    return Actor.person(User.objects.get(username="ana"), via="command")


def finished(task_id: str, seconds: float = 20) -> Run:
    """The run once it has ended."""
    return wait_for(
        lambda: Run.objects.filter(task_id=task_id, state__in=FINISHED).first(), f"run {task_id} to end", seconds
    )


def in_state(task_id: str, state: State, seconds: float = 20) -> Run:
    """The run once it is in `state`."""
    return wait_for(
        lambda: Run.objects.filter(task_id=task_id, state=state).first(), f"run {task_id} to be {state}", seconds
    )
