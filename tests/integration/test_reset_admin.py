"""`manage.py reset_admin` and `manage.py prepare`: the first administrator, and what the launcher is told."""

import json
import re
from io import StringIO

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command

from jobs.models import AuditEvent

ROLES = ("Viewer", "Operator", "Developer", "Scheduler", "Auditor", "User support")
pytestmark = pytest.mark.django_db


def call(name: str, *arguments: str) -> str:
    out = StringIO()
    call_command(name, *arguments, stdout=out)
    return out.getvalue()


def shown_password(text: str) -> str:
    found = re.fullmatch(r"user (\w+), password ([a-z2-9]{5}(?:-[a-z2-9]{5}){3})\n", text)
    assert found, text
    return found[2]


def test_the_first_administrator_is_made_once() -> None:
    password = shown_password(call("reset_admin", "--first"))
    admin = User.objects.get(username="admin")
    assert admin.check_password(password)
    assert (admin.is_superuser, admin.is_staff, admin.is_active) == (True, True, True)
    assert call("reset_admin", "--first") == ""
    assert User.objects.get(username="admin").check_password(password)


def test_a_reset_replaces_the_password_and_gives_the_rights_back() -> None:
    User.objects.create_user("ana", password="x", is_active=False)  # noqa: S106
    password = shown_password(call("reset_admin", "--username", "ana"))
    ana = User.objects.get(username="ana")
    assert ana.check_password(password)
    assert (ana.is_superuser, ana.is_staff, ana.is_active) == (True, True, True)
    assert shown_password(call("reset_admin", "--username", "ana")) != password


def test_a_reset_is_in_the_audit_trail_without_the_password() -> None:
    password = shown_password(call("reset_admin"))
    event = AuditEvent.objects.get(verb="reset_admin")
    assert (event.actor_label, event.via, event.object_type, event.object_label) == (
        "command line",
        "command",
        "user",
        "admin",
    )
    assert password not in json.dumps(event.details)


def test_prepare_tells_a_person_in_a_sentence() -> None:
    assert call("prepare") == (
        "The database is ready.\nNobody may sign in yet: manage.py reset_admin makes an administrator.\n"
    )
    call("reset_admin")
    assert call("prepare") == "The database is ready.\n"


def test_a_group_that_bears_the_name_of_a_role_stays_and_the_others_are_made() -> None:
    Group.objects.create(name="Viewer")
    assert "Viewer" in call("prepare").splitlines()[1]
    assert set(Group.objects.values_list("name", flat=True)) == {*ROLES, "Viewer"}
    assert not Group.objects.get(name="Viewer").permissions.exists()
    assert Group.objects.get(name="Auditor").permissions.filter(codename="view_auditevent").exists()
    Group.objects.filter(name="Auditor").delete()
    assert len(call("prepare").splitlines()) == 2
    assert not Group.objects.filter(name="Auditor").exists(), "what was removed since stays away"


def test_the_roles_are_those_of_the_file() -> None:
    call("prepare")
    made = {role.name: set(role.permissions.values_list("pk", flat=True)) for role in Group.objects.all()}
    Group.objects.all().delete()
    call_command("loaddata", "jobs/fixtures/roles.json", verbosity=0)
    assert {role.name: set(role.permissions.values_list("pk", flat=True)) for role in Group.objects.all()} == made


def test_prepare_reports_and_can_be_repeated() -> None:
    first = json.loads(call("prepare", "--json"))
    assert first == {
        "home": "/admin/",
        "login": "/admin/login/",
        "host": "localhost",
        "https": False,
        "has_admin": False,
    }
    roles = set(Group.objects.values_list("name", flat=True))
    assert {"Viewer", "Operator"} <= roles
    call("reset_admin", "--first")
    assert json.loads(call("prepare", "--json")) == {**first, "has_admin": True}
    assert set(Group.objects.values_list("name", flat=True)) == roles
