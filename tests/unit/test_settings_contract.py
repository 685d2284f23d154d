"""The Celery settings that the promises rest on; each has its reason in jobs/settings.py or opsconsole/settings.py."""

from datetime import timedelta

import pytest
from celery import current_app

from jobs.pipeline.joined import why_unclaimed

CONTRACT = {
    "task_serializer": "json",
    "result_serializer": "json",
    "accept_content": ["json"],
    "result_accept_content": ["json"],
    "result_extended": True,
    "result_expires": timedelta(days=1),
    "task_track_started": False,
    "task_acks_late": False,
    "task_reject_on_worker_lost": False,
    "task_create_missing_queues": False,
    "task_always_eager": False,
    "worker_prefetch_multiplier": 1,
    "worker_max_tasks_per_child": 200,
    "worker_max_memory_per_child": 300_000,
    "worker_soft_shutdown_timeout": 20,
    "worker_enable_soft_shutdown_on_idle": False,
    "worker_eta_task_limit": 1000,
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    "broker_channel_error_retry": True,
    "timezone": "UTC",
    "enable_utc": True,
    "beat_scheduler": "jobs.schedules.scheduler:ConsoleScheduler",
    "beat_cron_starting_deadline": 600,
    "beat_sync_every": 1,
}


@pytest.mark.parametrize("name", CONTRACT)
def test_a_setting_has_the_value_that_the_promises_need(name: str) -> None:
    assert current_app.conf[name] == CONTRACT[name]


def test_every_wait_for_redis_is_bounded() -> None:
    options = current_app.conf.broker_transport_options
    assert 1 < options["socket_timeout"] <= 5, "longer than kombu's BRPOP of 1 s, or the worker reconnects for ever"
    assert options["socket_connect_timeout"] <= 2
    assert current_app.conf.redis_socket_timeout <= 5
    assert current_app.conf.task_publish_retry_policy["max_retries"] == 1


def test_the_three_visibility_timeouts_agree() -> None:
    timeouts = {
        current_app.conf.broker_transport_options["visibility_timeout"],
        current_app.conf.result_backend_transport_options["visibility_timeout"],
        current_app.conf["visibility_timeout"],
    }
    assert len(timeouts) == 1


def test_time_limits_are_ordered() -> None:
    assert current_app.conf.task_soft_time_limit < current_app.conf.task_time_limit


def test_the_backend_records_and_its_redis_keys_expire() -> None:
    backend = current_app.backend
    assert type(backend).__name__ == "RecordingBackend"
    assert vars(backend)["expires"] == 86_400


def test_every_task_is_claimed() -> None:
    # As a worker does when it starts.
    current_app.loader.import_default_modules()
    assert "jobs.library.diagnostics.self_check" in current_app.tasks
    assert [name for name, task in current_app.tasks.items() if why_unclaimed(task)] == []
