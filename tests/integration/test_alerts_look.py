"""What stands wrong for nobody in particular: each kind of trouble, by a name that lasts, without what is private."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from redis import Redis

from admin_ext.overview.alerts import look
from jobs.alerts.standing import Look, Standing
from jobs.fleet import breaker
from jobs.fleet.broker import DEAD_KEY, FACTS_GROUP, FACTS_KEY
from jobs.fleet.hazards import of_redis, tell
from jobs.fleet.queues import lists_of
from jobs.fleet.samples import Latest, write_samples
from jobs.ledger.leases import hold
from jobs.models import FailureGroup, Lease
from jobs.recorder.alert import Alerts
from tests import jobs_under_test as under_test
from tests.integration.own_redis import fresh, message, own_redis
from tests.integration.schedule_rows import on_mars, row
from tests.integration.test_overview_troubles import every, worker


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[Redis]:
    with own_redis(root) as client:
        yield client


@pytest.fixture
def redis(server: Redis, db: None) -> Redis:
    """One worker of all queues answers; a recorder and a beat are alive."""
    fresh(server)
    server.xgroup_create(FACTS_KEY, FACTS_GROUP, mkstream=True)
    worker(server)
    hold("recorder", "r")
    hold("beat", "b")
    return server


@pytest.fixture
def away(redis: Redis) -> Iterator[None]:
    """Redis is known not to answer, as after a question in vain."""
    breaker._breaker.closed_until = time.monotonic() + 60
    yield
    breaker._breaker = breaker._Breaker()


def found() -> dict[str, Standing]:
    return {one.key: one for one in look().standing}


def group(number: int, **values: Any) -> FailureGroup:
    now = timezone.now()
    known = {
        "fingerprint": f"f{number}",
        "basis": "own",
        "task_name": under_test.add.name,
        "error_type": "shop.errors.CardDeclined",
        "title": "card of ana@example.com declined",
        "last_run": "x",
        "first_seen": now,
        "last_seen": now,
        "total": 3,
        "hurting": 2,
    }
    return FailureGroup.objects.create(**(known | values))


def test_nothing_wrong_is_nothing(redis: Redis) -> None:
    assert look() == Look()


def test_who_finds_it_is_set_by_the_line_that_joins_a_project() -> None:
    path = f"{look.__module__}.{look.__name__}"
    assert path == getattr(settings, "ALERT_TROUBLES", "")


def test_a_group_of_failures_is_told_by_its_job_and_kind_and_not_by_its_message(redis: Redis) -> None:
    one = group(1)
    (told,) = look().standing
    assert (told.key, told.tone, told.fact) == (f"group:{one.pk}", "bad", "Add fails: CardDeclined.")
    assert told.more.endswith("2 still hurting.") and told.href == f"/admin/jobs/failuregroup/{one.pk}/change/"
    FailureGroup.objects.update(first_seen=timezone.now() - timedelta(days=9))
    assert list(found()) == [f"group:{one.pk}"], "it is no other trouble because it is no longer new"
    FailureGroup.objects.update(state="snoozed", snoozed_until=timezone.now() + timedelta(hours=1))
    seen = look()
    assert seen.standing == () and seen.is_unknown(f"group:{one.pk}") and not seen.is_unknown(f"group:{one.pk}0")
    FailureGroup.objects.update(state="resolved", snoozed_until=None)
    assert look() == Look(), "what a person has resolved is over"


def test_of_a_guarded_job_not_even_the_kind_is_told(redis: Redis) -> None:
    group(1, task_name=under_test.tell_guarded.name)
    (told,) = look().standing
    assert told.fact == "Tell what is guarded fails." and "CardDeclined" not in repr(told)


def test_more_groups_than_are_looked_at_solve_none(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("admin_ext.overview.read.MOST_OUTSIDE", 2)
    for number in range(3):
        group(number)
    assert len(look().standing) == 2 and look().is_unknown("group:7")


def test_queues_and_workers_are_told_one_by_one_under_their_names(redis: Redis) -> None:
    names = [f"stray{number}" for number in range(6)]
    for name in names:
        redis.lpush(name, message(published_at=time.time()))
    redis.lpush(lists_of("reports")[0], message(published_at=time.time() - 900))
    write_samples(redis, {}, Latest(time.time(), window=60, found=tuple(names)))
    worker(redis, queues=["default"])
    gone = [f"gone@{number}" for number in range(6)]
    for name in gone:
        worker(redis, name, burning=False, at=time.time() - 60, started={"secret-run": [time.time() - 70, 0]})
    look()  # learns the names that nobody configured
    told = found()
    keys = {"queue:reports", *(f"worker:{name}" for name in gone), *(f"queue:{name}" for name in names)}
    assert set(told) == keys
    assert told["queue:reports"].fact == "Queue reports: 1 waits and nobody consumes it."
    assert told["queue:reports"].href == "/admin/jobs/run/queues/queue/?name=reports"
    assert "secret-run" not in repr(told)
    worker(redis)
    assert "queue:reports" in found(), "too old now, and still the same trouble"


def test_schedules_that_are_broken_or_missed_their_moment(redis: Redis) -> None:
    mars = on_mars()
    late = row("Every five", crontab=every("*/5"), last_run_at=timezone.now() - timedelta(hours=2))
    late.__class__.objects.filter(pk=late.pk).update(date_changed=timezone.now() - timedelta(hours=3))
    told = found()
    assert set(told) == {f"schedule:{mars.pk}:broken", f"schedule:{late.pk}:missed"}
    assert told[f"schedule:{mars.pk}:broken"].fact == "The schedule On Mars will not run."
    assert told[f"schedule:{mars.pk}:broken"].more == "", "the reason may quote arguments"


def test_the_machinery_with_what_every_page_says(redis: Redis) -> None:
    Lease.objects.filter(name="beat").delete()
    redis.delete("opsconsole:beacons")
    redis.xadd(DEAD_KEY, {"f": "{}"})
    redis.config_set("maxmemory-policy", "allkeys-lru")
    tell([one for one in of_redis(redis_text(redis)) if one.id == "jobs.W020"], redis)
    redis.lpush("opsconsole:quarantine", '{"at": 1, "queue": "default", "why": "secret words"}')
    redis.config_set("maxmemory-policy", "noeviction")
    redis.xadd(FACTS_KEY, {"f": "{}"}, id=f"{int(time.time() * 1000) - 90_000}-0")
    told = found()
    kinds = {"beat", "workers:none", "set-aside", "hazard:jobs.W020", "messages:aside", "recorder:behind"}
    assert set(told) == kinds and "secret words" not in repr(told)
    assert all(one.href.startswith("/admin/") and one.fact for one in told.values())


def redis_text(client: Redis) -> Redis:
    return Redis(unix_socket_path=client.connection_pool.connection_kwargs["path"], decode_responses=True)


def test_while_redis_is_away_only_what_it_tells_is_unknown(away: None) -> None:
    Lease.objects.filter(name="beat").delete()
    seen = look()
    assert [one.key for one in seen.standing] == ["redis:away", "beat"]
    for key in ("queue:reports", "worker:w@one", "workers:none", "hazard:jobs.W020", "recorder:behind", "redis:full"):
        assert seen.is_unknown(key), key
    for key in ("messages:aside", "set-aside", "redis:fills", "files:apart"):
        assert seen.is_unknown(key), key
    for key in ("redis:away", "beat", "recorder", "group:1", "schedule:1:missed"):
        assert not seen.is_unknown(key), key


def test_while_redis_takes_no_writes_queues_and_workers_are_unknown(redis: Redis) -> None:
    redis.config_set("maxmemory", 1)
    try:
        seen = look()
    finally:
        redis.config_set("maxmemory", 0)
    assert {one.key: one.fact for one in seen.standing}["redis:full"] == "Redis takes no writes."
    assert seen.is_unknown("queue:reports") and seen.is_unknown("worker:w") and not seen.is_unknown("hazard:jobs.W020")


def test_two_statements_whatever_there_is(redis: Redis, django_assert_num_queries: Any) -> None:
    look()
    for number in range(20):
        group(number)
        row(f"Every five {number}", crontab=every("*/5"))
    with django_assert_num_queries(2):
        assert len(look().standing) >= 20


def test_what_needs_a_look_is_counted_for_the_sidebar(redis: Redis, client: Client, operator: User) -> None:
    on_mars()
    worker(redis, "w@two", burning=False, at=time.time() - 90)
    redis.lpush(lists_of("reports")[0], message(published_at=time.time() - 2000))
    Alerts(lambda: False).step()
    client.force_login(operator)
    page = client.get("/admin/jobs/run/catalog/").content.decode()
    badge = r">(Overview|Schedules|Queues|Workers)</span>\s*<span class=\"oc-badge oc-badge--warning\">(\d+)<"
    assert dict(re.findall(badge, page)) == {"Overview": "3", "Schedules": "1", "Queues": "1", "Workers": "1"}
