"""Jobs about the people who sign in to the admin."""

from __future__ import annotations

from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.utils import timezone

from jobs import job


@job(
    title="Sign out everywhere",
    group="Users",
    permission="auth.change_user",
    danger="caution",
    idempotent=True,
)
def sign_out_everywhere(user: User) -> str:
    """Ends every session of a user: each browser that is signed in must sign in again.

    What a person has typed and not yet sent is lost; the password stays. It reads each session that has not expired.

    Returns:
        One sentence with the number of sessions.
    """
    alive = Session.objects.filter(expire_date__gt=timezone.now())
    theirs = [s.pk for s in alive.iterator() if s.get_decoded().get(SESSION_KEY) == str(user.pk)]
    Session.objects.filter(pk__in=theirs).delete()
    if not theirs:
        return f"{user.get_username()} was not signed in anywhere."
    return f"{user.get_username()} was signed out of {len(theirs)} session{'s' if len(theirs) > 1 else ''}."
