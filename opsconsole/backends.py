"""What the signed-in person may do, read in one statement: Django's own backend takes two, on every page of theirs."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AnonymousUser, User


class OneStatementBackend(ModelBackend):
    """Django's own users, passwords and permissions."""

    def get_all_permissions(self, user_obj: User | AnonymousUser, obj: Any = None) -> set[str]:
        """`app.codename` of what the person and their groups were given, kept with the user as Django does."""
        user: Any = user_obj
        if user.is_anonymous or not user.is_active or user.is_superuser or obj is not None:
            return super().get_all_permissions(user_obj, obj)
        if not hasattr(user, "_perm_cache"):
            read = ("content_type__app_label", "codename")
            own = user.user_permissions.order_by().values_list(*read)
            of_groups = user.groups.order_by().values_list(*(f"permissions__{name}" for name in read))
            found = own.union(of_groups).order_by()  # from Django 6.1 on the union has the order of the model again
            user._perm_cache = {f"{app}.{codename}" for app, codename in found}
        kept: set[str] = user._perm_cache
        return kept
