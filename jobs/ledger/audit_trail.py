"""Nouns for the audit page: which acts a list shows, in bounded time at any length of the trail."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Coalesce

from jobs.models import AuditEvent

from .slices import Pool, Slice, only, read_slice

#: `AuditQuery.actor_id` of what no person did: schedules and the console itself.
NOBODY = ""
#: Rows are numbered in the order of their times, but for clocks that were set in between, by less than this.
_DISORDER = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Which acts a list shows; each part that is set narrows it.

    Attributes:
        object_type, object_id: one object, by the index that knows it; the type alone is looked for.
        text: part of the object's name, or the beginning of its id.
        since, until: the first moment and the first moment after.
    """

    actor_id: str | None = None
    verb: str = ""
    object_type: str = ""
    object_id: str = ""
    text: str = ""
    since: datetime | None = None
    until: datetime | None = None
    refused: bool = False


def audit_slice(
    query: AuditQuery, *, before: int | None = None, after: int | None = None, limit: int
) -> Slice[AuditEvent]:
    """One page of the acts that `query` asks for, newest first. One or two queries, one more for each end in time."""
    pool, rest = _pool(query)
    return read_slice(Pool(_within(pool.rows, query), pool.order), rest, before=before, after=after, limit=limit)


def _pool(query: AuditQuery) -> tuple[Pool[AuditEvent], Q]:
    """What one index answers in the order of the rows, and what is left to look for.

    The parts of acts on many are left out where no object and no text is asked for: one event tells of them all.
    """
    events, pools, rest = AuditEvent.objects.all(), list[tuple[Q, str]](), Q()
    if not query.object_id and not query.text:
        events = events.filter(part=False)
    if query.object_type and query.object_id:
        pools.append((only("object_type", query.object_type) & Q(object_id=query.object_id), "object_type"))
    elif query.object_type:
        rest &= Q(object_type=query.object_type)
    if query.actor_id is not None:
        person = Q(actor_id__isnull=True) if query.actor_id == NOBODY else only("actor_id", query.actor_id)
        pools.append((person, "actor_id"))
    if query.verb:
        pools.append((only("verb", query.verb), "verb"))
    for other, _ in pools[1:]:
        rest &= other
    if query.text:
        rest &= Q(object_label__icontains=query.text) | Q(object_id__startswith=query.text)
    if query.refused:
        rest &= Q(outcome=AuditEvent.Outcome.DENIED)
    if not pools:
        return Pool(events), rest
    condition, order = pools[0]
    return Pool(events.filter(condition), order), rest


def _within(found: QuerySet[AuditEvent], query: AuditQuery) -> QuerySet[AuditEvent]:
    """The acts of a period, as a range of rows too, so that any index finds them in their order.

    The ends of the range are read before: a planner that does not know them cannot tell how few rows lie between.
    """
    # SQLite would read the whole period by the index of times and sort it; this form is in no index.
    found = found.alias(time=Coalesce("at", "at") if connection.vendor == "sqlite" else F("at"))
    if query.since is not None:
        found = found.filter(time__gte=query.since)
        earlier = AuditEvent.objects.filter(at__lt=query.since - _DISORDER).order_by("-at")
        if (row := earlier.values_list("pk", flat=True).first()) is not None:
            found = found.filter(pk__gt=row)
    if query.until is not None:
        found = found.filter(time__lt=query.until)
        later = AuditEvent.objects.filter(at__gte=query.until + _DISORDER).order_by("at")
        if (row := later.values_list("pk", flat=True).first()) is not None:
            found = found.filter(pk__lt=row)
    return found
