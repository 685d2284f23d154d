"""Numbers above a thousand have their marks, on every page that counts anything."""

from __future__ import annotations

import html
import json
import re
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from django_celery_beat.models import PeriodicTask
from redis import Redis

from jobs.catalog.registry import find_job
from jobs.fleet.beacon import beacon_key, last_key
from jobs.fleet.broker import BEACONS_KEY, DEAD_KEY
from jobs.fleet.quarantined import QUARANTINE_KEY
from jobs.fleet.queues import lists_of
from jobs.ledger.audit import Actor, Subject
from jobs.ledger.retry_many import retry_many
from jobs.ledger.start import Wish
from jobs.models import FailureGroup, Run
from jobs.states import State
from tests import jobs_under_test as under_test

from .failure_facts import failed, record, run_of
from .own_redis import fresh, message, own_redis

NUMBER = 1237
ADDRESSES = (
    "/admin/",
    "{runs}",
    "{runs}?since=24h",
    "{runs}?state=failed&q=add",
    "/admin/jobs/failuregroup/",
    "/admin/jobs/failuregroup/?view=all",
    "{group}change/",
    "{group}change/?tab=runs",
    "{group}change/?tab=runs&hurting=1",
    "{group}change/?tab=audit",
    "{group}retry/",
    "{group}resolve/",
    "{runs}queues/",
    "{runs}queues/queue/?name=default",
    "{runs}queues/queue/purge/?name=default",
    "{runs}workers/",
    "{runs}workers/worker/?name=w@one",
    "{runs}workers/worker/?name=w@two",
    "{runs}set-aside/",
    "{runs}set-aside/messages/",
    "/admin/jobs/auditevent/",
    "/admin/django_celery_beat/periodictask/",
    "/admin/django_celery_results/taskresult/",
    "/admin/auth/user/",
    "{runs}catalog/",
    "{runs}{run}/change/",
    "{runs}{run}/retry/",
)


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[Redis]:
    with own_redis(root) as client:
        yield client


@pytest.fixture
def full(server: Redis, db: None) -> FailureGroup:
    """So many of everything."""
    fresh(server)
    now, each = time.time(), range(NUMBER)
    told = {
        "beat": NUMBER, "at": now, "pid": 1, "release": "r", "pool": "threads", "concurrency": NUMBER,
        "queues": ["default"], "running": {}, "at_work": {"default": NUMBER}, "taken": {"tests.add": NUMBER},
        "holds": NUMBER, "started": {f"r{number}": [now - 50, 0] for number in each},
    }  # fmt: skip
    server.set(beacon_key("w@one"), json.dumps({**told, "worker": "w@one", "boot": "w@one"}))
    server.set(last_key("w@two"), json.dumps({**told, "worker": "w@two", "boot": "w@two", "at": now - 90}))
    server.zadd(BEACONS_KEY, {"w@one": now, "w@two": now - 90})
    pipe = server.pipeline()
    for number in each:
        pipe.lpush(lists_of("default")[0], message(under_test.add.name, published_at=now - 9, id=f"i{number}"))
        pipe.xadd(DEAD_KEY, {"f": "{}", "id": "1-1", "why": "unreadable"})
        aside = {"at": now, "queue": "default", "worker": "w@one", "why": "x", "size": NUMBER, "whole": True}
        pipe.lpush(QUARANTINE_KEY, json.dumps({**aside, "message": "m" * NUMBER}))
    pipe.execute()
    name = under_test.add.name
    runs = [run_of(name, ago=50, arguments='[[], {"a": 1}]') for _ in each]
    record(*(failed(run, error_message="no such order") for run in runs))
    runs[0].refresh_from_db()
    Run.objects.bulk_create(
        Run(task_id=f"r{number}", task_name=name, state=State.RUNNING, claimed_at=timezone.now()) for number in each
    )
    PeriodicTask.objects.filter(pk__isnull=False).update(total_run_count=NUMBER)
    User.objects.bulk_create(User(username=f"u{number}") for number in each)
    group = FailureGroup.objects.get()
    assert group.total == NUMBER and runs[0].accepted_at > timezone.now() - timedelta(minutes=5)
    return group


def _seen(page: str) -> list[str]:
    """What people read and what is read to them."""
    page = re.sub(r"<(script|style|head)\b.*?</\1>", " ", page, flags=re.DOTALL)
    said = re.findall(r'\b(?:aria-label|title|placeholder|alt)="([^"]*)"', page)
    return [html.unescape(text) for text in (*said, *re.split(r"<[^>]*>", page))]


def _without_marks(client: Client, group: FailureGroup) -> list[str]:
    place, run = f"/admin/jobs/failuregroup/{group.pk}/", Run.objects.filter(state=State.FAILED).first()
    assert run is not None
    found = []
    for pattern in ADDRESSES:
        address = pattern.format(runs="/admin/jobs/run/", group=place, run=run.task_id)
        response = client.get(address)
        assert response.status_code == 200, address
        unmarked = re.compile(rf"(?<![\w.,:#-])(?:{NUMBER}|{2 * NUMBER})(?![\w:])")
        found += [f"{pattern}: {text}" for text in _seen(response.content.decode()) if unmarked.search(text)]
    return found


def test_numbers_above_a_thousand_have_their_marks(client: Client, full: FailureGroup) -> None:
    ana = User.objects.create_superuser("ana")
    client.force_login(ana)
    assert _without_marks(client, full) == []
    subject = Subject("failure", str(full.pk), "a group")
    job = find_job(under_test.add.name)
    runs = list(Run.objects.filter(state=State.FAILED))
    actor = Actor.person(ana, via="admin")
    done = retry_many(runs, job, actor=actor, wish=Wish(reason="back"), subject=subject, batch_id="b", pace=0)
    assert done.started == NUMBER
    assert _without_marks(client, full) == []
