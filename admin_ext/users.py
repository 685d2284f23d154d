"""Users and roles (Django's groups), in Unfold's clothes: nobody gives here what they have not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, Permission
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, AuthenticationForm, UserChangeForm, UserCreationForm

from admin_ext.parts.access import person
from admin_ext.parts.roles import RolesField, roles_fit
from jobs.ledger.people import User, email_field, everybody, has
from jobs.ledger.rights import (
    NO_RIGHTS,
    may_give,
    may_more,
    names_of,
    permissions_of,
    record_rights,
    record_role,
    rights_of,
)
from jobs.ledger.roles import may_words

from .object_actions import RunJobsMixin

ASK = "Ask a superuser."


class _Giving:
    """Of a form in which somebody gives roles or permissions; `giver` is set for each request."""

    giver: User
    instance: Any
    cleaned_data: dict[str, Any]

    def new_among(self, name: str) -> list[Any]:
        """What was chosen and is not held yet."""
        held = set(getattr(self.instance, name).values_list("pk", flat=True)) if self.instance.pk else set()
        return [one for one in self.cleaned_data[name] if one.pk not in held]

    def refuse_permissions(self, given: Iterable[Permission]) -> None:
        """Raise ValidationError for those that the giver does not hold."""
        refused = [str(one.name) for one in given if not may_give(self.giver, names_of([one]))]
        if refused:
            raise ValidationError(f"You may not give what you may not do yourself: {', '.join(refused[:5])}. {ASK}")


class _GivingRoles(_Giving):
    def clean_groups(self) -> Any:
        for role in self.new_among("groups"):
            if not may_give(self.giver, names_of(role.permissions.select_related("content_type"))):
                raise ValidationError(f"You may not give the role {role.name}: it may do more than you do. {ASK}")
        return self.cleaned_data["groups"]


class ColleagueForm(_GivingRoles, UserCreationForm):
    """A new colleague in one form: name, address, whether they may sign in here, and what they may do."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "is_staff" in self.fields:
            self.fields["is_staff"].initial = True


class RightsForm(_GivingRoles, UserChangeForm):
    """A user's page; roles and permissions that the person does not hold are refused beside their fields."""

    def clean_user_permissions(self) -> Any:
        self.refuse_permissions(self.new_among("user_permissions"))
        return self.cleaned_data["user_permissions"]


class RoleForm(_Giving, forms.ModelForm):
    """A role's page; permissions that the person does not hold are refused beside their field."""

    def clean_permissions(self) -> Any:
        self.refuse_permissions(self.new_among("permissions"))
        return self.cleaned_data["permissions"]


class ConsoleUserAdmin(RunJobsMixin, UserAdmin, ModelAdmin):
    """Staff and their roles. An account that may do more than the person is looked at and not changed."""

    form = RightsForm
    add_form = ColleagueForm
    #: Not Django's, which says that all else is asked for afterwards.
    add_form_template = None
    change_password_form = AdminPasswordChangeForm
    list_filter = ["is_staff", "is_superuser", "is_active"]

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Of a new colleague all at once, as far as the user model has it."""
        found: Any = super().get_fieldsets(request, obj)
        if obj is not None or self.add_fieldsets is not UserAdmin.add_fieldsets:
            return found
        own = [name for name in ("first_name", "last_name", email_field()) if has(name)]
        (title, options), *others = found
        sign_in = [name for name in options["fields"] if name not in own]
        rights = [name for name in ("is_staff", "groups") if has(name)]
        return [(title, {**options, "fields": (sign_in[0], *own, *sign_in[1:], *rights)}), *others]

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "groups" and db_field.related_model is Group and roles_fit():
            return RolesField()
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def response_add(self, request: HttpRequest, obj: User, post_url_continue: str | None = None) -> HttpResponse:
        """Back to the list: nothing is left to be filled in."""
        response: HttpResponse = ModelAdmin.response_add(self, request, obj, post_url_continue)
        return response

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_change_permission(request, obj) and not _above(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_delete_permission(request, obj) and not _above(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> list[str]:
        fields = super().get_readonly_fields(request, obj)
        return [*fields] if _is_superuser(request) else [*fields, "is_superuser"]

    def get_form(self, request: HttpRequest, obj: User | None = None, change: bool = False, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, obj, change=change, **kwargs)
        form.giver = request.user  # of a class that Django makes for each request
        return form

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        found = self.get_object(request, object_id)
        if request.method == "GET" and super().has_change_permission(request) and _above(request, found):
            messages.info(request, f"You may not change {found}: this account may do more than yours. {ASK}")
        return super().change_view(request, object_id, form_url, extra_context)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        form.rights_before = rights_of(everybody().get(pk=obj.pk)) if change else NO_RIGHTS
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        record_rights(person(request), form.instance, form.rights_before, rights_of(form.instance))


class RoleAdmin(GroupAdmin, ModelAdmin):
    """Roles: named sets of permissions. The fixture `roles.json` brings those that README.md names."""

    form = RoleForm
    list_display = ["name", "may"]

    @admin.display(description="May")
    def may(self, role: Group) -> str:
        return may_words(role)

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("permissions__content_type")

    def get_form(self, request: HttpRequest, obj: Group | None = None, change: bool = False, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, obj, change=change, **kwargs)
        form.giver = request.user
        return form

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        before = permissions_of(form.instance)
        super().save_related(request, form, formsets, change)
        record_role(person(request), form.instance, before, permissions_of(form.instance))


def _is_superuser(request: HttpRequest) -> bool:
    return bool(getattr(request.user, "is_superuser", False))


def _above(request: HttpRequest, found: User | None) -> bool:
    """Whether an account may do more than the signed-in person; asked once in a request."""
    if found is None or _is_superuser(request):
        return False
    known: dict[Any, bool] = request.__dict__.setdefault("_oc_above", {})
    if found.pk not in known:
        known[found.pk] = may_more(found, request.user)  # type: ignore[arg-type]
    return known[found.pk]


class SignInForm(AuthenticationForm):
    """Unfold's, but that somebody with the right password is told what is missing."""

    def confirm_login_allowed(self, user: Any) -> None:
        if user.is_active and not user.is_staff:
            raise ValidationError(
                f"{user.get_username()} may not use these pages yet. Ask an administrator for two things: "
                "staff status, and a role, such as Viewer.",
                code="not_staff",
            )
        super().confirm_login_allowed(user)


def register() -> None:
    """Take the place of Django's own pages, also where they show users of the project's own; other pages stay."""
    if admin.site.login_form is AuthenticationForm:
        admin.site.login_form = SignInForm
    for model, stock, ours in ((User, UserAdmin, ConsoleUserAdmin), (Group, GroupAdmin, RoleAdmin)):
        if admin.site.is_registered(model) and type(admin.site.get_model_admin(model)) is stock:
            admin.site.unregister(model)
            admin.site.register(model, ours)


register()
