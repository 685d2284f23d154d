"""System checks: each mistake has its id and its remedy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from celery import current_app
from django.core.checks import CheckMessage

from jobs import checks
from jobs.catalog import registry
from jobs.catalog.registry import job


@pytest.fixture(autouse=True)
def forget_what_the_test_declares(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    registry.declared_jobs()
    monkeypatch.setattr(registry, "_declared", dict(registry._declared))
    known = dict(current_app.tasks)
    yield
    for name in set(current_app.tasks) - set(known):
        current_app.tasks.unregister(name)


def ids(messages: list[CheckMessage]) -> set[str | None]:
    assert all(message.hint for message in messages), "every message names the remedy"
    return {message.id for message in messages}


def declare(name: str, function: Any = None, **options: Any) -> None:
    def nothing() -> None:
        """Does nothing."""

    job(**{"title": name, "group": "Tests", "name": f"check.{name}", **options})(function or nothing)


def test_what_ships_and_what_the_tests_declare_is_right() -> None:
    assert checks.check_jobs() + checks.check_tasks() + checks.check_celery() == []


def test_an_unknown_annotation() -> None:
    def odd(a: Any) -> None: ...

    odd.__annotations__ = {"a": type("Opaque", (), {})}
    declare("odd", odd)
    assert ids(checks.check_jobs()) == {"jobs.E001"}


def test_a_queue_that_does_not_exist() -> None:
    declare("elsewhere", queue="typo")
    (message,) = checks.check_jobs()
    assert message.id == "jobs.E002"
    assert "default, reports" in (message.hint or "")


def test_the_same_title_twice() -> None:
    declare("one", title="Same")
    declare("two", title="Same")
    assert ids(checks.check_jobs()) == {"jobs.E003"}


@pytest.mark.parametrize("hint", [None, int])
def test_a_dry_run_that_is_no_switch(hint: type | None) -> None:
    def dry(preview: Any = False) -> None: ...

    dry.__annotations__ = {"preview": hint} if hint else {}
    declare("dry", dry, dry_run="preview" if hint else "other")
    assert ids(checks.check_jobs()) == {"jobs.E004"}


def test_another_backend_or_scheduler(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.CELERY_BEAT_SCHEDULER = "celery.beat:PersistentScheduler"
    monkeypatch.setattr(checks, "RecordingBackend", str)
    assert ids(checks.check_celery()) == {"jobs.E006", "jobs.E007"}
