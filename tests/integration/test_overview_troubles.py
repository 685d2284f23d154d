"""Troubles of the Overview over a real Redis: queues, workers, schedules; putting one aside; how often it asks."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, PeriodicTask
from redis import Redis
from redis.connection import AbstractConnection

from admin_ext.overview.page import OverviewPage
from admin_ext.overview.views import _until
from jobs.fleet.beacon import beacon_key, last_key
from jobs.fleet.broker import BEACONS_KEY
from jobs.fleet.queues import lists_of
from jobs.fleet.samples import Latest, Point, write_samples
from jobs.ledger.leases import hold
from jobs.models import AuditEvent, Run, SnoozedTrouble
from jobs.states import State
from tests.integration.own_redis import fresh, message, own_redis
from tests.integration.schedule_rows import on_mars, row

SNOOZE = "/admin/jobs/run/overview/snooze/"
LIVE = "/admin/jobs/run/overview/live/"


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[Redis]:
    with own_redis(root) as client:
        yield client


@pytest.fixture
def redis(server: Redis, db: None) -> Redis:
    """One worker of all queues answers; a recorder and a beat are alive."""
    fresh(server)
    worker(server)
    hold("recorder", "r")
    hold("beat", "b")
    return server


@pytest.fixture
def ana(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("ana"))
    return client


def worker(client: Redis, name: str = "w@one", *, burning: bool = True, **values: Any) -> None:
    """A worker's beacon, or its last words alone."""
    told = {
        "worker": name, "boot": name, "beat": 100, "at": time.time(), "pid": 1, "release": "unknown", "pool": "prefork",
        "concurrency": 4, "queues": ["default", "reports"], "running": {}, "at_work": {}, "taken": {}, **values,
    }  # fmt: skip
    if burning:
        client.set(beacon_key(name), json.dumps(told))
    client.set(last_key(name), json.dumps(told))
    client.zadd(BEACONS_KEY, {name: told["at"]})


def page_of(client: Client, address: str = "/admin/") -> OverviewPage:
    response = client.get(address)
    assert response.status_code == 200
    page: OverviewPage = response.context["page"]
    return page


def facts(client: Client) -> list[str]:
    return [trouble.fact for trouble in page_of(client).troubles]


def test_nothing_wrong_is_one_sentence_with_its_proof(redis: Redis, ana: Client) -> None:
    row(last_run_at=timezone.now())
    Run.objects.create(task_id="a", state=State.SUCCEEDED)
    page = page_of(ana)
    assert page.well and page.proof == (
        "The one schedule missed nothing in the last 24 h, no failure needs action, no message waits. "
        "Redis, database, recorder, beat and workers answer. Read now."
    )


def test_queues_that_nobody_consumes_wait_too_long_or_grow(redis: Redis, ana: Client) -> None:
    now = time.time()
    worker(redis, queues=["default"])
    redis.lpush(lists_of("reports")[0], message(published_at=now - 2460), message(published_at=now - 5))
    redis.lpush(lists_of("default")[0], message(published_at=now - 700))
    write_samples(redis, {"reports": Point(2, 2400, 5, 0, 0)}, Latest(now - 1, window=60, growing=("default",)))
    page = page_of(ana)
    shown = [(one.tone, one.fact, one.consequence) for one in page.troubles]
    assert shown == [
        ("bad", "Queue reports: 2 wait and nobody consumes it.", "The oldest has waited 41 min."),
        ("warn", "Queue default: 1 waits, some for too long.", "The oldest has waited 11 min 40 s."),
    ]
    number = page.numbers[2]
    assert (number.value, number.unit, number.tone) == ("41", "min", "warn") and "queue reports" in number.note
    assert number.spark is not None and number.spark.words == "The longest wait of the last hour: 2,400 s at most"
    redis.delete(*lists_of("reports"), *lists_of("default"))
    assert facts(ana) == ["Queue default grows: 0 wait."], "the sampler has not looked again"
    write_samples(redis, {}, Latest(now, window=60))
    assert facts(ana) == []


def test_many_queues_of_one_kind_are_one_trouble(redis: Redis, ana: Client) -> None:
    names = [f"stray{number}" for number in range(5)]
    for name in names:
        redis.lpush(name, message(published_at=time.time()))
    write_samples(redis, {}, Latest(time.time(), window=60, found=tuple(names)))
    page_of(ana)  # learns their names
    assert facts(ana) == ["5 queues hold messages and no setting names them."]


def test_a_worker_that_is_gone_or_wedged(redis: Redis, ana: Client) -> None:
    worker(redis, "w@two", burning=False, at=time.time() - 2040, started={"a": [time.time() - 2100, 0]})
    worker(redis, "w@three", quiet=90.0)
    worker(redis, "w@four", burning=False, at=time.time() - 90, stopped=True)
    assert facts(ana) == ["Worker w@two is gone.", "Worker w@three is wedged."]
    assert "4 more unknown" in page_of(ana).numbers[3].note
    worker(redis, "w@two")
    worker(redis, "w@three")
    assert facts(ana) == []


def test_what_a_worker_that_is_gone_had_at_work_is_not_known_until_somebody_tells(redis: Redis, ana: Client) -> None:
    began = time.time() - 60
    worker(redis, "w@two", burning=False, at=began + 5, started={name: [began, 0] for name in "abc"})
    page = page_of(ana)
    assert page.running_words == "3 not known" and page.nothing_runs.startswith("3 runs were at work on a worker")
    before, after = (timezone.now() - timedelta(seconds=seconds) for seconds in (70, 50))
    Run.objects.create(task_id="a", state=State.LOST)
    Run.objects.create(task_id="b", state=State.QUEUED, published_at=after)
    assert page_of(ana).running_words == "1 not known"
    Run.objects.create(task_id="c", state=State.QUEUED, published_at=before)
    assert page_of(ana).running_words == "1 not known"
    Run.objects.filter(task_id="c").update(state=State.SUCCEEDED)
    assert page_of(ana).nothing_runs == "Nothing is running."


def every(minutes: str) -> CrontabSchedule:
    return CrontabSchedule.objects.create(minute=minutes, hour="*", timezone="UTC")


def test_schedules_that_are_broken_or_missed_their_moment(redis: Redis, ana: Client) -> None:
    now = timezone.now()
    on_mars()
    late = row("Every five", crontab=every("*/5"), last_run_at=now - timedelta(hours=2))
    row("Ran", crontab=every("*/5"), last_run_at=now)
    row("Off", crontab=every("*/5"), last_run_at=now - timedelta(hours=2), enabled=False)
    new = row("New", crontab=every("*/5"))
    ahead = row("Of a clock ahead", crontab=every("*/5"), last_run_at=now + timedelta(days=3))
    assert [one for one in facts(ana) if "missed" in one] == [], "nothing is missed that lay before a person's change"
    PeriodicTask.objects.filter(pk__in=[late.pk, new.pk, ahead.pk]).update(date_changed=now - timedelta(hours=3))
    found = page_of(ana).troubles
    assert [one.fact.split(" missed ")[0] for one in found] == [
        "The schedule On Mars will not run.",
        "Every five",
        "New",
        "Of a clock ahead",
    ]
    assert "There is no zone Mars/Phobos." in found[0].consequence
    assert found[1].ways == ((f"/admin/django_celery_beat/periodictask/{late.pk}/change/", "Open schedule"),)
    coming = page_of(ana).coming
    assert coming is not None and {one.name for one in coming.lines} == {"Every five", "New", "Ran", "Of a clock ahead"}
    assert coming.words == "1,152 runs planned"


def test_a_trouble_is_put_aside_for_one_person_alone(redis: Redis, ana: Client) -> None:
    redis.lpush(lists_of("default")[0], message(published_at=time.time() - 700))
    key = page_of(ana).troubles[0].key
    response = ana.post(SNOOZE, {"key": key, "for": "1h"}, follow=True)
    page, text = response.context["page"], response.content.decode()
    assert not page.troubles and not page.well and page.count == 0 and "for you alone" in text
    assert "1 snoozed" in text and "All is well." not in text and "Show again" not in text
    assert "Show again" in ana.get("/admin/?snoozed=1").content.decode()
    ben = Client()
    ben.force_login(User.objects.create_superuser("ben"))
    assert [trouble.key for trouble in page_of(ben).troubles] == [key]
    assert not AuditEvent.objects.exists(), "nobody else sees anything else than before"
    ana.post(SNOOZE, {"key": key, "for": "wake"})
    assert [trouble.key for trouble in page_of(ana).troubles] == [key]


def test_what_was_put_aside_comes_back_in_its_time(redis: Redis, ana: Client) -> None:
    redis.lpush(lists_of("default")[0], message(published_at=time.time() - 700))
    key = page_of(ana).troubles[0].key
    ana.post(SNOOZE, {"key": key, "for": "1w"})
    SnoozedTrouble.objects.update(until=timezone.now() - timedelta(seconds=1))
    assert len(page_of(ana).troubles) == 1
    ana.post(SNOOZE, {"key": "another", "for": "tomorrow"})
    assert [one.key for one in SnoozedTrouble.objects.all()] == ["another"], "what is over is not kept"


@pytest.mark.parametrize("sent", [{}, {"key": "x"}, {"key": "", "for": "1h"}, {"key": "x" * 256, "for": "1h"}])
def test_a_form_that_is_not_complete_changes_nothing(ana: Client, sent: dict[str, str]) -> None:
    assert ana.post(SNOOZE, sent).status_code == 400 and not SnoozedTrouble.objects.exists()
    assert ana.get(SNOOZE, {"key": "x", "for": "1h"}).status_code == 405
    assert Client(enforce_csrf_checks=True).post(SNOOZE, {"key": "x", "for": "1h"}).status_code in (302, 403)


def test_tomorrow_is_the_next_morning() -> None:
    now = timezone.now()
    until = timezone.localtime(_until("tomorrow", now))
    assert (until.hour, until.minute) == (8, 0) and until.date() == timezone.localtime(now).date() + timedelta(days=1)


def test_the_page_asks_redis_for_everything_of_its_own_at_once(
    redis: Redis, ana: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    page_of(ana)
    sent: list[Any] = []
    send: Any = AbstractConnection.send_packed_command

    def counted(one: Any, *args: Any, **more: Any) -> Any:
        sent.append(one)
        return send(one, *args, **more)

    monkeypatch.setattr(AbstractConnection, "send_packed_command", counted)
    ana.get("/admin/jobs/run/catalog/")
    other = len(sent)
    page_of(ana)
    assert len(sent) - other == other + 1


def test_the_live_part_is_the_page_without_its_frame(redis: Redis, ana: Client) -> None:
    text = ana.get(LIVE, headers={"HX-Request": "true"}).content.decode()
    assert text.lstrip().startswith('<div id="oc-overview"') and 'id="oc-live"' in text and "<html" not in text
    assert ana.get(LIVE).status_code == 302
    signed_out = Client().get(LIVE, headers={"HX-Request": "true"})
    assert signed_out.status_code == 204 and signed_out.headers["HX-Refresh"] == "true"


def test_hostile_names_are_text(redis: Redis, ana: Client) -> None:
    name = "<script>alert(1)</script>\x1b"
    redis.lpush(name, message(published_at=time.time()))
    worker(redis, "<img src=x onerror=1>", burning=False, at=time.time() - 90)
    write_samples(redis, {}, Latest(time.time(), window=60, found=(name,)))
    page_of(ana)
    text = ana.get("/admin/").content.decode()
    assert "<script>alert" not in text and "<img src=x" not in text and "&lt;script&gt;alert(1)" in text
