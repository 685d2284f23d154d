"""Users and roles (Django's groups), in Unfold's clothes."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from .object_actions import RunJobsMixin

admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class ConsoleUserAdmin(RunJobsMixin, UserAdmin, ModelAdmin):
    """Staff and their roles."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_filter = ["is_staff", "is_superuser", "is_active"]


@admin.register(Group)
class RoleAdmin(GroupAdmin, ModelAdmin):
    """Roles: named sets of permissions. The fixture `roles.json` brings Viewer, Operator and Auditor."""
