"""Nobody gives what they have not, and whoever gains or loses something is in the trail, old and new."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client

from jobs.catalog.registry import find_job
from jobs.ledger.rights import permissions_of
from jobs.ledger.roles import DOES
from jobs.models import AuditEvent

USERS, ROLES = "/admin/auth/user/", "/admin/auth/group/"
#: What the page sends of an account besides what a test changes.
FORM: dict[str, Any] = {
    "username": "bird",
    "first_name": "",
    "last_name": "",
    "email": "",
    "is_active": "on",
    "is_staff": "on",
    "date_joined_0": "2026-01-01",
    "date_joined_1": "00:00:00",
    "last_login_0": "",
    "last_login_1": "",
}


@pytest.fixture
def clerk(roles: None) -> User:
    """May change, add and delete users and roles, and is an Operator."""
    clerk = User.objects.create_user("clerk", is_staff=True)
    asked = [f"{act}_{what}" for act in ("view", "add", "change", "delete") for what in ("user", "group")]
    clerk.user_permissions.set(Permission.objects.filter(codename__in=asked))
    clerk.groups.add(Group.objects.get(name="Operator"))
    return clerk


@pytest.fixture
def client(client: Client, clerk: User) -> Client:
    client.force_login(clerk)
    return client


@pytest.fixture
def bird(db: None) -> User:
    return User.objects.create_user("bird", is_staff=True)


def page(user: User, rest: str = "change/") -> str:
    return f"{USERS}{user.pk}/{rest}"


def send(client: Client, user: User, **changes: Any) -> Any:
    return client.post(page(user), {**FORM, "username": user.username, **changes})


def role(name: str) -> int:
    return int(Group.objects.get(name=name).pk)


def permission(codename: str) -> int:
    return int(Permission.objects.get(codename=codename).pk)


def told() -> list[Any]:
    events = AuditEvent.objects.filter(verb__in=["change_rights", "change_role"]).order_by("pk")
    return list(events.values_list("actor_label", "object_type", "object_label", "details"))


@pytest.mark.parametrize("whom", ["bird", "clerk"])
def test_nobody_makes_a_superuser_but_a_superuser(client: Client, clerk: User, bird: User, whom: str) -> None:
    user = User.objects.get(username=whom)
    operator = [role("Operator")] if whom == "clerk" else []
    own = list(user.user_permissions.values_list("pk", flat=True))
    send(client, user, is_superuser="on", groups=operator, user_permissions=own)
    superusers = User.objects.filter(is_superuser=True).values_list("username", flat=True)
    assert not superusers.exists() and told() == []
    client.force_login(User.objects.create_superuser("chief"))
    assert send(client, user, is_superuser="on", groups=operator, user_permissions=own).status_code == 302
    assert whom in superusers.all()
    assert told() == [("chief", "user", whom, {"superuser": "no → yes"})]
    assert send(client, user, groups=operator, user_permissions=own).status_code == 302
    assert told()[-1] == ("chief", "user", whom, {"superuser": "yes → no"})


def test_roles_and_permissions_are_given_by_who_has_them(client: Client, bird: User) -> None:
    refused = send(client, bird, groups=[role("Auditor")])
    assert refused.status_code == 200 and "You may not give the role Auditor" in refused.content.decode()
    refused = send(client, bird, user_permissions=[permission("force_cancel"), permission("run_job")])
    text = refused.content.decode()
    assert refused.status_code == 200 and "yourself: Can end a run by force. Ask a superuser." in text
    assert not bird.groups.exists() and not bird.user_permissions.exists() and told() == []
    given = {"groups": [role("Operator"), role("Viewer")], "user_permissions": [permission("change_user")]}
    assert send(client, bird, **given).status_code == 302
    change = {"roles": "none → Operator, Viewer", "permissions": "none → auth.change_user"}
    assert told() == [("clerk", "user", "bird", change)]
    assert send(client, bird, groups=[role("Viewer")], is_active="").status_code == 302
    change = {"roles": "Operator, Viewer → Viewer", "permissions": "auth.change_user → none", "active": "yes → no"}
    assert told()[-1] == ("clerk", "user", "bird", change)


def test_what_somebody_has_already_may_stay(client: Client, clerk: User) -> None:
    """The form sends it again; nothing is given by that."""
    odd = Permission.objects.get(codename="view_session")
    held = [*clerk.user_permissions.values_list("pk", flat=True), odd.pk]
    clerk.user_permissions.add(odd)
    assert send(client, clerk, groups=[role("Operator")], user_permissions=held).status_code == 302
    assert told() == []


@pytest.mark.parametrize("above", ["superuser", "inactive superuser", "auditor", "inactive auditor", "own permission"])
def test_an_account_that_may_more_is_not_changed(client: Client, clerk: User, above: str) -> None:
    """Whoever could set its password or address, or wake it, would have all that it may."""
    other = User.objects.create_user("other", "a@example.org", "old", is_staff=True)
    if "superuser" in above:
        other.is_superuser = True
    elif "auditor" in above:
        other.groups.add(role("Auditor"))
    else:
        other.user_permissions.add(permission("force_cancel"))
    other.is_active = "inactive" not in above
    other.save()
    before = User.objects.filter(pk=other.pk).values().get()
    assert send(client, other, email="mallory@example.org").status_code == 403
    new = {"password1": "Brand-new-7!", "password2": "Brand-new-7!", "usable_password": "true"}
    assert client.get(page(other, "password/")).status_code == 403
    assert client.post(page(other, "password/"), new).status_code == 403
    assert client.post(page(other, "delete/"), {"post": "yes"}).status_code == 403
    action = {"action": "delete_selected", "_selected_action": [other.pk], "post": "yes"}
    client.post(USERS, action)
    assert User.objects.filter(pk=other.pk).values().get() == before
    shown = client.get(page(other))
    assert shown.status_code == 200 and "may do more than yours" in shown.content.decode()
    assert 'name="email"' not in shown.content.decode()


def test_an_account_that_may_no_more_is_changed(client: Client, bird: User) -> None:
    bird.groups.add(role("Viewer"))
    assert send(client, bird, email="b@example.org", groups=[role("Viewer")]).status_code == 302
    new = {"password1": "Brand-new-7!", "password2": "Brand-new-7!", "usable_password": "true"}
    assert client.post(page(bird, "password/"), new).status_code == 302
    bird.refresh_from_db()
    assert bird.email == "b@example.org" and bird.check_password("Brand-new-7!")


def test_a_role_gets_what_its_giver_has(client: Client) -> None:
    operator = Group.objects.get(name="Operator")
    held = list(operator.permissions.values_list("pk", flat=True))
    for sent in ([*held, permission("force_cancel")], [permission("change_periodictask")]):
        refused = client.post(f"{ROLES}{operator.pk}/change/", {"name": "Operator", "permissions": sent})
        assert (
            refused.status_code == 200 and "You may not give what you may not do yourself" in refused.content.decode()
        )
        refused = client.post(f"{ROLES}add/", {"name": "Mine", "permissions": sent})
        assert refused.status_code == 200
    assert operator.permissions.count() == len(held) and not Group.objects.filter(name="Mine").exists()
    assert client.post(f"{ROLES}add/", {"name": "Mine", "permissions": [permission("run_job")]}).status_code == 302
    mine = Group.objects.get(name="Mine")
    sent = [permission("retry_run"), permission("change_user")]
    assert client.post(f"{ROLES}{mine.pk}/change/", {"name": "Mine", "permissions": sent}).status_code == 302
    assert told() == [
        ("clerk", "role", "Mine", {"permissions": "none → jobs.run_job"}),
        ("clerk", "role", "Mine", {"permissions": "jobs.run_job → auth.change_user, jobs.retry_run"}),
    ]


def test_an_account_that_is_made_and_given_nothing_tells_nothing(client: Client) -> None:
    new = {"username": "fresh", "password1": "Brand-new-7!", "password2": "Brand-new-7!", "usable_password": "true"}
    assert client.post(f"{USERS}add/", {**new, "is_superuser": "on"}).status_code == 302
    assert not User.objects.get(username="fresh").is_superuser and told() == []


def test_the_jobs_about_accounts_need_no_right_to_change_them(roles: None) -> None:
    support = User.objects.create_user("support", is_staff=True)
    support.groups.add(Group.objects.get(name="User support"))
    assert not support.has_perm("auth.change_user")
    for name in ("users.sign_out_everywhere", "dormant_users.deactivate_dormant_users"):
        job = find_job(f"jobs.library.{name}")
        assert job.permission.startswith("jobs.") and support.has_perm(job.permission)
        client = Client()
        client.force_login(support)
        assert client.get(f"/admin/jobs/run/catalog/{job.name}/start/").status_code == 200
    # Who may change users has these jobs no more by that.
    clerk = User.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename__in=["change_user", "run_job", "view_run"]))
    assert not clerk.has_perm("jobs.sign_out_users")


def test_the_trail_tells_it_in_a_sentence(bird: User, ana: Client) -> None:
    send(ana, bird, is_superuser="on")
    text = ana.get("/admin/jobs/auditevent/").content.decode()
    assert "changed the rights of" in text and "no → yes" in text


PASSWORD = "a long password for tests"  # noqa: S105


def add(client: Client, **given: Any) -> Any:
    passwords = {"usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}
    return client.post(f"{USERS}add/", {"username": "kim", **passwords, **given})


def test_a_colleague_is_made_in_one_form(client: Client, clerk: User) -> None:
    text = " ".join(client.get(f"{USERS}add/").content.decode().split())
    assert "<b>Viewer</b>" in text and "see runs, failures, queues and workers; see schedules" in text
    assert re.search(r'name="is_staff"[^>]* checked', text)
    whole = {"first_name": "Kim", "last_name": "Lee", "email": "kim@example.com", "is_staff": "on"}
    response = add(client, **whole, groups=[role("Operator")])
    assert response.status_code == 302 and response["Location"] == USERS
    kim = User.objects.get(username="kim")
    assert (kim.get_full_name(), kim.email, kim.is_staff) == ("Kim Lee", "kim@example.com", True)
    assert [one.name for one in kim.groups.all()] == ["Operator"] and told()[0][2] == "kim"


def test_a_colleague_gets_no_role_that_may_do_more_than_its_giver(client: Client) -> None:
    response = add(client, is_staff="on", groups=[role("Scheduler")])
    assert response.status_code == 200 and "You may not give the role Scheduler" in response.content.decode()
    assert not User.objects.filter(username="kim").exists()


def test_roles_are_told_in_words(client: Client) -> None:
    text = client.get(ROLES).content.decode()
    assert "see who did what" in text and "Can view" not in text
    Group.objects.create(name="Shop").permissions.add(Permission.objects.get(codename="add_user"))
    assert "1 thing of this project beside the console" in client.get(ROLES).content.decode()


def test_every_permission_of_the_console_is_told_in_words(roles: None) -> None:
    held = {name for one in Group.objects.all() for name in permissions_of(one).split(", ")}
    assert held and not {name for name in held if not name.startswith("auth.")} - set(DOES)


def test_the_sign_in_tells_who_is_not_staff_what_to_ask_for(db: None) -> None:
    User.objects.create_user("sam", password=PASSWORD)
    text = Client().post("/admin/login/", {"username": "sam", "password": PASSWORD}).content.decode()
    assert "staff status, and a role, such as Viewer" in text
    assert "such as Viewer" not in Client().post("/admin/login/", {"username": "sam", "password": "x"}).content.decode()
