"""The job *Deactivate dormant users*: who has not signed in for long can no longer do so."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone
from pydantic import Field

from jobs import Targets, check_cancelled, job, progress
from jobs.ledger.people import email_of, everybody

from .sessions import end_sessions
from .tables import attach_table, counted
from .this_run import asked_by

#: Whoever was here within a month is not dormant, whatever is typed.
FEWEST_DAYS = 30
_AT_ONCE = 200


def dormant(days: int, never_signed_in: bool = True, **_: Any) -> QuerySet[Any]:
    """The active users, superusers left out, who have not signed in for so many days, longest first."""
    people = everybody().filter(is_active=True, is_superuser=False)
    if not never_signed_in:
        people = people.filter(last_login__isnull=False)
    seen: QuerySet[Any] = people.annotate(seen=Coalesce(F("last_login"), F("date_joined")))
    return seen.filter(seen__lt=timezone.now() - timedelta(days=days)).order_by("seen", "pk")


def dormant_targets(**values: Any) -> Targets:
    """Who would be deactivated."""
    found = dormant(**values)
    sample = tuple(f"{user.get_username()}, {user.seen:%Y-%m-%d}" for user in found[:5])
    return Targets(found.count(), sample, "users")


@job(
    title="Deactivate dormant users",
    group="Users",
    permission="jobs.deactivate_users",
    danger="danger",
    idempotent=True,
    dry_run="dry_run",
    targets=dormant_targets,
    soft_time_limit=1500,
    time_limit=1800,
    runbook="Run it again: it goes on with those who are left. To undo it for somebody, tick Active on their page; "
    "outcome.csv has the names.",
)
def deactivate_dormant_users(
    days: Annotated[int, Field(title="Days without a sign-in", ge=FEWEST_DAYS, le=3650)] = 180,
    never_signed_in: Annotated[
        bool, Field(title="Also who never signed in", description="Their days count from when they were added.")
    ] = True,
    dry_run: Annotated[bool, Field(title="Dry run", description="Only tell who would be deactivated.")] = False,
) -> str:
    """Takes the right to sign in from users who have not done so for long, and ends their sessions.

    Superusers stay active, and so does the person who asks for the run. Nothing is deleted: whoever may change users
    can make them active again. The file `outcome.csv` has one line for each, also where the run is stopped.

    Returns:
        One sentence with the numbers.
    """
    asker = asked_by()
    # Without its order: who signs in meanwhile leaves the set, and the others must not move up a place.
    keys = list(dormant(days, never_signed_in).exclude(pk=asker.pk if asker else None).values_list("pk", flat=True))
    parts = [keys[start : start + _AT_ONCE] for start in range(0, len(keys), _AT_ONCE)]
    rows: list[tuple[object, ...]] = []
    gone: list[Any] = []
    try:
        for part in progress(parts, noun=f"groups of {_AT_ONCE}") if parts else ():
            check_cancelled()
            with transaction.atomic():
                found = list(dormant(days, never_signed_in).filter(pk__in=part).select_for_update())
                if not dry_run:
                    everybody().filter(pk__in=[user.pk for user in found]).update(is_active=False)
            gone += [user.pk for user in found]
            rows += [_line(user, dry_run) for user in found]
    finally:
        attach_table("outcome.csv", ("username", "email", "last sign-in", "added", "outcome"), rows)
    if dry_run:
        return f"Would deactivate {counted(len(gone), 'user')} who did not sign in for {days} days."
    # A session of an inactive user opens nothing any more; this only keeps it from being looked up.
    sessions = counted(end_sessions(gone), "session")
    return f"Deactivated {counted(len(gone), 'user')} who did not sign in for {days} days, ended {sessions}."


def _line(user: Any, dry_run: bool) -> tuple[object, ...]:
    last = f"{user.last_login:%Y-%m-%d}" if user.last_login else "never"
    outcome = "would deactivate" if dry_run else "deactivated"
    return user.get_username(), email_of(user), last, f"{user.date_joined:%Y-%m-%d}", outcome
