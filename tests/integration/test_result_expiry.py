"""How long a result is kept: in Redis as long as the project's own settings say, in the database as RETENTION says."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from celery import Celery, current_app
from celery.app.task import Context
from django_celery_beat.models import PeriodicTask
from django_celery_results.models import TaskResult
from redis import Redis

from jobs.pipeline.backend import RecordingBackend
from jobs.schedules.scheduler import ConsoleScheduler

DAY = 86_400


def ttl(redis: Redis, failed: bool, **conf: Any) -> int:
    """For how many seconds a result is kept under these settings; -1 for ever."""
    app = Celery("theirs", set_as_current=False)
    app.conf.update(conf)
    backend = RecordingBackend(app=app, url=str(current_app.conf.result_backend).partition("+")[2])
    request = Context({"id": "t", "task": "x", "args": [], "kwargs": {}, "delivery_info": {}})
    if failed:
        backend.mark_as_failure("t", ValueError("no"), "trace", request)
    else:
        backend.mark_as_done("t", 1, request)
    return int(redis.ttl("celery-task-meta-t"))


@pytest.mark.parametrize(
    ("conf", "succeeded", "failed"),
    [
        ({}, DAY, DAY),
        ({"result_expires": 60}, 60, 60),
        ({"result_expires": timedelta(minutes=5)}, 300, 300),
        ({"result_expires": 0}, -1, -1),
        ({"result_expires": None}, -1, -1),
        ({"result_expires": 60, "result_failure_expires": 600}, 60, 600),
        ({"result_failure_expires": timedelta(hours=1)}, DAY, 3600),
        ({"result_expires": 60, "result_failure_expires": 0}, 60, -1),
    ],
)
def test_redis_keeps_a_result_as_long_as_the_project_says(redis: Redis, conf: Any, succeeded: int, failed: int) -> None:
    assert abs(ttl(redis, False, **conf) - succeeded) <= 2
    redis.flushall()
    assert abs(ttl(redis, True, **conf) - failed) <= 2


def test_a_failure_is_kept_also_by_a_celery_before_5_7(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    class Older(RecordingBackend):
        """Its Redis backend has no `failure_expires`."""

        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            self.__dict__.pop("failure_expires", None)

    monkeypatch.setitem(globals(), "RecordingBackend", Older)
    assert abs(ttl(redis, True, result_expires=60) - 60) <= 2


@pytest.mark.django_db(transaction=True)
def test_celerys_daily_clean_up_is_no_schedule_and_deletes_nothing() -> None:
    assert current_app.conf.result_expires
    ConsoleScheduler(app=current_app).setup_schedule()
    assert not PeriodicTask.objects.filter(task="celery.backend_cleanup").exists()
    TaskResult.objects.create(task_id="old", status="SUCCESS")
    TaskResult.objects.update(date_done="2020-01-01T00:00:00Z")
    current_app.tasks["celery.backend_cleanup"]()
    assert TaskResult.objects.count() == 1
