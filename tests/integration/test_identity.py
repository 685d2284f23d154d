"""Whose facts lie in Redis: another database is refused, and neither an upgrade nor a restored one is taken for it."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django.test import Client
from django.utils import timezone
from redis import Redis

from jobs.fleet.broker import IDENTITY_KEY, steady_client
from jobs.fleet.hazards import Clash
from jobs.ledger import leases
from jobs.models import Lease
from jobs.recorder import identity
from jobs.recorder.identity import LEADER_KEY, Belonging, identity_of_database
from jobs.recorder.restored import MARK_KEY, MARK_NAME, Books


@pytest.fixture
def belonging(redis: Redis) -> Belonging:
    return Belonging(steady_client(), "host:1:me")


def clash() -> str:
    held = leases.holdings().get(leases.CLASH)
    return held.holder if held is not None and held.alive else ""


def backup_of(minutes: float) -> None:
    """The database is as it was so long ago, and Redis of now."""
    Books(steady_client()).look()
    Lease.objects.filter(name=MARK_NAME).update(renewed_at=timezone.now() - timedelta(minutes=minutes))


def test_the_first_database_is_served_and_another_refused(belonging: Belonging, redis: Redis) -> None:
    assert not belonging.refused(leads=True)
    assert redis.get(IDENTITY_KEY) == identity_of_database().encode() and redis.get(LEADER_KEY) == b"host:1:me"

    redis.delete(LEADER_KEY)
    redis.set(IDENTITY_KEY, str(uuid.uuid4()))
    assert belonging.refused(leads=True) and clash() == Clash.OTHER
    assert redis.get(LEADER_KEY) is None

    redis.delete(IDENTITY_KEY)
    assert not belonging.refused(leads=True), "the remedy for one that is gone for good"


def test_what_nobody_wrote_there_stops_no_recorder(belonging: Belonging, redis: Redis) -> None:
    redis.set(IDENTITY_KEY, "nobody's")
    assert not belonging.refused(leads=True)
    redis.delete(IDENTITY_KEY, LEADER_KEY)
    redis.rpush(IDENTITY_KEY, "a list")
    redis.rpush(LEADER_KEY, "a list")
    assert not belonging.refused(leads=True)


def test_a_full_redis_stops_no_recorder(belonging: Belonging, redis: Redis) -> None:
    redis.config_set("maxmemory", 1)
    try:
        assert not belonging.refused(leads=True), "what it records makes room"
    finally:
        redis.config_set("maxmemory", 0)


def test_a_backup_from_before_the_upgrade_has_the_same_identity(db: None) -> None:
    before = identity_of_database()
    Lease.objects.all().delete()
    assert identity_of_database() == before


def test_an_upgrade_is_no_clash(belonging: Belonging, redis: Redis) -> None:
    """Redis has a mark of the release before, and no identity."""
    Books(steady_client()).look()
    assert not belonging.refused(leads=True) and clash() == ""


def test_a_restored_database_is_no_clash(belonging: Belonging, redis: Redis) -> None:
    assert not belonging.refused(leads=True)
    backup_of(minutes=5)
    assert not belonging.refused(leads=True), "its own recorder never stopped"
    follower = Belonging(steady_client(), "host:2:next")
    assert follower.refused(leads=True) and clash() == "", "nobody knows yet whether the first one has heard of it"
    assert 0 < redis.ttl(LEADER_KEY) <= identity.AT_WORK
    redis.delete(LEADER_KEY)
    assert not follower.refused(leads=True), "the first one has ended"


def test_a_second_recorder_of_the_same_database_is_no_clash(belonging: Belonging, redis: Redis) -> None:
    assert not belonging.refused(leads=True)
    Books(steady_client()).look()
    assert not Belonging(steady_client(), "host:2:next").refused(leads=False) and clash() == ""


def test_a_copy_waits_and_is_told_while_the_original_works(
    belonging: Belonging, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis.set(LEADER_KEY, "host:9:original")
    backup_of(minutes=5)
    assert belonging.refused(leads=False) and clash() == "", "the other may not yet have heard of a restore"
    monkeypatch.setattr(identity, "PATIENCE", -1)
    assert belonging.refused(leads=False) and clash() == Clash.COPY
    redis.delete(LEADER_KEY)
    assert belonging.refused(leads=False), "it takes nothing over while the original rests"
    assert redis.get(MARK_KEY) is not None and not Belonging(steady_client(), "again").refused(leads=False)


def test_every_page_says_so_with_the_remedy(ana: Client, redis: Redis) -> None:
    now = Now()
    until = now + timedelta(seconds=10)
    Lease.objects.create(name=leases.CLASH, holder=Clash.OTHER, since=now, renewed_at=now, expires_at=until)
    for address in ("/admin/", "/admin/jobs/run/"):
        page = ana.get(address).content.decode()
        assert f"redis-cli DEL {IDENTITY_KEY}" in page
        assert "manage.py recorder" not in page, "starting another one helps nobody"
