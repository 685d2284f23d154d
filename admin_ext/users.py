"""Users and roles (Django's groups), in Unfold's clothes."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from .object_actions import RunJobsMixin


class ConsoleUserAdmin(RunJobsMixin, UserAdmin, ModelAdmin):
    """Staff and their roles."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_filter = ["is_staff", "is_superuser", "is_active"]


class RoleAdmin(GroupAdmin, ModelAdmin):
    """Roles: named sets of permissions. The fixture `roles.json` brings Viewer, Operator and Auditor."""


def register() -> None:
    """Take the place of Django's own pages; a project that has pages of its own, or users of its own, keeps them."""
    for model, stock, ours in ((User, UserAdmin, ConsoleUserAdmin), (Group, GroupAdmin, RoleAdmin)):
        if admin.site.is_registered(model) and type(admin.site.get_model_admin(model)) is stock:
            admin.site.unregister(model)
            admin.site.register(model, ours)


register()
