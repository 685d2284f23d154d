"""Putting a trouble of the Overview aside: for the person alone, so that nothing of it is anybody else's affair.

These are no verbs of the registry and leave no trace in the audit trail: what others see does not change.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from jobs.models import SnoozedTrouble

#: So many a person can have put aside at a time; the one that ends first makes room.
MOST = 200


def asleep(user: Any, now: datetime) -> QuerySet[SnoozedTrouble]:
    """What the person does not want to see now, at most MOST."""
    return SnoozedTrouble.objects.filter(user_id=user.pk, until__gt=now).order_by("until", "id")[:MOST]


def snooze(user: Any, key: str, until: datetime) -> None:
    """Hide the trouble `key` from `user` until a moment; a second time only moves the moment."""
    with transaction.atomic():
        mine = SnoozedTrouble.objects.filter(user_id=user.pk)
        mine.filter(until__lte=timezone.now()).delete()
        SnoozedTrouble.objects.update_or_create(user_id=user.pk, key=key, defaults={"until": until})
        kept = mine.order_by("-until", "-id").values_list("pk", flat=True)
        if over := list(kept[MOST:]):
            mine.filter(pk__in=over).delete()


def wake(user: Any, key: str) -> None:
    """Show it again; nothing happens where it does not sleep."""
    SnoozedTrouble.objects.filter(user_id=user.pk, key=key).delete()
