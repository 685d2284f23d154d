"""A second admin site of the project: its pages are drawn, and what is the console's stays at the default one."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.integration.second_site_urls")]


@pytest.fixture
def boss(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("boss"))
    return client


def test_its_pages_are_drawn(boss: Client) -> None:
    role = Group.objects.create(name="Partners")
    for page in ("", "auth/", "auth/group/", "auth/group/add/", f"auth/group/{role.pk}/change/", "password_change/"):
        answer = boss.get(f"/second/{page}")
        assert answer.status_code == 200, page
        assert "/second/auth/group/" in answer.content.decode() or page == "password_change/", page


def test_the_console_is_not_there(boss: Client) -> None:
    text = boss.get("/second/").content.decode()
    assert "For partners" in text and "Operations" not in text
    assert "/admin/jobs/auditevent/" not in text, "no sidebar of the console"
    assert boss.get("/second/jobs/run/").status_code == 404
    assert boss.get("/admin/jobs/run/").status_code == 200


def test_it_asks_for_a_sign_in(client: Client) -> None:
    assert client.get("/second/").status_code == 302
    assert client.get("/second/login/").status_code == 200
