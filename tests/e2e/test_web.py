"""The web process under real HTTP: one click, one run; no permission, no road."""

import re
import threading

import pytest
from django.contrib.auth.models import Group, User

from jobs.models import AuditEvent, Run
from jobs.states import State
from tests import jobs_under_test as under_test
from tests.e2e.client import Answer, Person
from tests.e2e.conftest import PASSWORD, finished
from tests.e2e.processes import Stack

FORM = f"/admin/jobs/run/catalog/{under_test.add.name}/start/"


@pytest.fixture
def web(stack: Stack) -> Stack:
    stack.up(stack.web)
    return stack


@pytest.fixture
def ana(web: Stack) -> Person:
    return Person(web.url).sign_in("ana", PASSWORD)


def nonce_of(page: Answer) -> str:
    found = re.search(r'name="nonce" value="([^"]+)"', page.text)
    assert found, "the form has a nonce"
    return found[1]


def test_a_form_starts_a_run_and_shows_it(ana: Person) -> None:
    nonce = nonce_of(ana.get(FORM))
    answer = ana.post(FORM, a="20", b="22", reason="a check", nonce=nonce)

    task_id = answer.url.split("/")[-3]
    assert finished(task_id).state == State.SUCCEEDED
    page = ana.get(f"/admin/jobs/run/{task_id}/change/")
    assert page.status == 200
    assert "Succeeded" in page.text and "a check" in page.text and "42" in page.text


@pytest.mark.parametrize("times", range(10))
def test_a_double_click_is_one_run(web: Stack, ana: Person, times: int) -> None:
    nonce = nonce_of(ana.get(FORM))
    before = Run.objects.count()
    barrier, answers = threading.Barrier(2), list[Answer]()

    def click() -> None:
        other = Person(web.url)
        other.jar, other.token = ana.jar, ana.token
        other.opener = ana.opener
        barrier.wait()
        answers.append(other.post(FORM, a="1", nonce=nonce))

    threads = [threading.Thread(target=click) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {answer.status for answer in answers} == {200}
    assert len({answer.url for answer in answers}) == 1, "both were led to the same run"
    assert Run.objects.count() == before + 1
    reload = ana.post(FORM, a="1", nonce=nonce)
    assert "Already started" in reload.text and "one click, one run" in reload.text
    assert Run.objects.count() == before + 1


def test_wrong_values_come_back_beside_their_field(ana: Person) -> None:
    before = Run.objects.count()
    answer = ana.post(FORM, a="many", b="7", reason="kept", nonce=nonce_of(ana.get(FORM)))
    assert "Nothing was started: 1 field to correct" in answer.text
    assert 'value="many"' in answer.text and 'value="7"' in answer.text and "kept" in answer.text
    assert Run.objects.count() == before


def test_who_may_not_run_sees_no_button_and_gets_403_by_any_road(web: Stack) -> None:
    viewer, _ = User.objects.get_or_create(username="vito", is_staff=True)
    viewer.set_password(PASSWORD)
    viewer.save()
    viewer.groups.set([Group.objects.get(name="Viewer")])
    vito = Person(web.url).sign_in("vito", PASSWORD)

    before = Run.objects.count()
    jobs = vito.get("/admin/jobs/run/catalog/")
    assert jobs.status == 200
    assert "/start/" not in jobs.text
    assert vito.get(FORM).status == 403
    assert vito.post(FORM, a="1", nonce="guessed").status == 403
    assert Run.objects.count() == before
    assert AuditEvent.objects.filter(actor_id=str(viewer.pk), outcome="denied").exists()


def test_every_page_has_the_security_headers(ana: Person) -> None:
    for path in ("/admin/", "/admin/jobs/run/", FORM, "/admin/nowhere/"):
        headers = ana.get(path).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
        assert "script-src 'self' 'unsafe-eval'" in policy
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
