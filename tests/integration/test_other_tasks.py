"""Tasks that declare no job, on the Jobs page; and the marks of jobs that can do harm."""

from __future__ import annotations

from html import unescape

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from admin_ext.parts import chips
from jobs.catalog.registry import Danger, derived_jobs
from jobs.models import Run
from tests import jobs_under_test as under_test

CATALOG = "/admin/jobs/run/catalog/"
pytestmark = pytest.mark.filterwarnings("ignore:No directory at")


@pytest.fixture
def client(client: Client, operator: User) -> Client:
    client.force_login(operator)
    return client


@pytest.fixture
def superuser(client: Client, operator: User) -> User:
    """Olga as a superuser."""
    operator.is_superuser = True
    operator.save()
    return operator


def test_a_superuser_runs_any_task_that_has_a_form(client: Client, superuser: User) -> None:
    text = unescape(client.get(CATALOG).content.decode())
    assert "Other tasks" in text and "They declare no job" in text and "declare no job and" not in text
    for job in derived_jobs():
        assert job.name in text
        address = f"{CATALOG}{job.name}/start/"
        assert (address in text) == (job.parameters is not None), job.name
        if job.parameters is not None:
            assert client.get(address).status_code == 200
    assert text.index("Greet one") < text.index(under_test.plain.name), "below the declared jobs"
    client.post(f"{CATALOG}{under_test.bound_plain.name}/start/", {"a": "3", "nonce": "n"})
    assert Run.objects.get().task_name == under_test.bound_plain.name


def test_a_task_without_a_form_says_why(client: Client, superuser: User) -> None:
    text = unescape(client.get(CATALOG, {"q": "opaque"}).content.decode())
    assert "No form: tests.jobs_under_test.opaque: the type of the parameter thing cannot be checked" in text
    assert "/start/" not in text


def test_others_only_learn_how_many_there_are(client: Client) -> None:
    text = unescape(client.get(CATALOG).content.decode())
    count = len(derived_jobs())
    needs = "Needs the role Developer."
    assert f"{count} other tasks declare no job and are not shown. {needs}" in text
    assert under_test.plain.name not in text
    assert client.get(f"{CATALOG}{under_test.plain.name}/start/").status_code == 403


def test_the_permission_alone_is_enough(client: Client, operator: User) -> None:
    operator.user_permissions.add(Permission.objects.get(codename="run_any_task"))
    assert f"{CATALOG}{under_test.plain.name}/start/" in client.get(CATALOG).content.decode()


def test_search_and_groups_reach_them(client: Client, superuser: User) -> None:
    assert under_test.plain.name in client.get(CATALOG, {"group": "Other tasks"}).content.decode()
    text = client.get(CATALOG, {"group": "Other tasks"}).content.decode()
    assert "Greet one" not in text
    assert under_test.quiet.name in client.get(CATALOG, {"q": "nobody keeps"}).content.decode()


def test_the_page_costs_the_same_with_and_without_them(client: Client, operator: User) -> None:
    Run.objects.create(task_id="a", task_name=under_test.plain.name)
    operator.is_superuser = True
    operator.save()
    client.get(CATALOG)
    counts = []
    for parameters in ({}, {"q": "unhinted"}):
        with CaptureQueriesContext(connection) as queries:
            client.get(CATALOG, parameters)
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_jobs_that_can_do_harm_are_marked(client: Client) -> None:
    text = client.get(CATALOG).content.decode()
    assert text.count("oc-chip--caution") >= 1 and "Caution" in text and "Danger" in text
    assert set(chips.DANGER) == set(Danger) - {Danger.NORMAL}
    assert chips.danger_chip(Danger.NORMAL) is None
