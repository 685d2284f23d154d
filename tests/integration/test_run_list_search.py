"""The box and the filters of the runs list: what they take for what, and what they say of what makes no sense."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from admin_ext.runs.asked import NAMES, Asked
from admin_ext.runs.choices import forget_choices
from jobs.catalog.registry import find_job
from jobs.ledger import run_errors, run_query
from jobs.ledger.audit import Actor
from jobs.ledger.durations import forget_durations
from jobs.ledger.start import start_run
from jobs.ledger.summary import summarise
from jobs.models import Run
from jobs.states import State
from tests import jobs_under_test as under_test
from tests.integration.test_run_list_page import LIST, ids, make


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    """What other tests have left in this process is of another database."""
    forget_choices()
    forget_durations()


@pytest.fixture
def client(client: Client, viewer: User) -> Client:
    client.force_login(viewer)
    return client


def test_a_search_that_stopped_says_how_far_it_came(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_query, "WINDOW", 10)
    wanted = make(1, queue="reports", accepted_at=timezone.now() - timedelta(hours=3))
    for number in range(2, 30):
        make(number, queue="default")
    address = f"?job={under_test.add.name}&queue=reports"
    response = client.get(LIST + address)
    text = response.content.decode()
    assert not ids(response) and "Looked through the newest 10 runs with job Add, back to " in text
    assert "No run matches" in text and "0+" in text
    for _ in range(2):
        response = client.get(LIST + response.context["page"].looked.href)
    assert "Looked through the next older 10 runs" not in response.content.decode()
    assert ids(response) == [wanted.task_id] and not response.context["page"].looked


def test_a_secret_does_not_find_its_run(client: Client, olga: Actor) -> None:
    start_run(find_job(under_test.add.name), {"a": 4711, "b": 1}, actor=olga)
    run = Run.objects.get()
    Run.objects.filter(pk=run.pk).update(summary=summarise('[[], {"name": "4711", "password": "hunter22"}]'))
    assert len(ids(client.get(f"{LIST}?q=4711"))) == 1
    assert not ids(client.get(f"{LIST}?q=hunter22"))


def test_what_a_run_failed_with_finds_it(client: Client) -> None:
    wanted = make(1, state=State.FAILED, error_type="ValueError", error_message="invoice 224 has no lines")
    make(2, state=State.FAILED, error_type="ValueError", error_message="invoice 225 has no lines")
    make(3, state=State.SUCCEEDED, error_message="invoice 224 had no lines at first")
    for words in ("invoice 224", "INVOICE 224 HAS", "ValueError: invoice 224"):
        assert ids(client.get(LIST, {"q": words})) == [wanted.task_id], words
    page = client.get(LIST, {"q": "invoice 224"})
    assert "arguments or error with “invoice 224”" in page.content.decode() and not ids(
        client.get(LIST, {"q": "invoice 224", "state": "succeeded"})
    )


def test_what_is_not_shown_of_an_error_does_not_find_its_run(client: Client) -> None:
    guarded = under_test.tell_guarded.name
    make(1, state=State.FAILED, task_name=guarded, error_type="ValueError", error_message="for the few")
    shown = make(2, state=State.FAILED, error_type="ValueError", error_message="refused, password=hunter22 of the few")
    assert not ids(client.get(LIST, {"q": "hunter22"}))
    assert ids(client.get(LIST, {"q": "the few"})) == [shown.task_id]


def test_only_the_newest_failures_are_searched(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_errors, "WINDOW", 2)
    for number in range(1, 5):
        at = timezone.now() - timedelta(hours=number)
        make(number, state=State.FAILED, error_message=f"broken {number}", accepted_at=at)
    assert len(ids(client.get(LIST, {"q": "broken"}))) == 2


def test_the_box_tells_ids_from_arguments() -> None:
    for text, prefix, words in (
        ("7b20", "7b20", ""),
        ("7B20C1E4-0000-4000", "7b20c1e4-0000-4000", ""),
        ("id:nightly", "nightly", ""),
        ("ID: nightly", "nightly", ""),
        ("2026-09", "", "2026-09"),
        ("face", "", "face"),
        ("12345678", "", "12345678"),
        ('"7b20"', "", "7b20"),
        ("customer=ACME", "", "customer=ACME"),
        ("a1b2 c3", "", "a1b2 c3"),
    ):
        asked = Asked.of({"q": text})
        assert (asked.id_prefix, asked.words, asked.problems) == (prefix, words, {}), text


def test_a_whole_id_of_any_shape_is_found_without_a_word_before_it(client: Client) -> None:
    make(1, task_id="nightly-report")
    make(2)
    assert ids(client.get(f"{LIST}?q=nightly-report")) == ["nightly-report"]
    assert "Look for ids that begin with “nightly”" in client.get(f"{LIST}?q=nightly").content.decode()


@pytest.mark.parametrize(
    ("since", "expected"), [("1h", 1), ("today", 1), ("24h", 2), ("7d", 3), ("30d", 4), ("2026-08-01 12:00", 5)]
)
def test_times_are_asked_for_by_length_or_by_the_clock(
    client: Client, since: str, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime(2026, 9, 30, 14, 0, tzinfo=UTC)
    monkeypatch.setattr(timezone, "now", lambda: now)
    for number, hours in enumerate((0.5, 20, 100, 600, 1000)):
        make(number, accepted_at=now - timedelta(hours=hours))
    assert len(ids(client.get(LIST, {"since": since}))) == expected
    assert len(ids(client.get(LIST, {"from": "2026-09-29T18:00", "since": "30d", "until": "2026-09-30 13:30"}))) == 1


@pytest.mark.parametrize(
    ("query", "field", "words"),
    [
        ("since=yesterday", "oc-f-from-problem", "“yesterday” is not a date and clock time"),
        ("from=2026-02-30", "oc-f-from-problem", "“2026-02-30” is not a date and clock time"),
        ("until=0001-01-01", "oc-f-until-problem", "“0001-01-01” is not a date and clock time"),
        ("until=7d", "oc-f-until-problem", "Give a date and a clock time."),
        ("since=2026-09-02&until=2026-09-01", "oc-f-until-problem", "The end is not after the beginning."),
        ("source=aliens", "oc-f-source-problem", "“aliens” starts no runs here."),
        ("schedule=one", "oc-f-schedule-problem", "A schedule is asked for by its number."),
    ],
)
def test_a_wrong_filter_is_told_beside_its_field(client: Client, query: str, field: str, words: str) -> None:
    make(1)
    response = client.get(f"{LIST}?{query}")
    text = response.content.decode()
    assert f'id="{field}"' in text and words in text and not ids(response)
    assert '<details class="oc-filters" open>' in text


HOSTILE = (
    "\x00\x00\x00",
    "%%%",
    "___",
    "'; DROP TABLE jobs_run; --",
    '"""',
    "\\\\\\",
    "<script>",
    "💥💥💥",
    "x" * 5000,
    "id:%_%_",
    "()[]{}",
    "{0}%s%(a)s",
)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_odd_input_finds_nothing_and_breaks_nothing(client: Client, text: str) -> None:
    make(1)
    for name in (*NAMES, "before", "after", "last", "from"):
        response = client.get(LIST, {name: text})
        assert response.status_code == 200 and (not ids(response) or name == "last" or not text.strip("\x00"))
        assert "<script>" not in response.content.decode().replace('<script>"use', "")
        assert client.get(f"{LIST}new/", {name: text}).status_code in {200, 204}


def test_what_a_person_types_is_matched_as_it_is(client: Client) -> None:
    make(1, summary="rate=100%_done")
    make(2, summary="rate=100 done")
    assert len(ids(client.get(LIST, {"q": "100%_"}))) == 1
