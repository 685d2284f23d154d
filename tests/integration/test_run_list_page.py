"""The runs list: filters, pages, search, and what it costs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from admin_ext.run_list import COUNT_CAP, Asked, run_list_page
from jobs.ledger.lists import RunQuery, run_counts
from jobs.models import Run
from jobs.states import Source, State
from tests import jobs_under_test as under_test

LIST = "/admin/jobs/run/"


@pytest.fixture
def client(client: Client, viewer: User) -> Client:
    client.force_login(viewer)
    return client


def make(number: int, state: State = State.SUCCEEDED, **values: Any) -> Run:
    now = timezone.now()
    defaults: dict[str, Any] = {
        "task_id": f"{number:08x}-run",
        "task_name": under_test.add.name,
        "arguments": f'[[], {{"a": {number}}}]',
        "summary": f"a={number}",
        "state": state,
        "source": Source.CONSOLE,
        "actor_label": "Ana Petrova",
        "accepted_at": now - timedelta(seconds=60),
        "started_at": now - timedelta(seconds=59),
        "runtime": 4.0,
        "worker": "default@web-1",
    }
    return Run.objects.create(**{**defaults, **values})


def ids(response: Any) -> list[str]:
    return [row.run.task_id for row in response.context["page"].rows]


def test_a_row_says_what_who_when_and_how_long(client: Client) -> None:
    make(1)
    text = client.get(LIST).content.decode()
    for words in ("Succeeded", "Add", "a=1", "Ana Petrova", "1.0 s", "4.0 s", "default@web-1"):
        assert words in text
    assert f"{LIST}00000001-run/change/" in text


def test_trouble_shows_its_error_and_a_rail(client: Client) -> None:
    make(1, State.FAILED, error_type="TimeoutError", error_message="read timed out")
    make(2, State.LOST)
    text = client.get(LIST).content.decode()
    assert "TimeoutError: read timed out" in text and "its worker vanished, it may have partly run" in text
    assert "oc-row--bad" in text and "oc-row--warn" in text


def test_pages_go_both_ways_without_gaps(client: Client) -> None:
    made = [make(number).task_id for number in range(120)][::-1]
    first = client.get(LIST)
    assert ids(first) == made[:50] and not first.context["page"].newer
    second = client.get(LIST + first.context["page"].older)
    assert ids(second) == made[50:100]
    third = client.get(LIST + second.context["page"].older)
    assert ids(third) == made[100:] and not third.context["page"].older
    back = client.get(LIST + third.context["page"].newer)
    assert ids(back) == made[50:100]
    top = client.get(LIST + back.context["page"].newer)
    assert ids(top) == made[:50] and not top.context["page"].newer


def test_a_page_of_newer_runs_that_turns_out_empty_is_the_newest(client: Client) -> None:
    run = make(1)
    assert ids(client.get(f"{LIST}?after={run.pk}")) == [run.task_id]


def test_filters_narrow_and_combine(client: Client, viewer: User) -> None:
    failed = make(1, State.FAILED, actor_id=viewer.pk)
    make(2, State.FAILED)
    make(3, task_name=under_test.fail.name, actor_id=viewer.pk)
    assert ids(client.get(f"{LIST}?state=failed&by=me")) == [failed.task_id]
    assert len(ids(client.get(f"{LIST}?job={under_test.fail.name}"))) == 1
    assert len(ids(client.get(f"{LIST}?by=me"))) == 2


def test_a_run_is_found_by_its_id_or_the_beginning_of_it(client: Client) -> None:
    run = make(0xABCD1234)
    make(0xABCE0000)
    assert ids(client.get(f"{LIST}?q={run.task_id}")) == [run.task_id]
    assert ids(client.get(f"{LIST}?q=abcd")) == [run.task_id]
    assert len(ids(client.get(f"{LIST}?q=00ab"))) == 0


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("q=abc", "Type at least 4 characters"),
        ("state=broken", "No state is called “broken”."),
        ("by=ana", "by=ana is not known"),
        ("before=-1", "a position in the list that does not exist"),
        ("after=1e9", "a position in the list that does not exist"),
        ("q=ffff", "No run matches id ffff…"),
        ("state=lost&by=me", "Drop state Lost"),
    ],
)
def test_what_cannot_be_shown_says_why_and_the_way_on(client: Client, query: str, words: str) -> None:
    make(1)
    response = client.get(f"{LIST}?{query}")
    assert response.status_code == 200 and words in response.content.decode() and not ids(response)


def test_an_empty_ledger_says_so(client: Client) -> None:
    assert "Nothing has run yet" in client.get(LIST).content.decode()


def test_the_list_costs_a_fixed_number_of_queries(client: Client) -> None:
    first = make(1000, State.LOST)
    for number in range(200):
        make(number, source=Source.RETRY, retry_of=first)
    counts = []
    for address in (LIST, f"{LIST}?job={under_test.add.name}", f"{LIST}?state=lost"):
        with CaptureQueriesContext(connection) as queries:
            assert client.get(address).status_code == 200
        counts.append(len(queries))
        assert not any("OFFSET" in query["sql"] for query in queries)
    assert max(counts) <= 8, "session, user, two of permissions, clock, leases, rows, counts; nothing a row"
    assert len(set(counts)) == 1


def test_counting_stops_at_the_cap(db: None) -> None:
    for number in range(5):
        make(number, State.FAILED)
    counts = run_counts(RunQuery(), cap=3)
    assert counts.by_state[State.FAILED] == 4 and not counts.partial, "one more than the cap means more than that"
    narrowed = run_counts(RunQuery(task_name=under_test.add.name), cap=3)
    assert narrowed.by_state[State.FAILED] == 3 and narrowed.partial


def test_counts_ignore_the_state_that_is_asked_for(db: None) -> None:
    make(1, State.FAILED)
    make(2, State.RUNNING)
    counts = run_counts(RunQuery(state=State.LOST), cap=COUNT_CAP)
    assert counts.by_state[State.FAILED] == 1 and counts.running == 1


def test_long_arguments_are_not_decoded_for_a_list(db: None) -> None:
    make(1, arguments='[[], {"a": "' + "x" * 9000 + '"}]')
    assert run_list_page({}, None).rows[0].line == "long arguments, shown on the run's page"


def test_every_state_can_be_asked_for() -> None:
    assert all(not Asked.of({"state": state.value}).problem for state in State)
