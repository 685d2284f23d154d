"""What changed since it last worked, and two runs side by side."""

from __future__ import annotations

from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs.catalog.registry import find_job
from jobs.ledger import compare as compare_module
from jobs.ledger.compare import compare, find_run, last_success
from jobs.ledger.start import start_run
from jobs.models import Run
from jobs.states import Source, State
from tests import jobs_under_test as under_test
from tests.integration.test_run_page import address, make

pytestmark = pytest.mark.django_db
START = timezone.now() - timedelta(hours=1)


def ran(name: str, state: State = State.SUCCEEDED, *, minute: int = 0, took: float = 1.0, **values: Any) -> Run:
    at = START + timedelta(minutes=minute)
    began = at + timedelta(seconds=0.2)
    values = {"worker": "w1@a", "release": "1.0", "attempt": 1, **values}
    times = {"accepted_at": at, "started_at": began, "finished_at": began + timedelta(seconds=took), "runtime": took}
    return make(state, task_id=name, **times, **values)


def differing(then: Run, now: Run) -> dict[str, tuple[Any, Any]]:
    pairs = compare(then, now, find_job(now.task_name))
    return {pair.name: (pair.then, pair.now) for pair in pairs if pair.differs}


def test_only_what_differs_and_the_suspicious_first() -> None:
    then = ran("then", arguments='[[], {"a": 1, "b": 1}]')
    now = ran("now", State.FAILED, minute=1, took=30, release="1.1", worker="w2@a", arguments='[[], {"a": 2, "b": 1}]')
    assert list(differing(then, now)) == ["Release", "Took", "A", "Worker"]
    assert differing(then, now)["A"] == (1, 2)
    flagged = [pair.name for pair in compare(then, now, find_job(now.task_name)) if pair.suspicious]
    assert flagged == ["Release", "Took"]


def test_times_that_are_nearly_the_same_are_the_same() -> None:
    assert differing(ran("a", took=10.0), ran("b", took=12.0)) == {}
    assert differing(ran("c", took=0.1), ran("d", took=0.9)) == {}
    assert set(differing(ran("e", took=1.0), ran("f", took=3.0))) == {"Took"}


def test_what_code_gave_by_position_is_compared_with_what_a_form_named() -> None:
    then, now = ran("a", arguments="[[1, 2], {}]", source=Source.CODE), ran("b", arguments='[[], {"a": 1, "b": 3}]')
    assert {"A", "B"} & set(differing(then, now)) == {"B"}


def test_a_value_of_another_type_differs() -> None:
    assert "A" in differing(ran("a", arguments='[[], {"a": 1}]'), ran("b", arguments='[[], {"a": true}]'))


def test_arguments_that_were_not_kept_whole_are_not_compared() -> None:
    assert differing(ran("a"), ran("b", arguments="[[], {}]", arguments_exact=False)) == {}


def test_the_last_success_before_it_is_found() -> None:
    for minute, state in enumerate([State.SUCCEEDED, State.SUCCEEDED, State.FAILED, State.FAILED, State.SUCCEEDED]):
        ran(f"r{minute}", state, minute=minute)
    ran("other", minute=2, task_name=under_test.fail.name)
    found = last_success(Run.objects.get(task_id="r3"))
    assert found is not None and found.task_id == "r1"
    assert last_success(Run.objects.get(task_id="r0")) is None


def test_it_is_looked_for_in_a_bounded_part_of_the_history(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare_module, "LOOKED_THROUGH", 3)
    for minute in range(5):
        ran(f"r{minute}", State.SUCCEEDED if minute == 0 else State.FAILED, minute=minute)
    assert last_success(Run.objects.get(task_id="r3")) is not None
    assert last_success(Run.objects.get(task_id="r4")) is None


def test_a_run_is_found_by_the_beginning_of_its_id() -> None:
    ran("abcdef12-1")
    assert [run.task_id for run in find_run(" abcdef ")] == ["abcdef12-1"]
    ran("abcdef12-2")
    assert len(find_run("abcdef12")) == 2 and len(find_run("abcdef12-2")) == 1
    assert find_run("abcde") == find_run("") == find_run("%_%_%_%_") == ()


@pytest.fixture
def client(viewer: User) -> Client:
    client = Client()
    client.force_login(viewer)
    return client


def page(client: Client, where: str) -> str:
    response = client.get(where)
    assert response.status_code == 200
    return unescape(response.content.decode())


def test_a_failed_runs_page_tells_and_a_succeeded_ones_does_not(client: Client) -> None:
    then, now = ran("then1111"), ran("now11111", State.FAILED, minute=1, release="1.1")
    text = page(client, address(now))
    assert "What changed since it last worked" in text and "<del>1.0</del>" in text and "<ins>1.1</ins>" in text
    assert "The same: parameters, queue, worker, started by, waited, took." in text
    assert f"{address(now, 'compare/')}?with={then.task_id}" in text
    assert "What changed" not in page(client, address(then))


def test_without_a_success_it_says_so(client: Client) -> None:
    assert "no run of this job before it succeeded, as far as the last 300 tell" in page(
        client, address(ran("x", State.FAILED))
    )


def test_any_two_runs_side_by_side(client: Client) -> None:
    now = ran("now11111", State.FAILED, minute=1, release="1.1")
    other = ran("other111", minute=2, task_name=under_test.fail.name, arguments='[[], {"message": "m"}]')
    asks = page(client, address(now, "compare/"))
    assert "Choose one of its last runs" in asks and "No other run of this job is kept" in asks
    text = page(client, address(now, "compare/?with=other1"))
    assert "Two runs side by side" in text and "Fail" in text and "Message" in text
    assert f"{address(other, 'compare/')}?with={now.task_id}" in text
    assert "No run has the id nobody1" in page(client, address(now, "compare/?with=nobody1"))
    assert "Type at least 6 characters" in page(client, address(now, "compare/?with=no"))
    ran("third111", minute=3)
    assert f"?with={'third111'}" in page(client, address(now, "compare/"))


def test_a_secret_is_shown_in_no_comparison(operator: User, olga: Any) -> None:
    job = find_job(under_test.echo_types.name)
    runs = [start_run(job, {"pin": f"canary-{n}", "whole": n}, actor=olga).run for n in range(2)]
    client = Client()
    client.force_login(operator)
    text = page(client, address(runs[0], f"compare/?with={runs[1].task_id}"))
    assert "canary" not in text and "secret:" not in text and "Whole" in text


def test_hostile_content_is_text_and_fast(client: Client) -> None:
    evil = "<script>alert(1)</script>\u202e\ud800"
    arguments = '[["<script>alert(1)</script>\\ud800", "' + "x" * 200_000 + '"], {"<b>k</b>": {"deep": "<script>"}}]'
    then = ran("then1111", arguments=arguments, worker=evil[:-1], task_name="gone.task")
    now = ran("now11111", State.FAILED, minute=1, release=evil[:-1], task_name="gone.task")
    for where in (address(now), address(now, f"compare/?with={then.task_id}"), address(now, "compare/?with=<script>")):
        assert "<script>alert(1)" not in client.get(where).content.decode()


def test_the_pages_ask_a_bounded_number_of_times(client: Client) -> None:
    now = ran("now11111", State.FAILED, minute=59)
    for minute in range(30):
        ran(f"run{minute:05}", minute=minute)
    for where, most in ((address(now, "compare/?with=run00001"), 12), (address(now, "compare/"), 12)):
        page(client, where)
        with CaptureQueriesContext(connection) as asked:
            page(client, where)
        assert len(asked) <= most


def test_a_dry_run_is_no_last_success() -> None:
    now = timezone.now()
    job = under_test.purge.name
    for number, dry in enumerate(["false", "true"]):
        Run.objects.create(
            task_id=f"d{number}", task_name=job, state=State.SUCCEEDED, accepted_at=now - timedelta(hours=3 - number),
            arguments=f'[[], {{"prefix": "x", "dry_run": {dry}}}]',
        )  # fmt: skip
    failed = Run.objects.create(task_id="d9", task_name=job, state=State.FAILED, accepted_at=now)
    found = last_success(failed)
    assert found is not None and found.task_id == "d0"
