"""The runs list: filters, pages, search, and what it costs."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from admin_ext.parts.keyset import place_text
from admin_ext.runs.asked import NAMES, Asked
from admin_ext.runs.choices import forget_choices
from admin_ext.runs.listing import COUNT_CAP
from jobs.ledger import run_query
from jobs.ledger.durations import forget_durations
from jobs.ledger.run_counts import run_counts
from jobs.ledger.run_query import Place, RunQuery
from jobs.models import Run
from jobs.states import Source, State
from tests import jobs_under_test as under_test

LIST = "/admin/jobs/run/"


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    """What other tests have left in this process is of another database."""
    forget_choices()
    forget_durations()


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
    assert ids(client.get(f"{LIST}?after={place_text(Place(run.accepted_at, run.pk))}")) == [run.task_id]


def test_filters_narrow_and_combine(client: Client, viewer: User) -> None:
    failed = make(1, State.FAILED, actor_id=str(viewer.pk))
    make(2, State.FAILED)
    make(3, task_name=under_test.fail.name, actor_id=str(viewer.pk))
    assert ids(client.get(f"{LIST}?state=failed&by=me")) == [failed.task_id]
    assert len(ids(client.get(f"{LIST}?job={under_test.fail.name}"))) == 1
    assert len(ids(client.get(f"{LIST}?by=me"))) == 2


def test_a_run_is_found_by_its_id_or_the_beginning_of_it(client: Client) -> None:
    run = make(0xABCD1234)
    make(0xABCE0000)
    assert ids(client.get(f"{LIST}?q={run.task_id}")) == [run.task_id]
    assert ids(client.get(f"{LIST}?q=abcd1")) == [run.task_id]
    assert ids(client.get(f"{LIST}?q=id:ABCD")) == [] and ids(client.get(f"{LIST}?q=id:abcd")) == [run.task_id]
    assert len(ids(client.get(f"{LIST}?q=00ab"))) == 0


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("q=id:abc", "Type at least 4 characters"),
        ("q=ab", "Type at least 3 characters"),
        ("state=broken", "No state is called “broken”."),
        ("before=999999999999999999-1", "a position in the list that does not exist"),
        ("before=-1", "a position in the list that does not exist"),
        ("after=1e9", "a position in the list that does not exist"),
        ("q=id:ffff", "No run matches id ffff…"),
        ("before=12-1&after=12-1", "a position in the list that does not exist"),
        ("state=lost&by=me", "Drop state Lost"),
    ],
)
def test_what_cannot_be_shown_says_why_and_the_way_on(client: Client, query: str, words: str) -> None:
    make(1)
    response = client.get(f"{LIST}?{query}")
    assert response.status_code == 200 and words in response.content.decode() and not ids(response)


def test_an_empty_ledger_says_so(client: Client) -> None:
    assert "Nothing has run yet" in client.get(LIST).content.decode()


ADDRESSES = (
    "",
    f"?job={under_test.add.name}",
    "?state=lost",
    f"?state=retrying&job={under_test.add.name}&worker=default@web-1&since=24h",
    "?q=id:0000",
    "?q=a%3D1",
    "?q=nowhere+to+be+found",
    "?source=retry&by=me",
    "?last=1",
)


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("address", ADDRESSES)
def test_the_list_costs_a_fixed_number_of_queries(client: Client, address: str, kept: bool) -> None:
    numbers = []
    for more in (0, 200):
        first = make(1000, State.LOST) if more else None
        for number in range(more):
            make(number, source=Source.RETRY, retry_of=first, worker=f"w{number % 5}")
        if kept:
            client.get(LIST + address)
        else:
            forget_choices()
            forget_durations()
        with CaptureQueriesContext(connection) as queries:
            assert client.get(LIST + address).status_code == 200
        asked = " ".join(query["sql"] for query in queries)
        assert "DISTINCT" not in asked
        distances = {int(offset) + 1 for offset in re.findall(r"OFFSET (\d+)", asked)}
        assert distances <= {run_query.WINDOW, run_query.SEARCHED}, "however long the history is"
        numbers.append(len(queries))
    most = (8 if not kept else 7) + ("q=a" in address or "q=nowhere" in address)
    assert max(numbers) <= most, (
        "session, user, permissions, leases, rows, figures, errors; once a minute what is usual, and people"
    )
    assert numbers[1] - numbers[0] <= 1, "what is usual is asked where there are rows; nothing a row"


def test_counting_stops_at_the_cap(db: None) -> None:
    for number in range(5):
        make(number, State.FAILED)
    counts = run_counts(RunQuery(), cap=3)
    assert counts.by_state[State.FAILED] == 4 and not counts.partial, "one more than the cap means more than that"


def test_counts_ignore_the_state_that_is_asked_for(db: None) -> None:
    make(1, State.FAILED)
    make(2, State.RUNNING)
    counts = run_counts(RunQuery(state=State.LOST), cap=COUNT_CAP)
    assert counts.by_state[State.FAILED] == 1 and counts.running == 1


def test_every_state_can_be_asked_for() -> None:
    assert all(not Asked.of({"state": state.value}).problems for state in State)


def shown(client: Client, address: str) -> Any:
    """The page's read model."""
    return client.get(LIST + address).context["page"]


def test_the_oldest_page_is_one_link_away(client: Client) -> None:
    made = [make(number).task_id for number in range(120)][::-1]
    first = client.get(LIST)
    oldest = client.get(LIST + first.context["page"].oldest)
    assert ids(oldest) == made[70:] and not oldest.context["page"].older
    assert ids(client.get(LIST + oldest.context["page"].newer)) == made[20:70]
    assert "120 match" in first.content.decode()


def test_filters_offer_what_there_is_and_never_ask_the_runs(client: Client, viewer: User) -> None:
    every = IntervalSchedule.objects.create(every=1, period="hours")
    schedule = PeriodicTask.objects.create(name="Exchange rates", task="x", interval=every)
    make(1, task_name="gone.task", worker="old@web", queue="former", schedule_id=schedule.pk)
    with CaptureQueriesContext(connection) as queries:
        response = client.get(f"{LIST}?job=gone.task&worker=old@web&queue=former&by=99&schedule=98")
    offered = {select.name: dict(select.options) for select in response.context["panel"].selects}
    assert offered["job"][under_test.add.name] == "Add" and offered["job"]["gone.task"] == "gone.task"
    assert "tests.jobs_under_test.plain" in offered["job"] or len(offered["job"]) > 3
    assert offered["queue"] == {"default": "default", "reports": "reports", "former": "former"}
    assert offered["worker"] == {"old@web": "old@web"}
    assert offered["by"] == {"me": "Me", str(viewer.pk): "vito", "99": "person 99"}
    assert offered["schedule"] == {str(schedule.pk): "Exchange rates", "98": "schedule 98"}
    assert not any("DISTINCT" in query["sql"] for query in queries)


def test_each_filter_can_be_dropped_alone(client: Client) -> None:
    page = shown(client, f"?q=acme&state=failed&job={under_test.add.name}&source=code&since=24h")
    assert [words for words, _ in page.drops] == [
        "arguments or error with “acme”",
        "state Failed",
        "job Add",
        "started by: Code",
        "last 24 h",
    ]
    for number, (_, href) in enumerate(page.drops):
        assert len(shown(client, href).drops) == 4 and page.drops[number] not in shown(client, href).drops


def test_a_run_is_shown_against_what_is_usual(client: Client) -> None:
    now = timezone.now()
    for number in range(40):
        make(number, runtime=60.0 + number / 10, accepted_at=now - timedelta(days=1))
    make(100, State.RUNNING, started_at=now - timedelta(seconds=30), runtime=None)
    make(101, State.RUNNING, started_at=now - timedelta(seconds=600), runtime=None)
    page = shown(client, "")
    bars = {row.run.task_id: row.bar for row in page.rows}
    late, calm = bars["00000065-run"], bars["00000064-run"]
    assert late.late and late.tone == "warn" and late.width == "100.0%" and late.usually == "usually 1 min 2 s"
    assert not calm.late and calm.tone == "live" and float(calm.width[:-1]) < float(calm.tick[:-1])
    text = client.get(LIST).content.decode()
    assert (
        'aria-label="usually 1 min 2 s, 95 % within 1 min 4 s"' in text and "style=" not in text.split("<svg")[1][:300]
    )


def test_a_job_that_always_takes_the_same_is_not_late_by_a_blink(client: Client) -> None:
    for number in range(40):
        make(number, runtime=0.1)
    make(50, runtime=0.4)
    assert not any(row.bar.late for row in shown(client, "").rows)


def test_a_scheduled_run_links_to_its_schedule_for_those_who_may_open_it(client: Client, db: None) -> None:
    make(1, source=Source.SCHEDULE, schedule_id=5, schedule_name="Exchange rates")
    nora = User.objects.create_user("nora", is_staff=True)
    nora.user_permissions.add(Permission.objects.get(codename="view_run"))
    page = reverse("admin:django_celery_beat_periodictask_change", args=[5])
    client.force_login(nora)
    text = client.get(LIST).content.decode()
    assert "Exchange rates" in text and page not in text
    nora.user_permissions.add(Permission.objects.get(codename="view_periodictask"))
    assert f'href="{page}"' in client.get(LIST).content.decode()


@pytest.mark.parametrize("position", ["before=0-0", "after=253370764799999999-1", "before=1-999999999999999999"])
def test_places_at_the_ends_of_time_are_places(client: Client, position: str) -> None:
    make(1)
    assert client.get(f"{LIST}?{position}").status_code == 200


def test_a_form_that_is_sent_empty_is_the_whole_list(client: Client) -> None:
    make(1)
    page = shown(client, "?" + "&".join(f"{name}=" for name in (*NAMES, "from")))
    assert len(page.rows) == 1 and page.drops == () and page.asked.link() == "?"


def test_new_runs_are_waited_for_on_the_newest_page_only(client: Client) -> None:
    for number in range(60):
        make(number)
    first = client.get(f"{LIST}?state=succeeded")
    assert 'hx-get="/admin/jobs/run/new/?state=succeeded&amp;after=' in first.content.decode()
    assert "/run/new/" not in client.get(LIST + first.context["page"].older).content.decode()


def test_the_list_stands_without_redis_and_its_export_names_its_cap(client: Client) -> None:
    make(1)
    text = client.get(LIST).content.decode()
    assert "at most 100,000" in text and f'action="{LIST}export/?"' in text
