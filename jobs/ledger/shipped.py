"""Which of the shipped jobs about users the project's user model allows for; the others are not offered."""

from __future__ import annotations

from collections.abc import Iterable

from .people import User, has

_NAMED = ("first_name", "last_name", "email")
#: By module: the job's title, and the fields without which it has nothing to do.
_NEEDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "dormant_users": ("Deactivate dormant users", ("is_active", "is_superuser", "last_login", "date_joined")),
    "mail": ("Send e-mail to users", (User.get_email_field_name(), "is_active", "groups")),
    "user_export": ("Export users", ("is_active", "is_staff", "groups")),
    "user_import": ("Import users from CSV", ("username", "is_staff", "groups", *_NAMED)),
}


def fits(module: str) -> bool:
    """Whether the user model has what the jobs of a module of `jobs.library` need."""
    _, fields = _NEEDS.get(module, ("", ()))
    return has(*fields)


def not_offered(modules: Iterable[str]) -> list[str]:
    """A sentence for each job of these modules that is not."""
    left_out = [_NEEDS[module] for module in modules if not fits(module)]
    return [
        f"The job {title} is not offered: users have no {' and no '.join(name for name in fields if not has(name))}."
        for title, fields in left_out
    ]
