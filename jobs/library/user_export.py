"""The job *Export users*."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal

from django.contrib.auth.models import Group
from django.db.models import QuerySet
from pydantic import Field

from jobs import check_cancelled, job, progress
from jobs.ledger.people import User, email_of, everybody, has, permission_to

from .tables import attach_table, counted
from .user_rows import BETWEEN_ROLES

#: What each says of a user; the first six are what *Import users from CSV* reads. No password, in whatever form.
_SAYS: dict[str, Callable[[Any], str]] = {
    "username": lambda user: user.get_username(),
    "email": lambda user: email_of(user),
    "first_name": lambda user: user.first_name,
    "last_name": lambda user: user.last_name,
    "is_staff": lambda user: _yes(user.is_staff),
    "roles": lambda user: BETWEEN_ROLES.join(sorted(group.name for group in user.groups.all())),
    "is_active": lambda user: _yes(user.is_active),
    "is_superuser": lambda user: _yes(user.is_superuser),
    "date_joined": lambda user: _moment(user.date_joined),
    "last_login": lambda user: _moment(user.last_login),
}
#: Of these only what the user model has as a field.
_OPTIONAL = ("first_name", "last_name", "is_superuser", "date_joined", "last_login")
COLUMNS = tuple(name for name in _SAYS if name not in _OPTIONAL or has(name))


@job(
    title="Export users",
    group="Users",
    queue="reports",
    permission=permission_to("view"),
    idempotent=True,
    soft_time_limit=1500,
    time_limit=1800,
)
def export_users(
    active: Annotated[Literal["all", "active", "inactive"], Field(title="Active")] = "active",
    staff: Annotated[Literal["all", "staff", "others"], Field(title="Staff")] = "all",
    role: Annotated[Group | None, Field(title="Role", description="Only who has it. Empty: everybody.")] = None,
) -> str:
    """Writes the users as CSV: names, addresses, roles, sign-ins. Passwords are not in it.

    The file is `users.csv`; times are in UTC.

    Returns:
        One sentence with the number.
    """
    found = _chosen(active, staff, role)
    people = found.prefetch_related("groups").iterator(chunk_size=1000)
    rows: list[tuple[object, ...]] = []
    for user in progress(people, total=found.count(), noun="users"):
        check_cancelled()  # half of the users are no export: nothing is attached then
        rows.append(tuple(_SAYS[name](user) for name in COLUMNS))
    attach_table("users.csv", COLUMNS, rows)
    return f"Exported {counted(len(rows), 'user')}."


def _chosen(active: str, staff: str, role: Group | None) -> QuerySet[Any]:
    found = everybody().order_by(User.USERNAME_FIELD)
    if active != "all":
        found = found.filter(is_active=active == "active")
    if staff != "all":
        found = found.filter(is_staff=staff == "staff")
    return found if role is None else found.filter(groups=role)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _moment(value: datetime | None) -> str:
    return f"{value:%Y-%m-%d %H:%M:%S}" if value else "never"
