"""Leases: one holder at a time, on the clock of the database."""

from datetime import timedelta

import pytest
from django.db.models import F

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
    assert holding.renewed_ago is not None and 0 <= holding.renewed_ago < 5


def ahead(**by: float) -> None:
    """The lease as the clock that was set back by so much finds it."""
    Lease.objects.update(renewed_at=F("renewed_at") + timedelta(**by), expires_at=F("expires_at") + timedelta(**by))


def test_a_lease_renewed_in_the_future_is_free() -> None:
    leases.hold("recorder", "a")
    ahead(minutes=10)
    holding = leases.holdings()["recorder"]
    assert not holding.alive and holding.renewed_ago is None
    assert leases.hold("recorder", "b"), "who held it before the clock was set back may be gone"
    assert not leases.hold("recorder", "a")
    assert leases.holdings()["recorder"].alive


def test_who_holds_it_goes_on_when_the_clock_is_set_back() -> None:
    leases.hold("recorder", "a")
    ahead(minutes=10)
    assert leases.hold("recorder", "a") and not leases.hold("recorder", "b")
    assert leases.holdings()["recorder"].alive


def test_a_moment_that_a_statement_waited_for_takes_nobody_s_lease() -> None:
    leases.hold("recorder", "a")
    ahead(milliseconds=300)
    assert not leases.hold("recorder", "b")
    holding = leases.holdings()["recorder"]
    assert holding.alive and holding.renewed_ago == 0
