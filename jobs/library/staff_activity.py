"""The job *Staff activity report*: who ran, retried or changed what in a period, from the audit trail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Annotated, Any

from django.db.models import Count, Max, QuerySet
from pydantic import Field

from jobs import check_cancelled, job, progress
from jobs.ledger.people import User, key_of
from jobs.ledger.verbs import VERBS, done_words
from jobs.models import AuditEvent

from .reports import USUAL_DAYS, FirstDay, LastDay, LastDays, moments, period, possible_period
from .tables import attach_table, counted

#: Acts that the detailed file holds, newest first.
MOST_ACTS = 50_000
SUMMARY = ("person", "did", "times", "refused", "last, UTC")
DETAILS = ("at, UTC", "person", "did", "what", "which", "because", "outcome", "by")


@job(
    title="Staff activity report",
    group="Reports",
    queue="reports",
    permission="jobs.view_auditevent",
    idempotent=True,
    check=possible_period,
    soft_time_limit=1500,
    time_limit=1800,
)
def staff_activity_report(
    start: FirstDay = None,
    end: LastDay = None,
    last_days: LastDays = USUAL_DAYS,
    person: Annotated[User | None, Field(title="Person", description="Empty: everybody.")] = None,
) -> str:
    """Who ran, retried or changed what in a period, as CSV: a summary, and each act with its reason.

    Read from the audit trail, refused attempts included; what schedules and the console did by themselves is left out.
    Files: `staff-activity.csv` and `staff-acts.csv`.

    Returns:
        One sentence with the totals.
    """
    start, end = period(start, end, last_days)
    found = acts(start, end, person)
    lines = list(summary(found))
    times, refused = Counter[str](), 0
    for name, _, done, denied, _ in lines:
        times[name] += done + denied
        refused += denied
    attach_table("staff-activity.csv", SUMMARY, lines)
    shown = min(times.total(), MOST_ACTS)
    events = found.order_by("-pk")[:MOST_ACTS].iterator(chunk_size=1000)
    rows: list[tuple[object, ...]] = []
    for event in progress(events, total=shown, noun="acts"):
        check_cancelled()
        rows.append(_act(event))
    attach_table("staff-acts.csv", DETAILS, rows)
    if not times:
        return f"Nobody did anything from {start} to {end}."
    busiest, most = times.most_common(1)[0]
    cut = f" Only the newest {MOST_ACTS:,} are in staff-acts.csv." if times.total() > MOST_ACTS else ""
    return (
        f"{counted(len(times), 'person', 'people')} did {counted(times.total(), 'thing')} from {start} to {end}, "
        f"{refused:,} of them refused. Most was done by {busiest}: {most:,}.{cut}"
    )


def acts(start: date, end: date, person: User | None = None) -> QuerySet[AuditEvent]:
    """What people did in these UTC days, both included."""
    since, until = moments(start, end)
    found = AuditEvent.objects.filter(at__gte=since, at__lt=until).exclude(via__in=["schedule", "system"])
    return found if person is None else found.filter(actor_id=key_of(person))


def summary(found: QuerySet[AuditEvent]) -> Iterator[tuple[str, str, int, int, str]]:
    """One line for each person and verb, most first: person, verb, times done, times refused, last time."""
    groups = (
        found.order_by().values("actor_id", "actor_label", "verb", "outcome").annotate(n=Count("pk"), last=Max("at"))
    )
    done, refused = Counter[tuple[Any, str]](), Counter[tuple[Any, str]]()
    last: dict[tuple[Any, str], datetime] = {}
    names: dict[Any, str] = {}
    for group in groups:
        # One person may have had several names; one who was not signed in has no key.
        who = group["actor_id"] if group["actor_id"] is not None else group["actor_label"]
        key = (who, group["verb"])
        (refused if group["outcome"] == AuditEvent.Outcome.DENIED else done)[key] += group["n"]
        if key not in last or group["last"] > last[key]:
            last[key] = group["last"]
        names[who] = group["actor_label"]
    for key in sorted(last, key=lambda k: (-done[k] - refused[k], names[k[0]], k[1])):
        yield names[key[0]], _did(key[1]), done[key], refused[key], _moment(last[key])


def _act(event: AuditEvent) -> tuple[object, ...]:
    return (
        *(_moment(event.at), event.actor_label, done_words(event), event.object_type, event.object_label),
        *(event.reason, "refused" if event.outcome == AuditEvent.Outcome.DENIED else "done", event.via),
    )


def _did(verb: str) -> str:
    known = VERBS.get(verb)
    return known.past if known else verb


def _moment(value: datetime) -> str:
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
