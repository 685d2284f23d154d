"""Who may give what to whom: nobody gives what they have not, or changes an account that may do more than theirs.

What somebody gains or loses is in the trail, old and new: whether they are a superuser, staff, active, their roles and
the permissions that they were given by themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.contrib.auth.models import Group, Permission
from django.db.models import Q, QuerySet

from .audit import Actor, Subject, record, record_many
from .people import User, key_of
from .verbs import CHANGE_RIGHTS, CHANGE_ROLE

#: What an account has that was given nothing.
NO_RIGHTS: Mapping[str, Any] = {
    "superuser": "no",
    "staff": "no",
    "active": "yes",
    "roles": "none",
    "permissions": "none",
}


def names_of(permissions: Iterable[Permission]) -> frozenset[str]:
    """`app.codename` of each; read them with their content types."""
    return frozenset(f"{one.content_type.app_label}.{one.codename}" for one in permissions)


def may_give(giver: User | None, permissions: Iterable[str]) -> bool:
    """Whether somebody holds all of this, and so may give it; nobody in particular may give nothing."""
    return giver is not None and all(map(giver.has_perm, permissions))


def may_more(user: User, than: User) -> bool:
    """Whether `user` is a superuser or holds something that `than` does not, active or not: who could give themselves
    the password of such an account would have all that it may. One query; none where `than` is a superuser."""
    if than.is_active and than.is_superuser:
        return False
    if user.pk == than.pk:
        return False
    return user.is_superuser or not may_give(than, names_of(permissions_held(user)))


def permissions_held(user: User) -> QuerySet[Permission]:
    """What an account and its groups were given; from their side, as a user model names the way back as it likes."""
    own, of_groups = user.user_permissions.values("pk"), user.groups.values("permissions")
    held = Permission.objects.filter(Q(pk__in=own) | Q(pk__in=of_groups))
    return held.select_related("content_type").order_by()


def rights_of(user: User) -> dict[str, str]:
    """What the trail tells of an account, in words. Two queries."""
    roles = user.groups.order_by("name").values_list("name", flat=True)
    return {
        "superuser": _yes(user.is_superuser),
        "staff": _yes(user.is_staff),
        "active": _yes(user.is_active),
        "roles": ", ".join(roles) or "none",
        "permissions": ", ".join(sorted(names_of(user.user_permissions.select_related("content_type")))) or "none",
    }


def permissions_of(role: Group) -> str:
    """What the trail tells of a role. One query."""
    return ", ".join(sorted(names_of(role.permissions.select_related("content_type")))) or "none"


def record_rights(actor: Actor, user: User, before: Mapping[str, str], after: Mapping[str, str]) -> None:
    """Note what an account has gained or lost, where it has; call it in the transaction of the change."""
    record_many(CHANGE_RIGHTS.name, actor, _changes([(user, before, after)]))


def record_many_rights(actor: Actor, made: Iterable[tuple[User, Mapping[str, str]]]) -> None:
    """Note what new accounts were given, those that were given anything, in one statement for some hundreds of them."""
    record_many(CHANGE_RIGHTS.name, actor, _changes((user, NO_RIGHTS, rights) for user, rights in made))


def _changes(
    of: Iterable[tuple[User, Mapping[str, str], Mapping[str, str]]],
) -> list[tuple[Subject, dict[str, str]]]:
    told = [
        (user, {name: f"{before[name]} → {after[name]}" for name in after if before[name] != after[name]})
        for user, before, after in of
    ]
    return [(Subject("user", key_of(user), user.get_username()), changed) for user, changed in told if changed]


def record_role(actor: Actor, role: Group, before: str, after: str) -> None:
    """Note what a role may do that it could not, or no longer; call it in the transaction of the change."""
    if before != after:
        subject = Subject("role", str(role.pk), role.name)
        record(CHANGE_ROLE.name, actor, subject, details={"permissions": f"{before} → {after}"})


def _yes(value: bool) -> str:
    return "yes" if value else "no"
