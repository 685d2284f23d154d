"""Each address gets an e-mail of a mailing once: the row is taken before the e-mail is sent, and says how it went."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction
from django.utils import timezone

from jobs.models import Delivery

#: Addresses that one statement looks up.
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Earlier:
    """What is known of an address that a mailing has been to."""

    state: str
    at: datetime


def earlier_deliveries(key: str, addresses: Iterable[str]) -> Mapping[str, Earlier]:
    """What is known of these addresses; those that the mailing `key` has never been to are left out."""
    wanted, found = list(addresses), dict[str, Earlier]()
    for start in range(0, len(wanted), _AT_ONCE):
        rows = Delivery.objects.filter(key=key, recipient__in=wanted[start : start + _AT_ONCE])
        found.update({r: Earlier(state, at) for r, state, at in rows.values_list("recipient", "state", "at")})
    return found


def take(key: str, address: str, task_id: str) -> bool:
    """Take the delivery for this run; False when another has it or the address has got the e-mail, or may have."""
    try:
        with transaction.atomic():
            Delivery.objects.create(key=key, recipient=address, task_id=task_id)
    except IntegrityError:
        refused = Delivery.objects.filter(key=key, recipient=address, state=Delivery.State.REFUSED)
        return bool(refused.update(state=Delivery.State.SENDING, task_id=task_id, at=timezone.now()))
    return True


def settle(key: str, address: str, *, sent: bool) -> None:
    """Say what the mail server answered. Never called where nobody knows: such a delivery stays as it is."""
    state = Delivery.State.SENT if sent else Delivery.State.REFUSED
    Delivery.objects.filter(key=key, recipient=address).update(state=state, at=timezone.now())
