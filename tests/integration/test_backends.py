"""What a person may do is read in one statement, and is what Django's own backend says."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from opsconsole.backends import OneStatementBackend

WORD = "open sesame"


@pytest.fixture
def given(db: None) -> list[Permission]:
    return list(Permission.objects.order_by("pk")[:6])


def person(given: list[Permission], own: slice, grouped: slice, **values: Any) -> User:
    user = User.objects.create_user("ana", password=WORD, **values)
    user.user_permissions.set(given[own])
    for permission in given[grouped]:
        group = Group.objects.create(name=permission.codename)
        group.permissions.add(permission)
        user.groups.add(group)
    return User.objects.get(pk=user.pk)


@pytest.mark.parametrize(
    ("own", "grouped"),
    [(slice(0, 0), slice(0, 0)), (slice(2), slice(0)), (slice(0), slice(3)), (slice(4), slice(2, 6))],
)
def test_it_says_what_django_says(
    given: list[Permission], own: slice, grouped: slice, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    user = person(given, own, grouped)
    expected = ModelBackend().get_all_permissions(User.objects.get(pk=user.pk))
    with django_assert_num_queries(1):
        assert OneStatementBackend().get_all_permissions(user) == expected
        assert all(user.has_perm(name) for name in expected) and not user.has_perm("jobs.nothing")
    assert len(expected) == len({*given[own], *given[grouped]})


@pytest.mark.parametrize("values", [{"is_active": False}, {"is_superuser": True}])
def test_who_may_nothing_and_who_may_all(given: list[Permission], values: dict[str, bool]) -> None:
    user = person(given, slice(2), slice(3), **values)
    assert user.has_perm("jobs.view_run") is user.is_superuser
    found = OneStatementBackend().get_all_permissions(user)
    assert len(found) == (Permission.objects.count() if user.is_superuser else 0)
    assert OneStatementBackend().get_all_permissions(user, obj=user) == set()


def test_one_signs_in_by_it(given: list[Permission], client: Client) -> None:
    person(given, slice(1), slice(0))
    assert client.login(username="ana", password=WORD) and not client.login(username="ana", password="no" + WORD)
