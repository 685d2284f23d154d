"""Every kind of parameter in the form: how it is asked for, what comes back beside it, what is sent."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from admin_ext.form.values import duration_of, duration_text
from jobs.catalog.refusals import quotes_wanted
from jobs.models import Run
from tests import jobs_under_test as under_test

ECHO = f"/admin/jobs/run/catalog/{under_test.echo_types.name}/start/"
pytestmark = pytest.mark.filterwarnings("ignore:No directory at")


@pytest.fixture
def client(client: Client, operator: User) -> Client:
    client.force_login(operator)
    return client


def sent(client: Client, **values: Any) -> dict[str, Any]:
    """What a form with these values sends; the form must be taken."""
    response = client.post(ECHO, {"nonce": "n", **values})
    assert response.status_code == 302, re.findall(r'class="oc-error">.*?</p>', response.content.decode(), re.DOTALL)
    kwargs: dict[str, Any] = json.loads(Run.objects.get().arguments)[1]
    return {name: value for name, value in kwargs.items() if value is not None}


def refused(client: Client, name: str, **values: Any) -> str:
    """What stands beside the field `name`; no other field may be wrong, and nothing may be started."""
    response = client.post(ECHO, {"nonce": "n", "reason": "kept", **values})
    text = response.content.decode()
    assert response.status_code == 200 and not Run.objects.exists()
    assert "Nothing was started: 1 field to correct" in text and 'value="kept"' in text
    found = re.search(rf'id="id_{name}_error">(.*?)</div>', text, re.DOTALL)
    assert found, text
    return re.sub(r"<[^>]*>|\s+", " ", found[1])


def test_every_kind_has_its_own_field(client: Client) -> None:
    text = client.get(ECHO).content.decode()
    assert 'type="date"' in text and 'type="datetime-local"' in text and 'type="file"' in text
    assert text.count('type="password"') == 2 and text.count('type="checkbox" name="sizes"') == 2
    assert text.count('type="radio" name="switch"') == 3, "a switch that may be None has three answers"
    assert f'data-oc-pick="{ECHO}objects/person/"' in text
    assert "Time in UTC." in text and "Such as 1 h 30 min, 90 s or 2 d." in text and "At most 10 MB." in text


def test_what_is_typed_in_as_json_has_examples(client: Client, admin_user: User) -> None:
    text = re.sub(r"<[^>]*>|\s+", " ", client.get(ECHO).content.decode()).replace("&quot;", '"')
    examples = 'A number as 3, text in quotes as "text", a list as [1, 2].'
    assert f"Typed in as JSON. {examples}" in text
    assert text.count(examples) == 1, "a hint says what a value looks like by itself"


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("blue", 'Text needs quotes: "blue".'),
        ("two words", 'Text needs quotes: "two words".'),
        ("'x'", 'Text needs quotes: "x".'),
        ("2 apples", 'Text needs quotes: "2 apples".'),
        ("a@example.com", 'Text needs quotes: "a@example.com".'),
        ("naïve", 'Text needs quotes: "naïve".'),
        *((typed, "") for typed in ('{"a":', "[1, 2", '"open', "1,5", "True", "None", "", "a" * 61, "[" * 10_000)),
    ],
)
def test_a_plain_word_is_told_that_text_needs_quotes(typed: str, told: str) -> None:
    assert quotes_wanted(typed) == told


SENT = [
    ({"whole": "1" + "0" * 40}, {"whole": 10**40}),
    ({"number": "0.1"}, {"number": 0.1}),
    ({"price": "1.10"}, {"price": "1.10"}),
    ({"switch": "no"}, {"switch": False}),
    ({"text": "two\r\nlines"}, {"text": "two\nlines"}),
    ({"day": "2028-02-29"}, {"day": "2028-02-29"}),
    ({"moment": "2026-03-29T02:30"}, {"moment": "2026-03-29T02:30:00Z"}),
    ({"lasts": "1 h 30 min"}, {"lasts": "PT1H30M"}),
    ({"lasts": "PT90S"}, {"lasts": "PT1M30S"}),
    ({"lasts": "2 d"}, {"lasts": "P2D"}),
    ({"size": "2", "mode": "3"}, {"size": 2, "mode": 3}),
    ({"sizes": ["2", "1"]}, {"sizes": [2, 1]}),
    ({"numbers": "1\n\n 2 \n"}, {"numbers": [1, 2]}),
    ({"table": '{"a": [1]}'}, {"table": {"a": [1]}}),
    ({"anything": '"<script>"'}, {"anything": "<script>"}),
]  # fmt: skip


@pytest.mark.parametrize(("values", "expected"), SENT, ids=[str(s[0])[:30] for s in SENT])
def test_what_is_entered_is_sent(client: Client, values: dict[str, Any], expected: dict[str, Any]) -> None:
    assert sent(client, **values) == expected


WRONG = [
    ({"anything": "blue"}, "column 1. Text needs quotes: &quot;blue&quot;."),
    ({"whole": "1.5"}, "Enter a whole number."),
    ({"whole": "1" * 5000}, "Enter a whole number."),
    ({"number": "NaN"}, "Enter a number"),
    ({"price": "Infinity"}, "Enter a number"),
    ({"text": "x" * 1_000_000}, "At most 200,000 characters; these are 1,000,000."),
    ({"text": "a\x00b"}, "ull characters"),
    ({"day": "2026-02-29"}, "Enter a date such as 2026-09-30."),
    ({"moment": "2026-09-30"}, "Enter a day and a time"),
    ({"lasts": "90"}, "Enter a duration such as"),
    ({"lasts": "9" * 90 + " d"}, "longer than can be kept"),
    ({"mode": "c"}, "Choose one of the options."),
    ({"sizes": ["9"]}, "Select a valid choice"),
    ({"numbers": "1\n\nx"}, "Line 3: Enter a whole number."),
    ({"key": "123"}, "Enter a UUID"),
    ({"person": "99999999"}, "The user 99999999 does not exist any more"),
    ({"people": "x' OR 1=1"}, "Choose a user"),
    ({"table": '{"a":\n "b" 1}'}, "at line 2, column 6"),
    ({"table": '{"a":\n "b"}'}, "Enter a list, such as [1, 2]."),
    ({"anything": "[" * 100_000}, "nested too deeply"),
    ({"anything": "NaN"}, "NaN is no number there"),
    ({"anything": '"\\ud800"'}, "half a character"),
]  # fmt: skip


@pytest.mark.parametrize(("values", "sentence"), WRONG, ids=[str(w[0])[:30] for w in WRONG])
def test_what_is_wrong_comes_back_beside_its_field(client: Client, values: dict[str, Any], sentence: str) -> None:
    assert sentence in refused(client, next(iter(values)), **values)


def test_one_answer_names_all_that_is_wrong(client: Client) -> None:
    unread = {"number": "abc", "lasts": "10 bananas", "anything": "{bad"}
    unfit = {"price": "1,5", "key": "zzz", "numbers": "1\nx", "days": "2026-02-30", "table": "[1]", "person": "999999"}
    text = client.post(ECHO, {"nonce": "n", **unread, **unfit, "whole": "7", "text": "fits"}).content.decode()
    wrong = dict(re.findall(r'id="id_(\w+)_error">(.*?)</div>', text, re.DOTALL))
    assert wrong.keys() == unread.keys() | unfit.keys() and "9 fields to correct, Number, Price, Lasts," in text
    assert all(told.count("oc-error") == 1 for told in wrong.values()), "what could not be read is not told again"
    assert "Line 2: Enter a whole number." in wrong["numbers"] and "such as 0.5" in wrong["price"]


def test_what_was_refused_is_said_above_the_form_and_the_first_wrong_field_has_the_focus(client: Client) -> None:
    text = client.post(ECHO, {"nonce": "n", "lasts": "x", "key": "zzz", "oc.priority": "12"}).content.decode()
    (said,) = re.finditer(
        r'oc-notice--bad" role="alert">(?:(?!</div>).)*?<p>Nothing was started: 3 fields', text, re.DOTALL
    )
    assert said.start() < text.index('id="oc-start"')
    (focused,) = re.findall(r"<input[^>]*autofocus[^>]*>", text)
    assert 'name="lasts"' in focused
    assert " autofocus" not in client.get(ECHO).content.decode()


def test_hostile_text_is_inert_where_it_comes_back(client: Client) -> None:
    hostile = "\"><script>alert(1)</script>{{ 7*7 }}'"
    text = client.post(ECHO, {"nonce": hostile, "reason": hostile, "text": hostile, "whole": hostile}).content.decode()
    assert "<script>alert" not in text and "49" not in re.findall(r'name="text"[^>]*>', text)[0]
    assert "&lt;script&gt;alert(1)" in text


def test_a_local_time_that_does_not_exist_is_refused(client: Client, settings: Any) -> None:
    settings.TIME_ZONE = "Europe/Vilnius"
    sentence = refused(client, "moment", moment="2026-03-29T03:30")
    assert "03:30 does not exist on 29 March 2026 in Europe/Vilnius: the clocks are put forward." in sentence


def test_a_local_time_that_exists_twice_is_asked_for_with_its_offset(client: Client, settings: Any) -> None:
    settings.TIME_ZONE = "Europe/Vilnius"
    sentence = refused(client, "moment", moment="2026-10-25T03:30")
    assert "2026-10-25T03:30+03:00 for the first or 2026-10-25T03:30+02:00 for the second" in sentence
    assert sent(client, moment="2026-10-25T03:30+02:00")["moment"] == "2026-10-25T03:30:00+02:00"


def test_a_secret_is_never_drawn_back(client: Client) -> None:
    text = client.post(ECHO, {"nonce": "n", "password": "canary-1", "pin": "canary-2", "whole": "x"}).content.decode()
    assert "canary" not in text and "Your values are kept, but for secrets." in text


@given(st.timedeltas())
def test_a_duration_reads_back_as_it_was_written(length: timedelta) -> None:
    assert duration_of(duration_text(length)) == length


def test_a_number_may_have_a_plus(client: Client) -> None:
    response = client.post(f"/admin/jobs/run/catalog/{under_test.add.name}/start/", {"nonce": "n", "a": "+2"})
    assert response.status_code == 302 and json.loads(Run.objects.get().arguments)[1] == {"a": 2, "b": 1}


def test_advanced_says_when_where_and_how_urgently(client: Client) -> None:
    moment = (timezone.now() + timedelta(days=1000)).strftime("%Y-%m-%dT10:00")
    wishes = {"oc.not_before": moment, "oc.queue": "reports", "oc.priority": "0"}
    client.post(ECHO, {"nonce": "n", **wishes})
    run = Run.objects.get()
    assert (run.queue, run.priority, run.state) == ("reports", 0, "waiting")
    assert run.not_before is not None and run.not_before.isoformat() == f"{moment}:00+00:00"


@pytest.mark.parametrize(
    ("wish", "label"),
    [
        ({"oc.queue": "nowhere"}, "Queue"),
        ({"oc.priority": "12"}, "Priority"),
        ({"oc.not_before": "x"}, "Not before"),
        ({"oc.not_before": "2020-01-01T00:00"}, "Not before"),
        ({"oc.not_before": "9999-12-31T00:00"}, "Not before"),
    ],
)
def test_a_wish_that_cannot_be_is_refused_and_unfolded(client: Client, wish: dict[str, str], label: str) -> None:
    text = client.post(ECHO, {"nonce": "n", **wish}).content.decode()
    assert f"1 field to correct, {label}." in text and '<details class="oc-advanced" open>' in text
    assert not Run.objects.exists()


def test_a_moment_that_has_passed_or_is_too_far_is_refused(client: Client) -> None:
    said = {
        "2020-01-01T00:00": "has passed; leave it empty to run now.",
        "9999-12-31T00:00": "more than five years away",
    }
    for moment, sentence in said.items():
        assert sentence in client.post(ECHO, {"nonce": "n", "oc.not_before": moment}).content.decode()


def test_the_folded_line_tells_the_wishes(client: Client) -> None:
    text = re.sub(r"<[^>]*>", "", client.get(ECHO).content.decode())
    assert "queue default, normal priority, as soon as possible" in text


def test_a_task_without_a_job_says_so_and_one_without_a_form_why(client: Client, admin_user: User) -> None:
    client.force_login(admin_user)
    plain = client.get(f"/admin/jobs/run/catalog/{under_test.unhinted.name}/start/").content.decode()
    assert "This task declares no job: its form comes from its signature." in plain
    response = client.get(f"/admin/jobs/run/catalog/{under_test.opaque.name}/start/")
    assert response.status_code == 200 and "cannot be checked" in response.content.decode()
    assert "data-oc-sending" not in response.content.decode()
