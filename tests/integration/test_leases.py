"""Leases: one holder at a time, on the clock of the database."""

from datetime import timedelta

import pytest

from jobs.ledger import leases
from jobs.models import Lease

pytestmark = pytest.mark.django_db


def test_one_holds_and_renews_while_the_other_stands_by() -> None:
    assert leases.hold("recorder", "a")
    assert not leases.hold("recorder", "b")
    assert leases.hold("recorder", "a")
    assert leases.hold("beat", "b"), "another name is another lease"


def test_an_expired_lease_is_taken_over() -> None:
    leases.hold("recorder", "a")
    Lease.objects.update(expires_at=leases.database_now() - timedelta(seconds=1))
    assert not leases.holdings()["recorder"].alive
    assert leases.hold("recorder", "b")
    assert not leases.hold("recorder", "a")


def test_a_released_lease_is_free_at_once() -> None:
    leases.hold("recorder", "a")
    leases.release("recorder", "b")
    assert not leases.hold("recorder", "b"), "only its holder releases it"
    leases.release("recorder", "a")
    assert leases.hold("recorder", "b")


def test_a_page_sees_holder_age_and_life() -> None:
    leases.hold("recorder", "host:1")
    holding = leases.holdings()["recorder"]
    assert (holding.holder, holding.alive) == ("host:1", True)
    assert 0 <= holding.renewed_ago < 5
