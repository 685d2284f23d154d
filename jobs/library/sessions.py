"""Sign-ins: the job *Clear expired sessions*, and ending the sessions of people."""

from __future__ import annotations

from collections.abc import Collection
from importlib import import_module
from typing import Annotated, Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.models import Session
from django.utils import timezone
from pydantic import Field

from jobs import check_cancelled, job

from .tables import counted

#: Sessions that one statement removes.
_AT_ONCE = 500


@job(
    title="Clear expired sessions",
    group="Maintenance",
    idempotent=True,
    dry_run="dry_run",
    runbook="Run it again; it removes nothing but sign-ins that no longer count.",
)
def clear_expired_sessions(
    dry_run: Annotated[bool, Field(title="Dry run", description="Only tell how many there are.")] = False,
) -> str:
    """Removes the sign-ins that have run out. Nobody who is signed in is signed out.

    Returns:
        One sentence with the number.
    """
    expired = Session.objects.filter(expire_date__lt=timezone.now()).count()
    if dry_run:
        return f"Would remove {counted(expired, 'expired session')}."
    engine: Any = import_module(settings.SESSION_ENGINE)
    engine.SessionStore.clear_expired()
    return f"Removed {counted(expired, 'expired session')}; {counted(Session.objects.count(), 'session')} left."


def end_sessions(user_ids: Collection[Any]) -> int:
    """Sign these users out everywhere; reads each session that has not expired. Tells how many were ended.

    Where a person stops the run while they are read, none is ended.
    """
    wanted = {str(user_id) for user_id in user_ids}
    if not wanted:
        return 0
    alive = Session.objects.filter(expire_date__gt=timezone.now())
    theirs: list[str] = []
    for session in alive.iterator(chunk_size=1000):
        check_cancelled()
        if session.get_decoded().get(SESSION_KEY) in wanted:
            theirs.append(session.pk)
    for start in range(0, len(theirs), _AT_ONCE):
        Session.objects.filter(pk__in=theirs[start : start + _AT_ONCE]).delete()
    return len(theirs)
