"""Which role gives a permission, for people who know roles and no permissions."""

from __future__ import annotations

from django.contrib.auth.models import Group

#: So many roles are named at most.
_NAMED = 3


def role_words(permission: str) -> str:
    """`the role Operator or Scheduler`, by the roles that give `app.codename`; where none does, who has it anyway."""
    app, _, codename = permission.partition(".")
    giving = Group.objects.filter(permissions__codename=codename, permissions__content_type__app_label=app)
    names = " or ".join(giving.order_by("name").values_list("name", flat=True)[:_NAMED])
    return f"the role {names}" if names else "an administrator: no role gives the right to it"
