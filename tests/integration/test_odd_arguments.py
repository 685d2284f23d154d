"""Arguments that nobody foresaw: what defaults propose, bytes that are no text; one of many stops no other."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from jobs.catalog.registry import find_job
from jobs.ledger import retry as retry_module
from jobs.ledger import retry_many as many_module
from jobs.ledger import start as start_module
from jobs.ledger.audit import Actor, Subject
from jobs.ledger.retry import RetryRefused, retry_run
from jobs.ledger.retry_many import UNFIT, retry_many
from jobs.ledger.start import Wish
from jobs.models import AuditEvent, Run
from jobs.pipeline.arguments import decode, encode
from jobs.schedules.problems import problem_of
from jobs.states import State
from tests import jobs_under_test as under_test
from tests.integration.schedule_rows import form, row, stored
from tests.integration.test_run_page import address, make

pytestmark = [pytest.mark.django_db, pytest.mark.filterwarnings("ignore:No directory at")]
ODD = under_test.unhinted.name
PLAIN = under_test.plain.name
START = f"/admin/jobs/run/catalog/{ODD}/start/"
RAW = b"\xff\xfe"


@pytest.fixture
def boss(roles: None) -> Actor:
    """May do everything."""
    return Actor.person(User.objects.create_superuser("boss"), via="command")


def failed(task: str, *args: Any, **kwargs: Any) -> Run:
    text, exact = encode(args, kwargs)
    number = Run.objects.count()
    return make(State.FAILED, task_id=f"odd{number:05}", task_name=task, arguments=text, arguments_exact=exact,
                finished_at=timezone.now())  # fmt: skip


def test_a_number_that_the_default_does_not_propose_is_retried(boss: Actor) -> None:
    again = retry_run(failed(ODD, count=12.5), actor=boss).run
    assert decode(again.arguments) == ([], {"count": 12.5})


@pytest.mark.parametrize(("typed", "sent"), [("12.5", 12.5), ('"many"', "many"), ("[1, 2]", [1, 2])])
def test_the_form_takes_what_the_default_does_not_propose(ana: Client, typed: str, sent: Any) -> None:
    response = ana.post(START, {"nonce": "n", "count": typed, "name": "x"})
    assert response.status_code == 302, response.content.decode()
    assert decode(Run.objects.get().arguments)[1]["count"] == sent


@pytest.mark.parametrize("values", [{"count": "many"}, {"count": 12.5, "name": 7}, {"name": None}, {"name": ["a"]}])
def test_a_form_filled_from_a_run_sends_what_that_run_had(ana: Client, values: dict[str, Any]) -> None:
    old = failed(ODD, **values)
    page = ana.get(f"{START}?retry={old.task_id}")
    assert page.status_code == 200
    shown = {name: page.context["form"].text(name) for name in ("count", "name")}
    response = ana.post(f"{START}?retry={old.task_id}", {"nonce": "n", **shown})
    assert response.status_code == 302, response.content.decode()
    sent = decode(Run.objects.get(retry_of=old).arguments)[1]
    assert {name: sent[name] for name in values} == values


def test_a_schedule_with_such_a_number_fires(ana: Client) -> None:
    made = row(task=ODD, kwargs='{"count": 12.5}')
    assert problem_of(stored(made.pk), timezone.now()) == ""
    sent = {**form(a=None, b=None), "count": "0.25", "name": "x", "oc.seen": made.date_changed.isoformat()}
    assert ana.post(f"/admin/django_celery_beat/periodictask/{made.pk}/change/", sent).status_code == 302
    assert json.loads(PeriodicTask.objects.get().kwargs)["count"] == 0.25


def test_json_that_is_nested_too_deeply_is_told_beside_its_field(ana: Client) -> None:
    echo = f"/admin/jobs/run/catalog/{under_test.echo_types.name}/start/"
    for name, text in (("anything", "[" * 350 + "]" * 350), ("table", '{"a":' * 350 + "[1]" + "}" * 350)):
        response = ana.post(echo, {"nonce": "n", name: text})
        assert response.status_code == 200 and name in response.context["form"].errors
    assert not Run.objects.exists()


def test_bytes_that_are_no_text_are_retried_as_they_were(ana: Client, boss: Actor) -> None:
    old = failed(PLAIN, RAW, key=RAW)
    assert ana.get(address(old, "retry/")).status_code == 200
    response = ana.post(address(old, "retry/"), {"nonce": "n", "seen": ""})
    assert response.status_code == 302, response.content.decode()
    assert decode(Run.objects.get(retry_of=old).arguments) == ([RAW], {"key": RAW})


def test_arguments_that_cannot_be_read_are_refused_in_words(ana: Client, boss: Actor) -> None:
    old = failed(PLAIN)
    Run.objects.update(arguments='[[{"__type__": "decimal", "__value__": "many"}], {}]')
    with pytest.raises(RetryRefused, match="cannot be read"):
        retry_run(old, actor=boss)


def test_one_odd_run_keeps_none_of_its_group(boss: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [failed(PLAIN, number) for number in range(5)]
    Run.objects.filter(pk=runs[2].pk).update(arguments='[[{"__type__": "decimal", "__value__": "many"}], {}]')
    runs.append(failed(PLAIN, RAW))
    done = retry_many(
        list(Run.objects.all()), find_job(PLAIN), actor=boss, wish=Wish(), subject=Subject("failure", "1", "x"),
        batch_id="b",
    )  # fmt: skip
    assert (done.started, done.left_out, dict(done.named)) == (5, Counter({UNFIT: 1}), {UNFIT: [runs[2].short_id]})
    assert AuditEvent.objects.get(object_type="failure").details["named"] == {UNFIT: [runs[2].short_id]}


@pytest.mark.parametrize("broken", [ZeroDivisionError("of the job"), ValueError("a string literal cannot contain NUL")])
def test_whatever_one_of_many_raises_the_rest_is_retried(
    boss: Actor, monkeypatch: pytest.MonkeyPatch, broken: Exception
) -> None:
    runs, real = [failed(PLAIN, number) for number in range(4)], start_module.keep

    def keep(prepared: Any) -> None:
        if any(one.run.retry_of_id == runs[1].pk for one in prepared):
            raise broken
        real(prepared)

    monkeypatch.setattr(many_module, "keep", keep)
    monkeypatch.setattr(retry_module, "keep", keep)
    done = retry_many(
        runs, find_job(PLAIN), actor=boss, wish=Wish(), subject=Subject("failure", "1", "x"), batch_id="b"
    )
    assert done.started == 3 and sum(done.left_out.values()) == 1
    (reason,) = done.left_out
    assert type(broken).__name__ in reason and done.named[reason] == [runs[1].short_id]
