"""The running console of the end-to-end tests: one stack a session, the database shared with its processes."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connections
from playwright.sync_api import Browser, Page, sync_playwright
from pytest_django.plugin import DjangoDbBlocker

from jobs.ledger.audit import Actor
from jobs.models import Run
from jobs.states import FINISHED, State
from tests.e2e.processes import Stack, wait_for

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PASSWORD = "a long password for tests"  # noqa: S105


@pytest.fixture(scope="session")
def running(root: Path, database_url: str, django_db_blocker: DjangoDbBlocker) -> Iterator[Stack]:
    """The stack; nothing of it runs before a test calls `up`. What tests write stays until the session ends."""
    stack = Stack(root, database_url)
    with django_db_blocker.unblock():
        call_command("loaddata", "jobs/fixtures/roles.json", verbosity=0)
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


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, stack: Stack) -> Iterator[Page]:
    """Ana's browser, signed in; anything that the console of the browser complains about fails the test."""
    stack.up(stack.web)
    context = browser.new_context(base_url=stack.url, accept_downloads=True, viewport={"width": 1440, "height": 900})
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda m: complaints.append(m.text) if m.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto("/admin/")
    page.get_by_label("Username").fill("ana")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "/login/" not in url)
    yield page
    context.close()
    assert complaints == []


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
