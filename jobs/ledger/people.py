"""The people of the project, by whatever user model it has: what a model lacks is done without.

Of a model only that is taken for granted which Django's admin asks of it: `is_active`, `is_staff`, `has_perm` and
`get_username()`. A person is known by the text of their key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_permission_codename, get_user_model
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db.models import Field, QuerySet

if TYPE_CHECKING:
    from django.contrib.auth.models import User as User
else:
    #: The project's user model, for hints.
    User = get_user_model()

LONGEST_KEY = 255
#: People that a list of choices names.
MOST_LISTED = 200


def has(*names: str) -> bool:
    """Whether the user model has all these fields, groups among them; a property or another model's key is none."""
    try:
        return all(isinstance(get_user_model()._meta.get_field(name), Field) for name in names)
    except FieldDoesNotExist:
        return False


def everybody() -> QuerySet[Any]:
    """All users, by the model's own manager."""
    found: QuerySet[Any] = get_user_model()._default_manager.all()
    return found


def key_of(user: Any) -> str:
    """The text of the user's key, as the ledger keeps it."""
    return str(user.pk)[:LONGEST_KEY]


def key_from(text: str) -> str:
    """A key as somebody has written it, in the form in which the ledger keeps it; other text stays as it is."""
    try:
        return str(get_user_model()._meta.pk.to_python(text))[:LONGEST_KEY]
    except (ValidationError, ValueError, TypeError):
        return text[:LONGEST_KEY]


def name_of(user: Any) -> str:
    """The full name, or the username where there is none."""
    full_name = getattr(user, "get_full_name", str)()
    return str(full_name or user.get_username())


def email_field() -> str:
    """The field in which the model keeps addresses; "" where it has none."""
    name = str(get_user_model().get_email_field_name())
    return name if has(name) else ""


def email_of(user: Any) -> str:
    """The address, "" where the model has none."""
    return str(getattr(user, type(user).get_email_field_name(), "") or "")


def active_user(key: str | None) -> User | None:
    """The user of a key that the ledger keeps; None for nobody, and for who is gone or inactive. One query."""
    if not key:
        return None
    try:
        user: User | None = everybody().filter(pk=key).first()
    except (ValidationError, ValueError, TypeError):
        return None  # a key of the user model that the project had before
    return user if user is not None and user.is_active else None


def staff_names() -> dict[str, str]:
    """The names of those who may use the admin, by key, sorted; at most MOST_LISTED. One query."""
    people = everybody().filter(is_staff=True) if has("is_staff") else everybody()
    ordered = people.order_by(get_user_model().USERNAME_FIELD)[:MOST_LISTED]
    names = {key_of(user): name_of(user) for user in ordered if user.is_staff}
    return dict(sorted(names.items(), key=lambda item: item[1].casefold()))


def find_staff(text: str, most: int) -> list[Any]:
    """Those who may use the admin and whose name, username or address holds `text`, in any case. One query."""
    people = everybody().filter(is_staff=True) if has("is_staff") else everybody()
    ordered = people.order_by(get_user_model().USERNAME_FIELD)[:MOST_LISTED]
    wanted = text.lower()
    found = [
        user
        for user in ordered
        if user.is_staff and any(wanted in one.lower() for one in (name_of(user), user.get_username(), email_of(user)))
    ]
    return found[:most]


def has_administrator() -> bool:
    """Whether somebody may do everything. One query."""
    if has("is_superuser", "is_active"):
        return bool(everybody().filter(is_superuser=True, is_active=True).exists())
    return any(user.is_active and user.is_staff for user in everybody()[:MOST_LISTED])


def permission_to(act: str) -> str:
    """`app.codename` of Django's own permission to view, add, change or delete users."""
    options = get_user_model()._meta
    return f"{options.app_label}.{get_permission_codename(act, options)}"
