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
#: No lease: why this Redis serves another database, for as long as its recorder says so (`jobs.recorder.identity`).
CLASH = "clash"
#: A lease renewed so much later than now was renewed before the clock was set back, and tells nothing: who held it may
#: be gone. Less may be a statement that waited for another's, in seconds.
_AHEAD = timedelta(seconds=1)


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
    # The clock of each statement: one read before it would be old for a statement that had to wait.
    now = Now()
    until = now + timedelta(seconds=LEASE_SECONDS)
    if Lease.objects.filter(name=name, holder=holder, expires_at__gt=now).update(renewed_at=now, expires_at=until):
        return True
    free = Q(expires_at__lte=now) | Q(renewed_at__gt=now + _AHEAD) | Q(holder=holder)
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
    """A lease as a page shows it.

    Attributes:
        renewed_ago: seconds, never negative; None where it was renewed before the clock was set back.
        alive: it has not expired.
    """

    holder: str
    renewed_ago: float | None
    alive: bool


def holdings() -> dict[str, Holding]:
    """Every lease by name. One query: the clock is read along."""
    return {lease.name: _holding(lease, lease.now) for lease in Lease.objects.annotate(now=Now())}


def _holding(lease: Lease, now: datetime) -> Holding:
    if lease.renewed_at > now + _AHEAD:
        return Holding(lease.holder, None, alive=False)
    ago = max((now - lease.renewed_at).total_seconds(), 0.0)
    return Holding(lease.holder, ago, alive=lease.expires_at > now)
