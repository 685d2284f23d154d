"""The same tasks under Celery as a project without the console runs it: results in django-celery-results' own backend.

`celery -A tests.e2e.stock_app worker` runs them, `python -m tests.e2e.stock_results` publishes them and prints
their ids. Its messages are in another database of the same Redis.
"""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import django
from celery import Celery, group
from django.conf import settings

TASKS = "tests.tasks_observed."
FAILED = {"exc_type": "ValueError", "exc_message": ["by hand"], "exc_module": "builtins"}


def make_app() -> Celery:
    app = Celery("stock")
    app.config_from_object("django.conf:settings", namespace="CELERY")
    app.conf.update(
        result_backend="django-db",
        broker_url=f"{settings.REDIS_URL}?virtual_host=1",
        task_track_started=True,  # so that the stock rows have a start, too
    )
    return app


def publish(app: Any) -> dict[str, str]:
    """One task of each kind, by what becomes of it."""

    def send(name: str, *args: Any, **options: Any) -> str:
        return str(app.send_task(TASKS + name, args=args, **options).id)

    past = datetime.now(UTC) - timedelta(minutes=1)
    members: Any = group(app.signature(TASKS + "succeed", args=(n,)) for n in range(2)).apply_async()
    members.save()
    rest = app.signature(TASKS + "succeed", args=["é"], kwargs={"n": 1})
    return {
        "success": send("succeed", 1, "é", kwargs={"period": "2026-09"}),
        "failure": send("break_down", "customer"),
        "retried": send("try_again", 1),
        "gave up": send("try_again", 9),
        "parent": send("publish_two", "x"),
        "expired": send("succeed", 1, expires=past),
        "periodic": send("succeed", headers={"periodic_task_name": "nightly", "meta": {"who": "ana"}}),
        "told": send("tell_states", [["PROGRESS", {"current": 1, "total": 2}]]),
        "told, failed": send("tell_states", [["half way", None]], "fail"),
        "handed over": send("tell_states", [["handed over", {"to": "the bank"}]], "ignore"),
        "failed by hand": send("tell_states", [["FAILURE", FAILED]], "ignore"),
        "member": members.results[0].id,
        "group": members.id,
        "no pickle": send("call_out", 404, "gone"),
        "parent pickles": send("call_out", 503, "gone"),
        "no pickle, gave up": send("call_out_again", 429),
        "lost child": send("die"),
        "rest of a chain": str((app.signature(TASKS + "break_down", args=["x"]) | rest).apply_async().id),
    }


if __name__ == "__main__":
    django.setup()
    print(json.dumps(publish(make_app())))  # noqa: T201
