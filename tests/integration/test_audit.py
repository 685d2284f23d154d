"""The audit trail cannot be changed through Django."""

from collections.abc import Callable
from typing import Any

import pytest

from jobs.errors import ImmutableRow
from jobs.ledger.audit import Actor, Subject, record
from jobs.models import AuditEvent

pytestmark = pytest.mark.django_db
MANY = AuditEvent.objects


@pytest.fixture
def event() -> AuditEvent:
    return record("start_run", Actor("self-check", "system"), Subject("run", "id", "label"))


ATTEMPTS: dict[str, Callable[[AuditEvent], Any]] = {
    "save": lambda event: event.save(),
    "delete": lambda event: event.delete(),
    "update": lambda event: MANY.update(reason="x"),
    "filtered update": lambda event: MANY.filter(pk=event.pk).update(reason="x"),
    "delete many": lambda event: MANY.all().delete(),
    "bulk update": lambda event: MANY.bulk_update([event], ["reason"]),
    "upsert": lambda event: MANY.bulk_create(
        [event], update_conflicts=True, unique_fields=["id"], update_fields=["reason"]
    ),
    "update or create": lambda event: MANY.update_or_create(pk=event.pk, defaults={"reason": "x"}),
}


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_an_event_is_never_changed_or_removed(event: AuditEvent, attempt: str) -> None:
    event.reason = "rewritten"
    with pytest.raises(ImmutableRow, match="append-only"):
        ATTEMPTS[attempt](event)
    assert MANY.get().reason == ""
