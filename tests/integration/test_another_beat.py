"""A beat whose command line names a scheduler, and one that publishes by itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from celery import current_app, signals
from celery.beat import PersistentScheduler, Service
from django.utils import timezone
from django_celery_beat.schedulers import DatabaseScheduler
from redis import Redis

from jobs.models import Run
from jobs.recorder import inspection
from jobs.recorder.inspection import Inspection
from jobs.schedules.scheduler import ConsoleScheduler
from jobs.states import Source
from tests.unit.test_hazards import ids

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheduler lets go of its connection; the one of a test holds the test's transaction."""
    monkeypatch.setattr("django_celery_beat.schedulers.close_old_connections", lambda: None)


class Own(DatabaseScheduler):
    """A project's own, which overrides something."""


@pytest.mark.parametrize(
    ("asked", "used"),
    [
        ("django_celery_beat.schedulers:DatabaseScheduler", ConsoleScheduler),
        ("django", ConsoleScheduler),
        ("jobs.schedules.scheduler:ConsoleScheduler", ConsoleScheduler),
        (PersistentScheduler, PersistentScheduler),
        (Own, Own),
    ],
)
def test_the_scheduler_of_a_command_line(asked: Any, used: type, tmp_path: Any, caplog: Any) -> None:
    service = Service(current_app, scheduler_cls=asked, schedule_filename=str(tmp_path / "beat"))
    assert service.scheduler
    signals.beat_init.send(sender=service)
    assert type(service.scheduler) is used
    told = {record.levelname for record in caplog.records if record.name == "jobs.schedules.scheduler"}
    assert ("ERROR" in told) == (used is not ConsoleScheduler)


def test_what_another_beat_publishes_is_told_for_an_hour(text_redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    look = Inspection(text_redis)
    mine = {"source": Source.SCHEDULE, "guaranteed": True, "schedule_name": "ours"}
    Run.objects.create(task_id="mine", task_name="shop.tasks.add", **mine)
    Run.objects.create(task_id="code", task_name="shop.tasks.add", source=Source.CODE)
    assert "jobs.W026" not in {hazard.id for hazard in look.look()}
    theirs = Run.objects.create(
        task_id="theirs", task_name="shop.tasks.add", source=Source.SCHEDULE, schedule_name="theirs"
    )
    found = [hazard for hazard in look.look() if hazard.id == "jobs.W026"]
    assert ids(found) == {"jobs.W026"} and "theirs" in found[0].fact and "ours" not in found[0].fact
    Run.objects.filter(pk=theirs.pk).delete()
    assert "jobs.W026" in {hazard.id for hazard in look.look()}, "it is remembered until an hour is over"
    monkeypatch.setattr(inspection, "database_now", lambda: timezone.now() + timedelta(hours=2))
    assert "jobs.W026" not in {hazard.id for hazard in look.look()}
