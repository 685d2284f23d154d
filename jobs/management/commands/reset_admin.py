"""`manage.py reset_admin`, which is `make admin`: an administrator with a new password, shown once."""

import secrets
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, transaction

from jobs.ledger.audit import Actor, Subject, record

#: Without the letters and digits that look like others in some typeface.
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


class Command(BaseCommand):
    """Makes the user if it is missing, and gives an existing one all rights and a new password."""

    help = "Give an administrator a new password and print it once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--username", default="admin")
        parser.add_argument("--first", action="store_true", help="do nothing when there is an administrator")

    def handle(self, *args: Any, username: str, first: bool, **options: Any) -> None:
        password = new_password()
        try:
            with transaction.atomic():
                done = reset_admin(username, password, first=first)
        except DatabaseError as error:
            raise CommandError(f"Nothing was changed, the database refused: {error}. Start with `make up`.") from None
        if done:
            self.stdout.write(f"user {username}, password {password}")


def new_password() -> str:
    """Four groups of five, about 98 bits: to be read from a screen and typed."""
    return "-".join("".join(secrets.choice(ALPHABET) for _ in range(5)) for _ in range(4))


def reset_admin(username: str, password: str, *, first: bool) -> bool:
    """Set the password and all rights of the user, in the caller's transaction, with its audit event.

    Args:
        first: leave everything as it is when some administrator exists.

    Returns:
        Whether anything was done.
    """
    users = get_user_model()._default_manager
    if first and users.filter(is_superuser=True, is_active=True).exists():
        return False
    user, created = users.get_or_create(username=username)
    user.is_staff = user.is_superuser = user.is_active = True
    user.set_password(password)
    user.save()
    record(
        "reset_admin",
        Actor(label="launcher" if first else "command line", via="system" if first else "command"),
        Subject("user", str(user.pk), username),
        details={"created": created},
    )
    return True
