"""Runs link to what they are about, objects show their runs, and a run tells what it is based on."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from jobs.catalog.registry import find_job
from jobs.ledger.audit import Actor
from jobs.ledger.lists import runs_of_object, was_started
from jobs.ledger.start import Wish, start_run
from jobs.ledger.start_many import start_many
from jobs.library.users import sign_out_everywhere
from jobs.models import Run, RunObject
from jobs.states import State
from tests import jobs_under_test as under_test

pytestmark = pytest.mark.filterwarnings("ignore:No directory at")


@pytest.fixture
def ana(db: None) -> User:
    return User.objects.create_user("ana", first_name="Ana")


@pytest.fixture
def client(client: Client, operator: User) -> Client:
    client.force_login(operator)
    return client


def allow(user: User, *codenames: str) -> None:
    user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))


def greet(user: User, actor: Actor, **values: Any) -> Run:
    job = find_job(under_test.greet.name)
    wish = Wish(based_on=values.pop("based_on", ""), nonce=values.pop("nonce", None))
    return start_run(job, {"person": user.pk, **values}, actor=actor, wish=wish).run


def page_of(client: Client, run: Run) -> str:
    return client.get(f"/admin/jobs/run/{run.task_id}/change/").content.decode()


def test_a_run_links_to_its_object_for_those_who_may_open_it(
    client: Client, ana: User, operator: User, olga: Actor
) -> None:
    run, href = greet(ana, olga), f'href="/admin/auth/user/{ana.pk}/change/"'
    text = page_of(client, run)
    assert "what this run is about" in text and ">ana " in text.replace("ana <span", ">ana <span") and href not in text
    allow(operator, "view_user")
    assert href in page_of(client, run)
    ana.delete()
    assert ">ana</a>" in page_of(client, run), "the label outlives the object"


def test_objects_without_a_page_and_of_models_that_are_gone(client: Client, ana: User, olga: Actor) -> None:
    run = greet(ana, olga)
    for number, model in enumerate(("sessions.session", "gone.model", "nonsense", "jobs.run")):
        RunObject.objects.create(run=run, model=model, key=f"k{number}", label="" if number else "<b>bold</b>")
    text = page_of(client, run)
    assert "&lt;b&gt;bold&lt;/b&gt;" in text and "<b>bold</b>" not in text
    assert "k1" in text and "k2" in text and 'href="/admin/jobs/run/k3/change/"' in text


def test_a_run_names_twenty_objects_and_counts_the_others(client: Client, roles: None, olga: Actor) -> None:
    users = User.objects.bulk_create([User(username=f"p{number:02d}") for number in range(33)])
    run = start_run(find_job(under_test.greet_all.name), {"people": [u.pk for u in users]}, actor=olga).run
    text = page_of(client, run)
    assert "p19" in text and "p20" not in text and "and 13 more" in text


def test_the_page_costs_the_same_for_one_object_and_for_many(client: Client, olga: Actor, ana: User) -> None:
    users = User.objects.bulk_create([User(username=f"p{number:02d}") for number in range(33)])
    job = find_job(under_test.greet_all.name)
    few, many = (start_run(job, {"people": [u.pk for u in some]}, actor=olga).run for some in (users[:1], users))
    counts = []
    page_of(client, few)
    for run in (few, many):
        with CaptureQueriesContext(connection) as queries:
            page_of(client, run)
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_an_object_shows_its_last_runs(client: Client, ana: User, operator: User, olga: Actor) -> None:
    allow(operator, "view_user")
    address = f"/admin/auth/user/{ana.pk}/change/"
    assert "No run has been about this user yet." in client.get(address).content.decode()
    runs = [greet(ana, olga) for _ in range(12)]
    greet(operator, olga)
    Run.objects.filter(pk=runs[-1].pk).update(state=State.FAILED)
    with CaptureQueriesContext(connection) as queries:
        text = client.get(address).content.decode()
    assert sum("jobs_runobject" in q["sql"] for q in queries) == 1, "one query for the panel"
    shown = [run for run in runs if f"/admin/jobs/run/{run.task_id}/change/" in text]
    assert shown == runs[2:] and text.index(runs[-1].task_id) < text.index(runs[-2].task_id)
    assert "oc-row--bad" in text and "Olga Berg" in text and text.count(">Greet one</a>") == 10

    operator.groups.clear()
    assert "oc-object-runs" not in client.get(address).content.decode(), "only for those who may see runs"


def test_no_panel_where_there_is_no_object_yet(client: Client, operator: User) -> None:
    allow(operator, "add_user", "change_user", "view_user")
    text = client.get("/admin/auth/user/add/").content.decode()
    assert "oc-object-runs" not in text and 'name="username"' in text


def test_runs_of_an_object_are_those_of_its_own_model(ana: User, olga: Actor) -> None:
    run = greet(ana, olga)
    RunObject.objects.create(run=greet(ana, olga), model="auth.group", key=str(ana.pk), label="x")
    RunObject.objects.filter(run=run).update(model="auth.group")
    assert [line.run.pk for line in runs_of_object(ana, limit=5)] == [run.pk + 1]


def test_run_like_this_leads_to_the_filled_form(client: Client, ana: User, olga: Actor) -> None:
    run = greet(ana, olga)
    address = f"/admin/jobs/run/catalog/{under_test.greet.name}/start/?from={run.task_id}"
    assert page_of(client, run).count(address) == 2, "in the head, and at the bottom of a phone"
    Run.objects.update(arguments_exact=False)
    assert "?from=" not in page_of(client, run)
    odd = Run.objects.create(task_id="a/b c&d", task_name=under_test.add.name, state=State.SUCCEEDED)
    assert "/start/?from=a%2Fb+c%26d" in client.get("/admin/jobs/run/a_2Fb c&d/change/").content.decode() and odd


def test_run_like_this_is_for_those_who_may_run_the_job(client: Client, ana: User, olga: Actor, viewer: User) -> None:
    run = start_run(find_job(under_test.add.name), {"a": 1}, actor=olga).run
    Run.objects.update(task_name=sign_out_everywhere.name)
    assert "Run like this" not in page_of(client, run), "the job has a permission of its own"
    Run.objects.update(task_name=under_test.add.name)
    client.force_login(viewer)
    assert "Run like this" not in page_of(client, run)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "no field differs"),
        ({"times": 2}, "1 field differs: Times"),
        ({"times": 2, "words": "<b>"}, "2 fields differ: Times, Words"),
    ],
)
def test_a_run_tells_how_it_differs_from_its_model(
    client: Client, ana: User, olga: Actor, values: dict[str, Any], words: str
) -> None:
    first = greet(ana, olga)
    run = greet(ana, olga, based_on=first.task_id, **values)
    text = page_of(client, run)
    assert f"run {first.short_id}</a>, {words}</dd>" in text and f"/admin/jobs/run/{first.task_id}/change/" in text
    assert "Based on" not in page_of(client, first)


def test_a_model_that_cannot_be_compared(client: Client, ana: User, olga: Actor) -> None:
    run = greet(ana, olga, based_on="12345678-gone")
    assert "run 12345678, no longer kept" in page_of(client, run)
    first = greet(ana, olga)
    Run.objects.filter(pk=run.pk).update(based_on=first.task_id)
    for wrong in ({"arguments_exact": False}, {"task_name": under_test.add.name}, {"arguments": "[[1, 2, 3, 4], {}]"}):
        before = Run.objects.filter(pk=first.pk).values(*wrong).get()
        Run.objects.filter(pk=first.pk).update(**wrong)
        assert "its parameters cannot be compared any more" in page_of(client, run)
        Run.objects.filter(pk=first.pk).update(**before)


def test_secrets_are_not_compared(client: Client, olga: Actor) -> None:
    job = find_job(under_test.echo_types.name)
    first = start_run(job, {"pin": "1", "whole": 1}, actor=olga).run
    second = start_run(job, {"pin": "1", "whole": 2}, actor=olga, wish=Wish(based_on=first.task_id)).run
    assert "1 field differs: Whole" in page_of(client, second)


def test_a_nonce_is_remembered(ana: User, olga: Actor) -> None:
    greet(ana, olga, nonce="form:1")
    start_many(find_job(under_test.greet.name), [{"person": ana.pk}], actor=olga, batch_id="b")
    assert was_started("form:1") and was_started("b:0") and not was_started("b")


def test_sign_out_everywhere(ana: User, operator: User) -> None:
    browsers = [Client(), Client(), Client()]
    for browser, user in zip(browsers, (ana, ana, operator), strict=True):
        browser.force_login(user)
    assert sign_out_everywhere.run(ana) == "ana was signed out of 2 sessions."
    assert Session.objects.count() == 1
    assert sign_out_everywhere.run(ana) == "ana was not signed in anywhere."
