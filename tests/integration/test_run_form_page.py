"""The form that starts a job: what is sent, what comes back, one press, one run."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from jobs.models import AuditEvent, Run
from tests import jobs_under_test as under_test

FORM = f"/admin/jobs/run/catalog/{under_test.add.name}/start/"
REPORT = "/admin/jobs/run/catalog/jobs.library.reports.task_activity_report/start/"
# Static files come from the packages; WhiteNoise misses the folder that `collectstatic` would make.
pytestmark = pytest.mark.filterwarnings("ignore:No directory at")


@pytest.fixture
def client(client: Client, operator: User) -> Client:
    client.force_login(operator)
    return client


def nonce_of(response: Any) -> str:
    found = re.search(r'name="nonce" value="([^"]+)"', response.content.decode())
    assert found
    return found[1]


def test_the_form_asks_for_each_parameter_and_says_what_will_happen(client: Client) -> None:
    text = client.get(REPORT).content.decode()

    assert 'type="date"' in text and 'type="radio"' in text and 'id="id_reason"' in text
    assert "Will happen" in text and "queue reports" in text
    assert "It has never run here" in text and "may be run again safely" in text
    assert "Whether a worker is ready is not known" in text, "Redis is away in these tests"


def test_limits_stand_under_the_field(client: Client) -> None:
    assert "From 0 to 100." in client.get(FORM).content.decode()


def test_the_help_says_each_limit_once(client: Client, admin_client: Client) -> None:
    page = admin_client.get("/admin/jobs/run/catalog/jobs.library.diagnostics.echo/start/").content.decode()
    text = re.sub(r"<[^>]*>|\s+", " ", page)
    assert text.count("1,000") == 2 and text.count("From -1,000 to 1,000.") == 1 and "-1000" not in text
    assert "One a line. One a line." not in text and "At most 5,000 characters." in text


def test_the_title_names_the_job(client: Client) -> None:
    assert re.search(r"<title>\s*Run Add \|", client.get(FORM).content.decode())


def test_who_was_signed_out_reads_that_nothing_was_started(client: Client) -> None:
    values = {"nonce": nonce_of(client.get(FORM)), "a": "1"}
    client.logout()
    assert "signed out" not in client.get(FORM, follow=True).content.decode(), "only a form is lost"
    watched = client.post(f"{FORM}targets/", values, headers={"HX-Request": "true"})
    assert watched.status_code == 204, "no sign-in page in the middle of a form"
    answer = client.post(FORM, values, follow=True)

    assert answer.redirect_chain[0][0].startswith("/admin/login/?next=")
    assert "You were signed out. Nothing was started or changed." in answer.content.decode()
    assert not Run.objects.exists()
    assert "signed out" not in client.get("/admin/login/").content.decode(), "it is said once"


def test_a_sent_form_is_a_run_and_leads_to_its_page(client: Client) -> None:
    response = client.post(FORM, {"nonce": nonce_of(client.get(FORM)), "a": "2", "b": "3", "reason": "a check"})

    run = Run.objects.get()
    assert response.headers["Location"] == reverse("admin:jobs_run_change", args=[run.task_id])
    assert (run.arguments, run.reason, run.actor_label) == ('[[], {"a": 2, "b": 3}]', "a check", "Olga Berg")
    assert AuditEvent.objects.get().ip == "127.0.0.1"


def test_what_is_left_empty_takes_its_default(client: Client) -> None:
    client.post(FORM, {"nonce": nonce_of(client.get(FORM)), "a": "2", "b": ""})
    assert Run.objects.get().arguments == '[[], {"a": 2, "b": 1}]'


@pytest.mark.parametrize(
    ("values", "sentence"),
    [({"a": "many"}, "Enter a whole number."), ({"a": ""}, "Enter a whole number."), ({"a": "1", "b": "101"}, "100")],
)
def test_wrong_values_come_back_beside_their_field(client: Client, values: dict[str, str], sentence: str) -> None:
    nonce = nonce_of(client.get(FORM))
    response = client.post(FORM, {"nonce": nonce, "reason": "kept", **values})
    text = response.content.decode()

    assert response.status_code == 200 and not Run.objects.exists()
    assert "Nothing was started: 1 field to correct" in text and "Your values are kept." in text
    error = re.search(r'id="id_[ab]_error">(.*?)</div>', text, re.DOTALL)
    assert error and sentence in error[1]
    assert 'value="kept"' in text and all(f'value="{value}"' in text for value in values.values() if value)
    assert nonce_of(response) == nonce, "a form that started nothing may be sent again"


def test_the_same_form_twice_is_one_run_and_says_so(client: Client) -> None:
    values = {"nonce": nonce_of(client.get(FORM)), "a": "1"}
    first = client.post(FORM, values)
    second = client.post(FORM, values, follow=True)

    assert Run.objects.count() == 1 and AuditEvent.objects.count() == 1
    assert second.redirect_chain == [(first.headers["Location"], 302)]
    assert re.search(r"Already started .* by this form: one click, one run\.", second.content.decode())


def test_a_used_form_with_other_values_is_refused_and_can_be_sent_anew(client: Client) -> None:
    nonce = nonce_of(client.get(FORM))
    client.post(FORM, {"nonce": nonce, "a": "1"})
    response = client.post(FORM, {"nonce": nonce, "a": "2"})

    assert Run.objects.count() == 1
    assert "this form already started run" in response.content.decode() and 'value="2"' in response.content.decode()
    client.post(FORM, {"nonce": nonce_of(response), "a": "2"})
    assert Run.objects.count() == 2


@pytest.mark.parametrize("nonce", ["", "x" * 65])
def test_a_form_without_its_nonce_starts_nothing(client: Client, nonce: str) -> None:
    response = client.post(FORM, {"nonce": nonce, "a": "1"})
    assert "Nothing was started" in response.content.decode() and not Run.objects.exists()


def test_a_form_cannot_take_the_moment_of_a_schedule(client: Client) -> None:
    client.post(FORM, {"nonce": "schedule:1:2026-01-01", "a": "1"})
    assert Run.objects.get().nonce == "form:schedule:1:2026-01-01"


def test_an_unknown_job_is_not_found(client: Client) -> None:
    response = client.get("/admin/jobs/run/catalog/no.such.job/start/")
    assert response.status_code == 404 and "No job is called no.such.job." in response.content.decode()


def test_the_environment_is_named_on_the_button(client: Client, settings: Any) -> None:
    def button(response: Any) -> str:
        found = re.search(r"data-oc-sending.*?</button>", response.content.decode(), re.DOTALL)
        assert found
        return found[0]

    settings.ENVIRONMENT_LABEL = "Local"
    assert "<span>Run</span>" in button(client.get(FORM))
    settings.ENVIRONMENT_LABEL = "Production"
    assert "<span>Run in Production</span>" in button(client.get(FORM))


def test_a_request_without_the_csrf_token_starts_nothing(operator: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(operator)
    response = strict.post(FORM, {"nonce": "n", "a": "1"})
    assert response.status_code == 403 and "Nothing was done" in response.content.decode()
    assert not Run.objects.exists()
