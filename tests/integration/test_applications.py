"""A project with two Celery applications: each task is found, routed and published by the one that has it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery, current_app
from redis import Redis

from jobs import checks, integrate
from jobs.catalog import applications
from jobs.catalog.registry import derived_jobs, find_job
from jobs.catalog.routing import exists, route
from jobs.ledger.audit import Actor
from jobs.ledger.start import start_run
from jobs.models import Run
from jobs.recorder.dispatch import Dispatcher
from jobs.states import Source, State

NAME = "second.only_here"


@pytest.fixture
def second(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Joined, with a task and a queue that the first one does not know."""
    monkeypatch.setattr(applications, "_joined", list(applications._joined))
    app = Celery("second", set_as_current=False)
    app.config_from_object("django.conf:settings", namespace="CELERY")
    app.conf.update(task_queues=None, task_default_queue="second", task_create_missing_queues=True)
    integrate(app)

    @app.task(name=NAME, shared=False)
    def only_here(number: int) -> int:
        return number

    yield app
    app.close()


def test_its_task_is_in_the_catalogue_and_goes_its_own_way(second: Any) -> None:
    assert NAME not in current_app.tasks
    assert find_job(NAME).parameters and NAME in {job.name for job in derived_jobs()}
    assert route(NAME).queue == "second" and exists("second")
    assert route("tests.tasks_observed.no_such").queue == "default"


def test_it_is_started_and_published(second: Any, text_redis: Redis) -> None:
    actor = Actor("a test", via="system")
    mine = start_run(find_job(NAME), {"number": 7}, actor=actor, source=Source.SYSTEM).run
    self_check = find_job("jobs.library.diagnostics.self_check")
    other = start_run(self_check, {}, actor=actor, source=Source.SYSTEM).run
    assert Dispatcher(current_app, text_redis).step() == 2
    for run, queue in ((mine, "second"), (other, "default")):
        run.refresh_from_db()
        assert (run.state, run.queue) == (State.QUEUED, queue)
        (message,) = text_redis.lrange(queue, 0, -1)
        assert run.task_id in message
    assert Run.objects.count() == 2


def test_another_broker_is_told(second: Any) -> None:
    assert checks.check_celery() == []
    second.conf.broker_url = "redis://elsewhere:6379/0"
    (message,) = checks.check_celery()
    assert message.id == "jobs.E010" and "second" in message.msg
