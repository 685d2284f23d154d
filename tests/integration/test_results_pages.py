"""Stored results and groups: looked at, never changed, in bounded time, without secrets."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django_celery_results.models import GroupResult, TaskResult

from admin_ext.results import page as result_page
from jobs.ledger import slices
from jobs.models import Run
from tests import jobs_under_test as under_test
from tests.integration.plans import cost, statements

RESULTS = "/admin/django_celery_results/taskresult/"
GROUPS = "/admin/django_celery_results/groupresult/"


@pytest.fixture
def client(client: Client, operator: User) -> Client:
    """Olga, who may also see stored results."""
    operator.user_permissions.add(Permission.objects.get(codename="view_taskresult"))
    client.force_login(operator)
    return client


def keep(task_id: str, value: Any = None, **columns: Any) -> TaskResult:
    columns = {"task_name": under_test.add.name, "status": "SUCCESS", "worker": "default@a"} | columns
    text = columns.pop("result", json.dumps(value))
    return TaskResult.objects.create(
        task_id=task_id, result=text, content_type="application/json", content_encoding="utf-8", **columns
    )


def page_of(client: Client, result: TaskResult) -> str:
    return client.get(f"{RESULTS}{result.pk}/change/").content.decode()


def test_the_list_is_newest_first_and_links_to_the_runs(client: Client) -> None:
    Run.objects.create(task_id="aaaa-1", task_name=under_test.add.name)
    keep("aaaa-1")
    keep("bbbb-2", status="FAILURE", task_name="shop.gone")
    keep("cccc-3", status="INVENTED", task_name=None, worker=None)
    text = client.get(RESULTS).content.decode()
    assert text.index("cccc-3") < text.index("bbbb-2") < text.index("aaaa-1")
    assert 'href="/admin/jobs/run/aaaa-1/change/"' in text and "/admin/jobs/run/bbbb-2" not in text
    assert "Failure" in text and "INVENTED" in text and "shop.gone" in text and "not named" in text


def test_filters_narrow_and_are_dropped_one_by_one(client: Client) -> None:
    keep("aaaa-1")
    keep("bbbb-2", status="FAILURE")
    keep("cccc-3", status="FAILURE", task_name=under_test.fail.name)
    for parameters, seen in (
        ("status=FAILURE", {"bbbb-2", "cccc-3"}),
        (f"status=FAILURE&job={under_test.fail.name}", {"cccc-3"}),
        (f"job={under_test.add.name}", {"aaaa-1", "bbbb-2"}),
        ("q=bbbb", {"bbbb-2"}),
        ("q=bbbb-2", {"bbbb-2"}),
        ("q=bbbb&status=SUCCESS", set()),
    ):
        page = client.get(f"{RESULTS}?{parameters}").context["page"]
        assert {row.task_id for row in page.rows} == seen, parameters
    text = client.get(f"{RESULTS}?q=bbbb&status=SUCCESS").content.decode()
    assert "No stored result matches id bbbb…, status Success" in text
    assert 'href="?status=SUCCESS">Drop id bbbb…<' in text and 'href="?q=bbbb">Drop status Success<' in text


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ("status=FINE", "No stored status is called “FINE”."),
        ("q=abc", "Type at least 4 characters"),
        ("after=-1", "a position in the list that does not exist"),
    ],
)
def test_a_senseless_address_says_so(client: Client, parameters: str, problem: str) -> None:
    keep("aaaa-1")
    text = client.get(f"{RESULTS}?{parameters}").content.decode()
    assert problem in text and "aaaa-1" not in text


def test_odd_characters_are_no_error(client: Client) -> None:
    for odd in (
        "%00%00%00%00",
        "%25%25%25%25",
        "____",
        "%27%22%5C%5C",
        "%F4%8F%BF%BF" * 4,
        "%ED%9F%BF" * 4,
    ):
        for name in ("q", "job", "status"):
            assert client.get(f"{RESULTS}?{name}={odd}").status_code == 200, (name, odd)


def test_the_list_pages_both_ways(client: Client) -> None:
    for number in range(120):
        keep(f"task-{number:03d}")
    first = client.get(RESULTS).context["page"]
    second = client.get(RESULTS + first.older).context["page"]
    third = client.get(RESULTS + second.older).context["page"]
    ids = [row.task_id for page in (first, second, third) for row in page.rows]
    assert ids == [f"task-{number:03d}" for number in reversed(range(120))]
    assert not third.older and not first.newer
    assert client.get(RESULTS + third.newer).context["page"].rows == second.rows


def test_a_filter_looks_at_a_window_and_says_so(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "WINDOW", 10)
    keep("rare-1", status="FAILURE")
    for number in range(25):
        keep(f"task-{number}")
    page = client.get(f"{RESULTS}?status=FAILURE").context["page"]
    turns = 0
    while not page.rows:
        assert "Looked at 10 results" in page.further
        page = client.get(RESULTS + page.older).context["page"]
        turns += 1
    assert [row.task_id for row in page.rows] == ["rare-1"] and turns == 2


def test_the_list_reads_no_heavy_column_and_asks_as_often_whatever_it_shows(client: Client) -> None:
    client.get(RESULTS)
    counts = []
    for wanted in (1, 40):
        for number in range(TaskResult.objects.count(), wanted):
            keep(f"task-{number}", "x" * 1000)
        with CaptureQueriesContext(connection) as queries:
            client.get(RESULTS)
        counts.append(len(queries))
        asked = [query["sql"] for query in queries.captured_queries]
        (sql,) = [sql for sql in asked if '"django_celery_results_taskresult"' in sql]
        assert "traceback" not in sql and '"result"' not in sql and "COUNT(" not in sql and "DISTINCT" not in sql
        assert "OFFSET" not in sql
        assert len([sql for sql in asked if '"jobs_run"' in sql]) == 2, "the links and the sidebar's badge"
    assert counts[0] == counts[1] <= 8


def test_no_filter_reads_more_as_the_results_grow(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "WINDOW", 500)
    TaskResult.objects.bulk_create(
        TaskResult(
            task_id=f"{number:08x}-x",
            task_name="rare" if number < 50 else "common",
            status="FAILURE" if number < 50 else "SUCCESS",
            result="null",
            content_type="application/json",
            content_encoding="utf-8",
        )
        for number in range(20_000)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE django_celery_results_taskresult")
    middle = TaskResult.objects.order_by("pk").values_list("pk", flat=True)[10_000]
    for parameters in ("", "status=FAILURE", "status=SUCCESS", "job=rare", "status=FAILURE&job=rare", "q=0000123"):
        for position in ("", f"&before={middle}", f"&after={middle}"):
            with statements() as found:
                assert client.get(f"{RESULTS}?{parameters}{position}").status_code == 200
            for sql, values in found:
                assert cost(sql, values).work <= 1500, f"{parameters}{position}: {sql}"


def test_a_result_is_shown_whole_without_secrets(client: Client) -> None:
    Run.objects.create(task_id="aaaa-1", task_name=under_test.add.name)
    value = {"rows": 42, "api_key": "sk-1", "html": "<script>alert(1)</script>"}
    result = keep("aaaa-1", value, task_args="[1, 2]", task_kwargs='{"password": "hunter2", "b": 3}')
    text = page_of(client, result)
    assert "&quot;rows&quot;: 42" in text and "•••" in text and "sk-1" not in text and "hunter2" not in text
    assert "&lt;script&gt;alert(1)" in text and "<script>alert(1)" not in text
    assert 'href="/admin/jobs/run/aaaa-1/change/"' in text


def test_secrets_that_only_the_job_knows_are_hidden(client: Client) -> None:
    name = under_test.echo_types.name
    named = keep("aaaa-1", None, task_name=name, task_args="[]", task_kwargs='{"pin": "4711", "whole": 3}')
    text = page_of(client, named)
    assert "4711" not in text and "&quot;whole&quot;: 3" in text
    args = [None] * 20 + ["4711"]  # its last parameter
    positional = keep("aaaa-2", None, task_name=name, task_args=json.dumps(args), task_kwargs="{}")
    text = page_of(client, positional)
    assert "4711" not in text and "•••" in text


def test_a_failure_has_its_traceback(client: Client) -> None:
    error = {"exc_type": "ValueError", "exc_message": ["no"], "exc_module": "builtins"}
    text = page_of(client, keep("aaaa-1", error, status="FAILURE", traceback="Traceback…\nValueError: <no>"))
    assert "Error as it is kept" in text and "ValueError: &lt;no&gt;" in text
    assert "the ledger has no run with this id" in text


def test_what_is_long_or_odd_is_cut_or_not_shown(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(result_page, "SHOWN", 100)
    monkeypatch.setattr(result_page, "READ", 5_000)
    text = page_of(client, keep("aaaa-1", "a" * 4000))
    assert "The first 100 of 4,002 characters." in text and "a" * 101 not in text
    assert "too long to be shown" in page_of(client, keep("aaaa-2", "a" * 6000))
    text = page_of(client, keep("aaaa-3", result='{"password": "hunter2'))
    assert "hunter2" not in text and "It is no whole JSON" in text
    pickled = keep("aaaa-4", result="gASV")
    TaskResult.objects.filter(pk=pickled.pk).update(content_type="application/x-python-serialize")
    assert "which this page does not read" in page_of(client, pickled)
    assert "Nothing is kept." in page_of(client, keep("aaaa-5", result=None))
    text = page_of(client, keep("aaaa-6", task_args="\"('hunter2',)\""))
    assert "hunter2" not in text and "secrets cannot be told" in text


def test_groups_name_their_members(client: Client) -> None:
    Run.objects.create(task_id="aaaa-1", task_name=under_test.add.name)
    keep("aaaa-1")
    members = [[["aaaa-1", None], None], [["gone-2", None], None]]
    group = GroupResult.objects.create(
        group_id="group-1",
        result=json.dumps([["group-1", None], members]),
        content_type="application/json",
        content_encoding="utf-8",
    )
    odd = GroupResult.objects.create(group_id="group-2", result="{oops", content_type="x", content_encoding="y")
    text = client.get(GROUPS).content.decode()
    assert text.index("group-2") < text.index("group-1")
    text = client.get(f"{GROUPS}{group.pk}/change/").content.decode()
    assert 'href="/admin/jobs/run/aaaa-1/change/"' in text and "Success" in text
    assert "gone-2" in text and "no result is stored" in text and "2 runs" in text
    assert "names no member that can be read" in client.get(f"{GROUPS}{odd.pk}/change/").content.decode()


def test_empty_lists_say_why(client: Client) -> None:
    assert "No result is stored yet" in client.get(RESULTS).content.decode()
    assert "Nothing is older" in client.get(f"{RESULTS}?before=5").content.decode()
    assert "No group is stored" in client.get(GROUPS).content.decode()


def test_nobody_changes_anything_and_only_some_may_look(client: Client) -> None:
    result = keep("aaaa-1")
    group = GroupResult.objects.create(group_id="g", result="[]", content_type="x", content_encoding="y")
    root = User.objects.create_superuser("root")
    boss = Client()
    boss.force_login(root)
    for base, row in ((RESULTS, result), (GROUPS, group)):
        for rest in ("add/", f"{row.pk}/delete/", f"{row.pk}/history/"):
            assert boss.get(base + rest).status_code == 404, base + rest
        assert boss.post(f"{base}{row.pk}/change/", {"status": "X"}).status_code == 405
        boss.post(base, {"action": "delete_selected", "_selected_action": [row.pk]})
        assert boss.get(f"{base}{row.pk}/change/").status_code == 200
        assert boss.get(f"{base}999999/change/").status_code == 404
    assert TaskResult.objects.count() == GroupResult.objects.count() == 1
    other = Client()
    other.force_login(User.objects.create_user("nora", is_staff=True))
    for path in (RESULTS, f"{RESULTS}{result.pk}/change/", GROUPS, f"{GROUPS}{group.pk}/change/"):
        assert other.get(path).status_code == 403, path
        assert Client().get(path).status_code == 302, path
    assert "Stored results" not in other.get("/admin/").content.decode()
    assert "Stored results" in client.get("/admin/").content.decode()
