"""`manage.py reset_admin`, which is `make admin`: an administrator with a new password, shown once."""

import secrets
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, transaction

from jobs.ledger.audit import Actor, Subject, record
from jobs.ledger.people import everybody, has, has_administrator, key_of

#: Without the letters and digits that look like others in some typeface.
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
#: What makes an administrator where the user model has it as a field.
RIGHTS = ("is_staff", "is_superuser", "is_active")


class Command(BaseCommand):
    """Makes the user if it is missing, and gives an existing one all rights and a new password."""

    help = "Give an administrator a new password and print it once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--username", help="what the user model knows people by; admin, or admin@localhost")
        parser.add_argument("--first", action="store_true", help="do nothing when there is an administrator")

    def handle(self, *args: Any, username: str | None, first: bool, **options: Any) -> None:
        password, username = new_password(), username or usual_name()
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


def usual_name() -> str:
    """`admin`, as an address where the user model knows people by one."""
    model: Any = get_user_model()
    try:
        model._meta.get_field(model.USERNAME_FIELD).run_validators("admin")
    except ValidationError:
        return "admin@localhost"
    return "admin"


def reset_admin(username: str, password: str, *, first: bool) -> bool:
    """Set the password and all rights of the user, in the caller's transaction, with its audit event.

    Args:
        first: leave everything as it is when some administrator exists.

    Returns:
        Whether anything was done.

    Raises:
        CommandError: the user model asks for more than this can know, or has rights of its own.
    """
    if first and has_administrator():
        return False
    name = get_user_model().USERNAME_FIELD
    user = everybody().filter(**{name: username}).first()
    created = user is None
    if user is None:
        user = _make(username, password)
    for right in filter(has, RIGHTS):
        setattr(user, right, True)
    if not (user.is_active and user.is_staff):
        raise CommandError(
            f"{name} {username} exists and may not use the admin, and this user model has rights of its own."
        )
    user.set_password(password)
    user.save()
    record(
        "reset_admin",
        Actor(label="launcher" if first else "command line", via="system" if first else "command"),
        Subject("user", key_of(user), username),
        details={"created": created},
    )
    return True


def _make(username: str, password: str) -> Any:
    """By the model's own manager, with the defaults of what it asks for besides."""
    model: Any = get_user_model()
    values: dict[str, Any] = {model.USERNAME_FIELD: username}
    for name in model.REQUIRED_FIELDS:
        field = model._meta.get_field(name)
        if not (field.blank or field.null or field.has_default()):
            raise CommandError(
                f"The user model asks for {name} too, which nobody can guess: manage.py createsuperuser asks for it."
            )
        values[name] = field.get_default()
    return model._default_manager.create_superuser(password=password, **values)
