"""Jobs about the people who sign in to the admin."""

from __future__ import annotations

from jobs import job
from jobs.ledger.people import User

from .sessions import end_sessions


@job(
    title="Sign out everywhere",
    group="Users",
    permission="jobs.sign_out_users",
    danger="caution",
    idempotent=True,
)
def sign_out_everywhere(user: User) -> str:
    """Ends every session of a user: each browser that is signed in must sign in again.

    What a person has typed and not yet sent is lost; the password stays. It reads each session that has not expired.

    Returns:
        One sentence with the number of sessions.
    """
    ended = end_sessions([user.pk])
    if not ended:
        return f"{user.get_username()} was not signed in anywhere."
    return f"{user.get_username()} was signed out of {ended} session{'s' if ended > 1 else ''}."
