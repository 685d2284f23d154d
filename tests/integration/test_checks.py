"""System checks: each mistake has its id and its remedy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from celery import Task, current_app
from django.core.checks import WARNING, CheckMessage
from django.core.management import CommandError, call_command
from django.db import router as django_router
from django.db.models import Model

from jobs import checks
from jobs.catalog import registry
from jobs.catalog.registry import job
from jobs.fleet.broker import forget_clients


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


def test_tasks_of_one_base_class_are_told_in_one_warning() -> None:
    class Foreign(Task):
        abstract = True
        Strategy = "celery.worker.strategy:default "

    for number in range(51):

        def nothing() -> None: ...

        nothing.__name__ = f"nothing{number}"
        current_app.task(name=f"check.foreign{number:02}", base=Foreign)(nothing)
    (message,) = checks.check_tasks()
    assert message.id == "jobs.W005"
    assert "Foreign" in message.msg and "check.foreign00" in message.msg and "46 more" in message.msg


def test_another_backend_or_scheduler(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.CELERY_BEAT_SCHEDULER = "celery.beat:PersistentScheduler"
    monkeypatch.setattr(checks, "RecordingBackend", str)
    assert ids(checks.check_celery()) == {"jobs.E006", "jobs.E007"}


def test_where_tasks_are_eager_or_there_is_no_redis_nothing_is_wrong_with_it(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CELERY_BEAT_SCHEDULER = "celery.beat:PersistentScheduler"
    monkeypatch.setattr(checks, "RecordingBackend", str)
    settings.CELERY_TASK_ALWAYS_EAGER = True
    assert not any(message.is_serious(WARNING) for message in checks.check_celery())
    settings.CELERY_TASK_ALWAYS_EAGER = False
    settings.CELERY_BROKER_URL = "memory://"
    forget_clients()
    try:
        assert [message.id for message in checks.check_celery()] == ["jobs.I001"]
    finally:
        forget_clients()


class Elsewhere:
    """A router as projects have them."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers

    def db_for_read(self, model: type[Model], **hints: Any) -> str | None:
        return self._answer("read", model)

    def db_for_write(self, model: type[Model], **hints: Any) -> str | None:
        return self._answer("write", model)

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return False if self.answers.get("unmade") == app_label else None

    def _answer(self, what: str, model: type[Model]) -> str | None:
        label, alias = self.answers.get(what, ("", None))
        return alias if model._meta.app_label == label else None


@pytest.mark.parametrize(
    ("router", "told"),
    [
        (Elsewhere(), ()),
        (Elsewhere(write=("shop", "other")), ()),
        (Elsewhere(read=("auth", "replica")), ()),
        (Elsewhere(write=("jobs", "history")), ("jobs", "history")),
        (Elsewhere(read=("jobs", "replica")), ("jobs", "replica")),
        (Elsewhere(write=("django_celery_results", "history")), ("django_celery_results", "history")),
        (Elsewhere(write=("auth", "people")), ("auth", "people")),
        (Elsewhere(unmade="jobs"), ("jobs", "none")),
    ],
    ids=lambda value: str(getattr(value, "answers", "")),
)
def test_tables_in_another_database_are_refused(
    router: Elsewhere, told: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(django_router, "routers", [router])
    messages = checks.check_tables()
    assert ids(messages) == ({"jobs.E009"} if told else set())
    assert all(word in messages[0].msg for word in told)
    if told:
        with pytest.raises(CommandError, match=told[1]):
            call_command("prepare")
