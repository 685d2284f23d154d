"""Leases on the database's clock. They save work; what makes a second holder harmless is the claim."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError, connection, transaction
from django.db.models import Q
from django.db.models.functions import Now

from jobs.models import Lease

#: How long a lease lasts without renewal, in seconds: the longest time that nobody works after a kill.
LEASE_SECONDS = 10


def database_now() -> datetime:
    """The present moment on the clock that leases and claims are compared on; aware, UTC."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT statement_timestamp()")
            moment: datetime = cursor.fetchone()[0]
            return moment
        cursor.execute("SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')")
        (text,) = cursor.fetchone()
        return datetime.fromisoformat(text + "+00:00")


def hold(name: str, holder: str) -> bool:
    """Take or renew the lease `name` for `holder`; False when another holds it."""
    now = database_now()
    until = now + timedelta(seconds=LEASE_SECONDS)
    if Lease.objects.filter(name=name, holder=holder, expires_at__gt=now).update(renewed_at=now, expires_at=until):
        return True
    free = Q(expires_at__lte=now) | Q(holder=holder)
    if Lease.objects.filter(free, name=name).update(holder=holder, since=now, renewed_at=now, expires_at=until):
        return True
    if Lease.objects.filter(name=name).exists():
        return False
    try:
        with transaction.atomic():
            Lease.objects.create(name=name, holder=holder, since=now, renewed_at=now, expires_at=until)
    except IntegrityError:
        return False
    return True


def release(name: str, holder: str) -> None:
    """Give the lease up at a clean stop, so that another takes over at once."""
    Lease.objects.filter(name=name, holder=holder).update(expires_at=Now())


@dataclass(frozen=True, slots=True)
class Holding:
    """A lease as a page shows it: who, and how many seconds ago it was renewed; `alive` while it has not expired."""

    holder: str
    renewed_ago: float
    alive: bool


def holdings() -> dict[str, Holding]:
    """Every lease by name. One query: the clock is read along."""
    return {
        lease.name: Holding(lease.holder, (lease.now - lease.renewed_at).total_seconds(), lease.expires_at > lease.now)
        for lease in Lease.objects.annotate(now=Now())
    }
