"""What the recorder stores of a result is what django-celery-results' own backend stores of the same task."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from celery import current_app, states
from django_celery_results.backends.database import DatabaseBackend
from django_celery_results.models import GroupResult, TaskResult

from tests.e2e.processes import BIN, PROJECT, Daemon, Stack, wait_for
from tests.e2e.stock_results import publish

#: Celery's own call.
pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning")
KINDS = ("success", "failure", "retried", "gave up", "parent", "expired", "periodic", "member", "told", "told, failed",
         "handed over", "failed by hand", "no pickle", "parent pickles", "no pickle, gave up",
         "lost child", "rest of a chain")  # fmt: skip
COLUMNS = ("task_name", "periodic_task_name", "task_args", "task_kwargs", "status", "worker", "content_type",
           "content_encoding", "result", "traceback", "meta")  # fmt: skip
UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
#: How billiard numbers what a process of the pool died of.
NUMBER = re.compile(r"Job: \d+")
Both = tuple[dict[str, str], dict[str, str]]


@pytest.fixture(scope="module")
def ids(running: Stack) -> Iterator[Both]:
    """The ids of the same tasks, run by a worker of ours and by a stock one."""
    running.up(running.worker, running.recorder)
    command = [str(BIN / "celery"), "-A", "tests.e2e.stock_app", "worker", "-l", "INFO", "-c", "1"]
    command += ["--without-gossip", "--without-mingle", "-n", "default@tests"]
    env = {**running.env, "DJANGO_SETTINGS_MODULE": "opsconsole.settings"}
    stock = Daemon("stock-worker", command, running.worker.log.parent, env, "ready.").start()
    try:
        publisher = [sys.executable, "-m", "tests.e2e.stock_results"]
        told = subprocess.run(publisher, cwd=PROJECT, env=env, stdout=subprocess.PIPE, check=True).stdout
        both = publish(current_app), json.loads(told)
        wanted = [one[kind] for one in both for kind in KINDS]
        done = TaskResult.objects.filter(task_id__in=wanted, status__in=[*states.READY_STATES, "handed over"])
        wait_for(lambda: done.count() == len(wanted), "all to be recorded", 30)
        wait_for(lambda: GroupResult.objects.filter(group_id=both[0]["group"]).exists(), "the group to be recorded")
        yield both
    finally:
        stock.stop()


def row(task_id: str) -> dict[str, Any]:
    values: dict[str, Any] = TaskResult.objects.values(*COLUMNS).get(task_id=task_id)
    return {name: NUMBER.sub("Job", UUID.sub("id", value)) if isinstance(value, str) else value
            for name, value in values.items()}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_the_rows_are_equal(ids: Both, kind: str) -> None:
    ours, stock = (row(one[kind]) for one in ids)
    assert ours == stock


@pytest.mark.parametrize("kind", KINDS)
def test_the_stock_backend_reads_both_alike(ids: Both, kind: str) -> None:
    backend = DatabaseBackend(app=current_app)
    ours, stock = (dict(backend.get_task_meta(one[kind])) for one in ids)
    for meta in (ours, stock):
        meta["task_id"] = meta["date_done"] = None
        meta["children"] = [type(child).__name__ for child in meta["children"]]
        meta["result"] = NUMBER.sub("Job", repr(meta["result"]))
    assert ours == stock


def test_the_dates_are_those_of_the_work(ids: Both) -> None:
    dates = TaskResult.objects.values("date_started", "date_done")
    for kind in KINDS:
        ours, stock = (dates.get(task_id=one[kind]) for one in ids)
        assert abs((ours["date_done"] - stock["date_done"]).total_seconds()) < 30, kind
        if kind != "lost child":  # its start went with its process, where Celery does not track starts
            assert bool(ours["date_started"]) == bool(stock["date_started"]), kind
        assert ours["date_started"] is None or ours["date_started"] <= ours["date_done"], kind


def test_a_saved_group_is_the_same(ids: Both) -> None:
    backend = DatabaseBackend(app=current_app)
    ours, stock = (backend.restore_group(one["group"]) for one in ids)
    assert len(ours.results) == len(stock.results) == 2
    assert ours.results[0].id == ids[0]["member"]
    rows = [
        GroupResult.objects.values("result", "content_type", "content_encoding").get(group_id=g["group"]) for g in ids
    ]
    assert UUID.sub("id", str(rows[0])) == UUID.sub("id", str(rows[1]))
