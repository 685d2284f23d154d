"""The text of an e-mail to many: words with a few placeholders, filled for each person. No template language."""

from __future__ import annotations

from dataclasses import dataclass
from string import Formatter

from jobs.ledger.people import User, email_of, name_of

PLACEHOLDERS = ("first_name", "last_name", "full_name", "username", "email")
_KNOWN = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)


@dataclass(frozen=True, slots=True)
class Letter:
    """Subject and body for one person."""

    subject: str
    body: str


def wrong_with(text: str) -> str:
    """Why `text` cannot be filled in, as a sentence; "" when it can."""
    try:
        parts = list(Formatter().parse(text))
    except ValueError:
        return "A { or } stands alone; write {{ or }} for one that is meant as it is."
    for _, name, spec, conversion in parts:
        if name is None:
            continue
        if name not in PLACEHOLDERS or spec or conversion:
            return f"There is no placeholder {{{name}}}. There are {_KNOWN}."
    return ""


def letter(subject: str, body: str, user: User) -> Letter:
    """The e-mail to `user`. A person without a name is called by the username."""
    username = user.get_username()
    values = {
        "first_name": getattr(user, "first_name", "") or username,
        "last_name": getattr(user, "last_name", "") or username,
        "full_name": name_of(user),
        "username": username,
        "email": email_of(user),
    }
    # A line break in somebody's name must not become a header.
    return Letter(" ".join(subject.format_map(values).split()), body.format_map(values))
