"""Jobs on what is selected in a list: what is refused, and what a form that is not whole starts."""

from __future__ import annotations

from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.test import Client

from admin_ext.objects import page as object_run
from admin_ext.users import ConsoleUserAdmin
from jobs.models import AuditEvent, Run, RunObject
from tests import jobs_under_test as under_test
from tests.integration.test_object_actions import GREET, USERS, allow, confirm, fields_of, said, select

# Static files come from the packages; WhiteNoise misses the folder that `collectstatic` would make.
pytestmark = pytest.mark.filterwarnings("ignore:No directory at")


@pytest.fixture
def people(db: None) -> list[User]:
    return User.objects.bulk_create([User(username=f"p{number:02d}", last_name="Dormant") for number in range(5)])


@pytest.fixture
def client(client: Client, operator: User) -> Client:
    """Olga, who may also see users."""
    allow(operator, "view_user")
    client.force_login(operator)
    return client


def test_who_may_not_run_has_no_action_and_gets_403(client: Client, people: list[User], operator: User) -> None:
    page = select(client, GREET, people)
    operator.groups.clear()
    text = client.get(USERS).content.decode()
    assert "run:" not in text
    for response in (client.post(USERS, {"action": GREET, "_selected_action": "1", "index": 0}), confirm(client, page)):
        assert response.status_code == 403 and "ask for the role Operator" in response.content.decode()
    assert not Run.objects.exists()
    assert [(e.verb, e.outcome) for e in AuditEvent.objects.all()] == [("start_run", "denied")] * 2


def test_a_job_with_a_permission_of_its_own(client: Client, people: list[User], operator: User) -> None:
    action = f"run:{under_test.greet_guarded.name}"
    assert action not in client.get(USERS).content.decode()
    assert client.post(USERS, {"action": action, "_selected_action": people[0].pk, "index": 0}).status_code == 403
    assert AuditEvent.objects.get().details == {"missing": "auth.delete_user"}
    allow(operator, "delete_user")
    assert action in client.get(USERS).content.decode()


def test_who_may_not_see_the_objects_gets_nowhere(client: Client, people: list[User], operator: User) -> None:
    page = select(client, GREET, people)
    operator.user_permissions.clear()
    assert client.post(USERS, {"action": GREET, "_selected_action": "1", "index": 0}).status_code == 403
    assert confirm(client, page).status_code == 403 and not Run.objects.exists()


def test_ids_that_the_list_does_not_have_are_not_touched(
    client: Client, people: list[User], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = select(client, GREET, people)
    monkeypatch.setattr(
        ConsoleUserAdmin, "get_queryset", lambda self, request: User.objects.filter(pk=people[0].pk), raising=False
    )
    again = select(client, GREET, people)
    assert "for 1 user" in again and "4 users of your selection are left out" in again and "p01" not in again
    response = confirm(client, page)
    assert "5 users were selected when this page was shown, now 1 is" in unescape(response.content.decode())
    assert not Run.objects.exists()
    confirm(client, again, _selected_action=[u.pk for u in people])
    assert [o.key for o in RunObject.objects.all()] == [str(people[0].pk)]


def test_objects_that_the_admin_hides_one_by_one_are_not_touched(
    client: Client, people: list[User], monkeypatch: pytest.MonkeyPatch
) -> None:
    def has_view_permission(self: Any, request: HttpRequest, obj: User | None = None) -> bool:
        return obj is None or obj.pk != people[1].pk

    monkeypatch.setattr(ConsoleUserAdmin, "has_view_permission", has_view_permission)
    for more in ({}, {"select_across": "1"}):
        page = select(client, GREET, people, **more)
        assert "p01" not in page and "1 user of your selection is left out" in page
        confirm(client, page)
        assert str(people[1].pk) not in set(RunObject.objects.values_list("key", flat=True))


def test_more_than_one_act_takes_is_refused(
    client: Client, people: list[User], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = select(client, GREET, people)
    monkeypatch.setattr(object_run, "MAX_RUNS", 4)
    first = {"action": GREET, "index": "0", "_selected_action": [u.pk for u in people]}
    for response in (client.post(USERS, first), confirm(client, page)):
        assert response.headers["Location"] == USERS
        assert "5 users are selected, and one act takes at most 4. Filter the list first." in said(response)
    assert not Run.objects.exists()


@pytest.mark.parametrize("nonce", ["", "n" * 65])
def test_a_form_that_is_not_whole_starts_nothing(client: Client, people: list[User], nonce: str) -> None:
    text = confirm(client, select(client, GREET, people), nonce=nonce).content.decode()
    assert "this form was not whole" in text and not Run.objects.exists()


@pytest.mark.parametrize("key", ["abc", "9" * 40, "1\x002", ""])
def test_keys_that_are_none_are_refused(client: Client, people: list[User], key: str) -> None:
    response = client.post(USERS, {"action": GREET, "index": "0", "_selected_action": [people[0].pk, key]})
    assert response.status_code == 400


@pytest.mark.parametrize("action", ["run:nothing", f"run:{under_test.add.name}", f"run:{under_test.echo_types.name}"])
def test_a_job_that_does_not_fit_is_no_action(client: Client, people: list[User], action: str) -> None:
    response = client.post(USERS, {"action": action, "index": "0", "_selected_action": people[0].pk})
    assert response.status_code == 302 and "No action selected." in said(response)


def test_get_changes_nothing(client: Client, people: list[User]) -> None:
    page = select(client, GREET, people)
    response = client.get(USERS, fields_of(page))
    assert response.status_code in (200, 302) and not Run.objects.exists() and not AuditEvent.objects.exists()
