"""The tabs of a run's page: links, counts, what each reads and how often it asks, neighbours, facts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_celery_results.models import TaskResult
from kombu.utils import json

from admin_ext.run.tabs import Tab
from jobs.ledger.durations import forget_durations
from jobs.ledger.last_runs import last_runs
from jobs.ledger.run_page import run_page
from jobs.models import Attempt, AuditEvent, Run, RunFile, RunLog, RunObject
from jobs.states import Source, State
from tests import jobs_under_test as under_test
from tests.integration.test_run_page import address, make

#: Session, user, two for the permissions of who is no superuser, and the leases are on every page. With what a tab
#: reads it is 8 at most, and 7 while it is known how long the job usually takes.
FRAME = 5
TRACE = """Traceback (most recent call last):
  File "/venv/lib/python3.11/site-packages/celery/app/trace.py", line 453, in trace_task
    R = retval = fun(*args, **kwargs)
  File "/srv/app/rates/client.py", line 88, in fetch_day
    answer = http.get(url, timeout=30)
KeyError: 'inner'

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/srv/app/rates/tasks.py", line 31, in fetch_rates
    raise RuntimeError("outer") from error
RuntimeError: outer
"""


@pytest.fixture
def client(client: Client, viewer: User) -> Client:
    client.force_login(viewer)
    return client


@pytest.fixture(autouse=True)
def _fresh_durations() -> Iterator[None]:
    forget_durations()
    yield
    forget_durations()


def read(client: Client, run: Run, query: str = "") -> str:
    response = client.get(address(run) + query)
    assert response.status_code == 200
    return response.content.decode()


def facts_of(text: str) -> dict[str, str]:
    card = text[text.index('id="oc-facts"') :]
    pairs = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", card, re.DOTALL)
    return {name: re.sub(r"<[^>]+>", "", value) for name, value in pairs}


def rich(state: State = State.FAILED, **values: Any) -> Run:
    """A run with something on each tab."""
    now = timezone.now()
    based_on = make(State.SUCCEEDED, task_id="based-on-0001")
    first = make(State.FAILED, task_id="retried-00001")
    times = {"started_at": now - timedelta(seconds=60), "finished_at": now, "runtime": 60.0, "published_at": now}
    run = make(
        state,
        attempt=3,
        based_on=based_on.task_id,
        retry_of=first,
        source=Source.RETRY,
        root_id="root-0001",
        parent_id="root-0001",
        **(times | values),
    )
    make(State.SUCCEEDED, task_id="root-0001")
    for number in range(30):
        make(State.SUCCEEDED, task_id=f"kid-{number}", root_id="root-0001", parent_id=run.task_id)
        make(State.SUCCEEDED, task_id=f"retry-{number}", retry_of=run)
        Attempt.objects.create(run=run, number=number + 1, outcome="failed", error_type="E", traceback=TRACE)
        RunFile.objects.create(run=run, name=f"{number}.csv", path=f"x{number}", content_type="text/csv", size=1)
        RunObject.objects.create(run=run, model="auth.user", key=str(number), label=f"User {number}")
        AuditEvent.objects.create(
            actor_label="Ana", via="admin", verb="start_run", object_type="run", object_id=run.task_id, object_label="x"
        )
    AuditEvent.objects.create(
        actor_label="Ana", via="admin", verb="retry_run", object_type="run", object_id=first.task_id, object_label="x",
        details={"retry": run.task_id},
    )  # fmt: skip
    RunLog.objects.create(run=run, lines=json.dumps([[0.0, "INFO", 1, "line"]] * 1000), written=48_210)
    TaskResult.objects.create(task_id=run.task_id, status="FAILURE", result="null", traceback=TRACE)
    return run


def alone() -> Run:
    return make(State.SUCCEEDED)


def running() -> Run:
    return rich(State.RUNNING, finished_at=None)


@pytest.mark.parametrize("of", [rich, alone, running])
@pytest.mark.parametrize("tab", list(Tab))
def test_each_tab_asks_at_most_eight_questions(client: Client, of: Any, tab: Tab) -> None:
    run = of()
    assert connection.features.supports_json_field, "asked once a process"
    with CaptureQueriesContext(
        connection,
    ) as queries:
        read(client, run, f"?tab={tab}")
    own = {Tab.OVERVIEW: 3, Tab.TECHNICAL: 1}.get(tab, 2)
    assert len(queries) <= FRAME + own, "\n".join(query["sql"][:160] for query in queries)


@pytest.mark.parametrize("tab", list(Tab))
def test_the_tabs_are_links_with_counts_and_the_current_one_is_marked(client: Client, tab: Tab) -> None:
    text = read(client, rich(), f"?tab={tab}")
    links = re.findall(r'<a class="oc-tab" href="([^"]+)"( aria-current="page")?>(\w+)(?: <span[^>]*>([^<]*))?', text)
    assert [word for _, _, word, _ in links] == [one.capitalize() for one in Tab]
    assert [word.lower() for _, current, word, _ in links if current] == [tab]
    counts = {word: count for _, _, word, count in links}
    assert counts == {
        "Overview": "",
        "Log": "48,210",
        "Attempts": "30",
        "Family": "62",  # 30 children, the root, the run that it retries, 30 retries
        "Audit": "31",
        "Technical": "",
    }
    for href, *_ in links:
        assert client.get(href).status_code == 200


def test_a_tab_that_nobody_knows_is_the_overview(client: Client) -> None:
    assert 'id="oc-facts"' in read(client, alone(), "?tab=%00&attempt=x&level=y&preview=-1")


def test_only_the_open_tab_is_read(client: Client) -> None:
    run = rich()
    with CaptureQueriesContext(connection) as queries:
        read(client, run, "?tab=technical")
    asked = " ".join(query["sql"] for query in queries)
    assert "django_celery_results" not in asked and "traceback" not in asked


def test_the_poll_keeps_the_tab_and_sends_no_frame(client: Client) -> None:
    run = make(State.RUNNING)
    for tab in Tab:
        text = read(client, run, f"?tab={tab}")
        polled = re.search(r'id="oc-run"[^>]* hx-get="([^"]+)"', text)
        assert polled
        part = client.get(polled[1].replace("&amp;", "&"), headers={"HX-Request": "true"}).content.decode()
        current = re.search(r'aria-current="page">(\w+)', part)
        assert current and current[1].lower() == tab and "<html" not in part
        swapped = set(re.findall(r'id="(oc-[\w-]+)"[^>]*hx-swap-oob="true"', part))
        assert swapped == {
            Tab.OVERVIEW: {"oc-run-main", "oc-run-aside", "oc-live"},
            Tab.LOG: {"oc-live"},
        }.get(tab, {"oc-run-main", "oc-live"}), "the log has a poll of its own"


def test_what_the_poll_replaces_is_on_the_page(client: Client) -> None:
    run = make(State.RUNNING)
    for tab in Tab:
        text = read(client, run, f"?tab={tab}")
        Run.objects.update(state=State.RUNNING)
        part = client.get(address(run, f"live/?tab={tab}&state=queued")).content.decode()
        for one in re.findall(r'id="(oc-[\w-]+)"[^>]*hx-swap-oob="true"', part):
            assert text.count(f'id="{one}"') == 1, f"{tab}: {one}"


def test_when_the_state_turns_the_log_comes_along(client: Client) -> None:
    run = make(State.RUNNING)
    for tab in (Tab.OVERVIEW, Tab.LOG):
        assert 'id="oc-log-card"' in client.get(address(run, f"live/?tab={tab}&state=queued")).content.decode()
        assert 'id="oc-log-card"' not in client.get(address(run, f"live/?tab={tab}&state=running")).content.decode()
    Run.objects.update(state=State.SUCCEEDED)
    RunLog.objects.create(run=run, lines='[[1.0, "INFO", 1, "the last line"]]', written=1)
    part = client.get(address(run, "live/?state=running")).content.decode()
    assert "the last line" in part and "oc-log-more" not in part, "the log stays where one reads it"
    assert "oc-log-card" not in read(client, run), "a page that is opened later has it under its tab"


def test_older_and_newer_runs_of_the_job_are_linked(client: Client) -> None:
    now = timezone.now()
    same = now - timedelta(minutes=3)
    for name, at in (("a-old", now - timedelta(minutes=9)), ("b-tie", same), ("c-tie", same), ("d-tie", same)):
        make(task_id=name, accepted_at=at)
    make(task_id="e-late-recorded", accepted_at=now - timedelta(minutes=5))
    make(task_id="another", task_name=under_test.fail.name, accepted_at=same)
    way = []
    here = run_page("a-old")
    assert here is not None and here.older == ""
    while here.newer:
        way.append(here.newer)
        back, here = here, run_page(here.newer)
        assert here is not None and here.older == back.run.task_id
    assert way == ["e-late-recorded", "b-tie", "c-tie", "d-tie"], "by when, not by row"
    text = read(client, Run.objects.get(task_id="c-tie"))
    assert f'href="{address(Run(task_id="b-tie"))}" rel="prev"' in text
    assert f'href="{address(Run(task_id="d-tie"))}" rel="next"' in text


@pytest.mark.parametrize("of", [rich, alone, running])
def test_no_part_of_the_page_reads_more_of_a_longer_history(client: Client, of: Any) -> None:
    run = of()
    with CaptureQueriesContext(connection) as queries:
        for tab in Tab:
            read(client, run, f"?tab={tab}")
        last_runs([under_test.add.name, under_test.fail.name])
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
        for query in queries:
            if '"jobs_run"' not in query["sql"]:
                continue
            explain = "EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN "
            cursor.execute(explain + query["sql"])
            plan = "\n".join(str(row) for row in cursor.fetchall())
            assert not re.search(r"Seq Scan on jobs_run\b|SCAN (?:jobs_run|[UVW]\d)\b", plan), plan


@pytest.mark.django_db
def test_the_last_run_of_a_task_is_the_one_asked_for_last() -> None:
    now = timezone.now()
    newest = make(
        task_id="newest", accepted_at=now, retry_of=make(task_id="first", accepted_at=now - timedelta(hours=2))
    )
    make(task_id="recorded-late", accepted_at=now - timedelta(hours=1))
    other = make(task_id="other", task_name=under_test.fail.name, accepted_at=now - timedelta(hours=3))
    with CaptureQueriesContext(connection) as queries:
        found = last_runs([under_test.add.name, under_test.fail.name, "never.ran"])
        assert found == {under_test.add.name: newest, under_test.fail.name: other}
        assert found[under_test.add.name].retry_of is not None
    assert len(queries) == 1
    assert last_runs([]) == {}


def test_the_facts_link_to_the_runs_of_queue_and_worker(client: Client) -> None:
    text = read(client, make(worker="default@web-1", queue="a&b"))
    assert 'href="/admin/jobs/run/?queue=a%26b"' in text
    assert 'href="/admin/jobs/run/?worker=default%40web-1"' in text


def test_how_long_it_usually_takes_and_when_it_ends(client: Client) -> None:
    now = timezone.now()
    for number in range(5):
        make(task_id=f"done-{number}", runtime=240.0, accepted_at=now - timedelta(hours=1), finished_at=now)
    run = make(State.RUNNING, task_id="now", started_at=now - timedelta(seconds=30), attempt=1)
    text = read(client, run)
    assert facts_of(text)["Usually"] == "4 min, 95 % within 4 min"
    assert "usually 4 min" in text and re.search(r"about\s*<time", text)
    Run.objects.filter(pk=run.pk).update(started_at=now - timedelta(seconds=900))
    assert "later than 95 % of its runs" in read(client, run)


def test_a_run_of_a_schedule_says_so_and_leads_to_it(client: Client, viewer: User) -> None:
    due = timezone.now() - timedelta(seconds=100)
    run = make(
        source=Source.SCHEDULE,
        actor_label="",
        reason="",
        schedule_id=7,
        schedule_name="Weekly",
        due_at=due,
        accepted_at=due + timedelta(seconds=2),
    )
    text = read(client, run)
    told = re.search(r'oc-head__sentence">(.*?)</p>', text, re.DOTALL)
    assert told and re.match(r"Started by the schedule <(a|b)\b[^>]*>Weekly</\1>", told[1]), told
    assert re.search(r"2\.0 s late", text)
    assert facts_of(text)["Schedule"] == "Weekly" and "Due" in facts_of(text)
    User.objects.filter(pk=viewer.pk).update(is_superuser=True)
    assert re.search(r"Started by the schedule <(a|b)\b[^>]*>Weekly</\1>", read(client, run))


def test_an_observed_run_tells_its_rules_and_limits(client: Client) -> None:
    soon = timezone.now() + timedelta(hours=1)
    run = make(guaranteed=False, source=Source.CODE, expires_at=soon, not_before=soon, group_id="6f1d2c3b-77aa")
    facts = facts_of(read(client, run))
    assert facts["Delivery"].startswith("observed run") and facts["Group"] == "6f1d2c3b"
    assert "unless it has started by then" in facts["Expires"] and "UTC" in facts["Not before"]


def test_the_technical_tab_has_what_celery_knows_and_no_secret(client: Client) -> None:
    arguments = [[1, "canary-1"], {"api_key": "canary-2", "pin": "canary-3", "when": {"password": "canary-4"}, "n": 7}]
    run = make(
        task_name=under_test.echo_types.name,
        arguments=json.dumps(arguments),
        origin="4711@web-2",
        parent_id="parent-1",
        root_id="root-1",
        group_id="group-1",
        nonce="nonce-1",
        priority=6,
        retries=2,
        release="2026.10.1",
    )
    Run.objects.filter(pk=run.pk).update(arguments=json.dumps([[], arguments[1]]))
    for tab in Tab:
        assert "canary" not in read(client, run, f"?tab={tab}"), tab
    text = read(client, run, "?tab=technical")
    for known in (run.task_id, run.task_name, "4711@web-2", "parent-1", "root-1", "group-1", "nonce-1", "2 by Celery"):
        assert known in text
    assert "&quot;n&quot;: 7" in text and f'data-oc-copy="{run.task_id}"' in text


def test_a_secret_given_by_position_is_hidden(client: Client) -> None:
    fields = [field.name for field in _parameters().fields]
    args = ["plain"] * len(fields)
    args[fields.index("pin")] = "canary-9"
    run = make(task_name=under_test.echo_types.name, arguments=json.dumps([args, {}]))
    for tab in Tab:
        assert "canary" not in read(client, run, f"?tab={tab}"), tab


def _parameters() -> Any:
    from jobs.catalog.registry import find_job  # noqa: PLC0415 - the catalogue is loaded by the first test that asks

    return find_job(under_test.echo_types.name).parameters


def test_half_a_surrogate_pair_does_not_break_the_page(client: Client) -> None:
    half = "\\ud800"
    run = make(arguments=f'[["{half}"], {{"k{half}": {{"a": "{half}"}}}}]')
    RunLog.objects.create(run=run, lines=f'[[1.0, "INFO", 1, "line {half}"]]', written=1)
    TaskResult.objects.create(task_id=run.task_id, status="SUCCESS", result=f'"{half} result"')
    texts = [read(client, run, f"?tab={tab}") for tab in Tab]
    assert "? result" in texts[0] and "line ?" in texts[1] and "k?" in texts[-1]
    assert b"line ?" in client.get(address(run, "log.txt")).content


def test_nobody_downloads_without_the_right_to_see(client: Client, viewer: User) -> None:
    run = make(State.FAILED)
    Attempt.objects.create(run=run, number=1, outcome="failed", traceback=TRACE)
    viewer.groups.clear()
    for part in ("change/", "live/", "log/", "log.txt", "traceback.txt"):
        assert client.get(address(run, part)).status_code == 403, part
        assert client.post(address(run, part)).status_code in {403, 405}, part
