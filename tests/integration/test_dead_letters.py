"""Facts that could not be read, on a real Redis: the backlog is told, and the page shows whatever they hold."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from jobs.fleet import breaker, broker, stream
from jobs.fleet.broker import DEAD_KEPT, DEAD_KEY, FACTS_GROUP, FACTS_KEY
from jobs.ledger import leases
from jobs.models import AuditEvent, Run
from jobs.states import State
from tests import jobs_under_test as under_test
from tests.integration.facts_aside import DISCARD, NEWER, PAGE, READ, ended, round_trips, set_aside, text_of
from tests.integration.own_redis import hung


@pytest.fixture
def redis(text_redis: Any) -> Any:
    return text_redis


@pytest.fixture
def client(client: Client, operator: User) -> Client:
    client.force_login(operator)
    return client


# --- The stream ---


def test_the_stream_is_read_in_one_round_trip(redis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = stream.read_stream()
    assert (empty.length, empty.pending, empty.lag, empty.dead, empty.memory_limit) == (0, 0, 0.0, 0, None)
    seconds = redis.time()[0]
    for number in range(5):
        redis.xadd(FACTS_KEY, {"f": "x" * 1000}, id=f"{(seconds - 90) * 1000}-{number + 1}")
    redis.xgroup_create(FACTS_KEY, FACTS_GROUP, id="0")
    redis.xreadgroup(FACTS_GROUP, "leader", {FACTS_KEY: ">"}, count=2)
    set_aside(redis, {"f": "{"})
    redis.config_set("maxmemory", 100_000_000)
    broker.page_client().ping()
    trips = round_trips(monkeypatch)
    seen = stream.read_stream()
    assert len(trips) == 1
    assert (seen.length, seen.pending, seen.undelivered, seen.dead) == (5, 2, 3, 1)
    assert seen.lag is not None and 89 < seen.lag < 95
    assert seen.memory_share is not None and 0 < seen.memory_share < 0.5


def test_what_redis_does_not_tell_is_unknown_and_never_zero(redis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    redis.set(FACTS_KEY, "no stream")
    seen = stream.read_stream()
    assert (seen.length, seen.pending, seen.undelivered, seen.lag, seen.dead) == (None, None, None, None, 0)
    redis.acl_setuser("default", enabled=True, commands=["-info", "-eval"])
    redis.delete(FACTS_KEY)
    seen = stream.read_stream()
    redis.acl_setuser("default", enabled=True, commands=["+info", "+eval"])
    assert (seen.length, seen.lag, seen.memory_used, seen.memory_share) == (0, None, None, None)
    monkeypatch.setattr(breaker._breaker, "closed_until", time.monotonic() + 60)
    assert stream.read_stream() == stream.Stream()


@pytest.mark.parametrize(
    ("seen", "says"),
    [
        (stream.Stream(length=0, lag=0.0), "up to date, 0 facts waiting, read now"),
        (stream.Stream(length=12_300, lag=40.0), "12,300 facts waiting, 40 s behind, read now"),
        (stream.Stream(), "what waits for it is not known"),
    ],
)
def test_the_overview_tells_the_backlog(
    client: Client, redis: Any, seen: stream.Stream, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("admin_ext.frame.machinery.read_stream", lambda: seen)
    text = client.get("/admin/").content.decode()
    assert says in text
    assert "could not be read" not in text


MB = 1_000_000


@pytest.mark.parametrize(
    ("seen", "says", "remedy"),
    [
        (stream.Stream(length=4, lag=61.0), "The recorder is 1 min 1 s behind: 4 facts wait.", "the recorder's log"),
        (stream.Stream(length=500_001, lag=3.0), "500,001 facts wait.", "the recorder&#x27;s log"),
        (
            stream.Stream(length=0, lag=0.0, memory_used=81 * MB, memory_limit=100 * MB),
            "Redis has used 81% of the memory that it may use.",
            "Raise its maxmemory",
        ),
        (stream.Stream(length=500_000, lag=60.0, memory_used=80 * MB, memory_limit=100 * MB), "", ""),
    ],
)
def test_a_stream_that_grows_towards_danger_is_a_banner_on_every_page(
    client: Client, redis: Any, seen: stream.Stream, says: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    leases.hold("recorder", "test")
    monkeypatch.setattr("admin_ext.frame.machinery.read_stream", lambda: seen)
    for page in ("/admin/", "/admin/jobs/run/", PAGE):
        text = client.get(page).content.decode()
        assert ("oc-banner" in text) == bool(says), page
        assert says in text and remedy.replace("'", "&#x27;") in text, page


# --- The page ---


def test_an_empty_page_says_that_everything_could_be_read(client: Client, redis: Any) -> None:
    assert "No fact is set aside" in text_of(client)
    assert "No fact of this kind is set aside" in text_of(client, "?kind=newer")


def test_the_page_shows_run_task_reason_and_text_without_secrets(client: Client, redis: Any) -> None:
    Run.objects.create(task_id="known-1", task_name=under_test.add.name, state=State.QUEUED)
    arguments = json.dumps([[1], {"password": "hunter2", "deep": [{"api_key": "hunter3"}]}])
    more = {"meta": {"kwargs": "{'x': 'hunter4'}"}, "error_message": "token=hunter5 was wrong"}
    set_aside(redis, ended("known-1", arguments=arguments, result='{"secret": "hunter6"}', **more), NEWER)
    set_aside(redis, ended("unknown-2"))
    set_aside(
        redis,
        {"f": '{"task_id": "cut-3", "task": "x.y", "kwargs": "{\\"password\\": \\"hunter7\\"}", "secret": "hunter8'},
    )
    text = text_of(client)
    assert "hunter" not in text and text.count("•••") >= 7
    assert 'href="/admin/jobs/run/known-1/change/"' in text and "unknown-2" in text and "cut-3" in text
    assert 'href="/admin/jobs/run/unknown-2/change/"' not in text
    assert NEWER in text and under_test.add.name in text and "<b>3 facts</b>" in text
    newer, damaged = text_of(client, "?kind=newer"), text_of(client, "?kind=damaged")
    assert "known-1" in newer and "unknown-2" not in newer
    assert "known-1" not in damaged and "unknown-2" in damaged


HOSTILE: dict[str, dict[Any, Any]] = {
    "html": {"f": '{"task_id": "<script>alert(1)</script>", "task": "<b>&", "kind": "ended"}'},
    "no json": {"f": "<img src=x onerror=alert(1)>"},
    "no fact": {"other": "<script>alert(1)</script>", "kind": "x"},
    "bytes": {b"f": b"\xff\xfe{\x00", b"\xff": b"\xff"},
    "lone surrogates": {"f": '{"task_id": "\\ud83d", "task": "\\udc00", "x": "\\ud83d \\u0000"}'},
    "deep": {"f": "[" * 100_000},
    "deep but whole": {"f": '{"a":' * 900 + "1" + "}" * 900},
    "huge number": {"f": '{"task_id": ' + "9" * 5000 + "}"},
    "other types": {
        "f": '{"task_id": {"a": 1}, "task": [], "arguments": 5, "meta": "x", "result": {}, "version": "x"}'
    },
    "many fields": {f"n{number}": "x" for number in range(300)},
    "long names": {"x" * 100_000: "y" * 100_000},
    "odd arguments": {"f": json.dumps({"task_id": "a", "task": under_test.add.name, "arguments": '{"a": 1}'})},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_an_entry_holds_the_page_answers_and_can_get_rid_of_it(client: Client, redis: Any, name: str) -> None:
    entry = set_aside(redis, HOSTILE[name], why="<script>why</script>")
    text = text_of(client)
    assert "<script>alert" not in text and "<img" not in text and "<script>why" not in text
    assert len(text) < 200_000
    assert client.get(f"{READ}?id={entry}").status_code == 200
    redis.xgroup_create(FACTS_KEY, FACTS_GROUP, id="0", mkstream=True)
    client.post(READ, {"id": entry})
    assert (redis.xlen(DEAD_KEY), redis.xlen(FACTS_KEY)) == (0, 1)
    page_client: Any = broker.page_client()
    raw = page_client.execute_command("XRANGE", FACTS_KEY, "-", "+", NEVER_DECODE=True)
    sent = {_bytes(field): _bytes(value) for field, value in HOSTILE[name].items()}
    assert raw[0][1] == sent, "the same bytes, without what was added"
    again = set_aside(redis, HOSTILE[name])
    client.post(DISCARD, {"id": again})
    assert redis.xlen(DEAD_KEY) == 0


def _bytes(text: Any) -> bytes:
    return text if isinstance(text, bytes) else str(text).encode()


def test_large_entries_are_cut_by_redis_and_the_page_stays_small_and_fast(client: Client, redis: Any) -> None:
    for number in range(12):
        set_aside(redis, ended(f"big-{number}", result=json.dumps("y" * 5_000_000)))
    began = time.perf_counter()
    text = text_of(client)
    took = time.perf_counter() - began
    assert "big-11" in text and "5.0 MB" in text and len(text) < 400_000
    assert took < 2
    seen = set()
    query = ""
    while True:
        page = client.get(PAGE + query).context["page"]
        seen |= {line.told.task_id for line in page.lines}
        query = page.older
        if not query:
            break
    assert seen == {f"big-{number}" for number in range(12)}


def test_ten_thousand_are_paged_by_position(client: Client, redis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = redis.pipeline(transaction=False)
    for number in range(DEAD_KEPT):
        why = NEWER if number % 1000 == 0 else "broken"
        pipe.xadd(DEAD_KEY, {**ended(f"run-{number}"), "id": "1-1", "why": why}, id=f"{1_790_000_000_000 + number}-1")
    pipe.execute()
    client.get(PAGE)
    trips = round_trips(monkeypatch)
    with CaptureQueriesContext(connection) as queries:
        first = client.get(PAGE)
    # Session, user, permissions, leases, the runs, and two of the sidebar's badges.
    assert len(queries) <= 7, [query["sql"] for query in queries]
    of_this_page = len(trips)
    client.get("/admin/jobs/run/catalog/")
    assert of_this_page == len(trips) - of_this_page + 1, "one more than any page asks for the machinery"
    page = first.context["page"]
    assert [line.told.task_id for line in page.lines] == [f"run-{n}" for n in range(9999, 9949, -1)]
    assert page.total == "10,000 facts" and not page.newer
    second = client.get(PAGE + page.older).context["page"]
    assert [line.told.task_id for line in second.lines] == [f"run-{n}" for n in range(9949, 9899, -1)]
    back = client.get(PAGE + second.newer).context["page"]
    assert [line.letter.id for line in back.lines] == [line.letter.id for line in page.lines]
    assert not back.newer and back.older == page.older
    last = client.get(PAGE + "?before=1790000000050-1").context["page"]
    assert len(last.lines) == 50 and not last.older
    assert len(client.get(PAGE + "?kind=newer").context["page"].lines) == 10, "spread over all"
    assert "Read again 10 facts" in client.get(READ + "?kind=newer").content.decode()
    client.post(READ, {"kind": "newer", "until": page.lines[0].letter.id})
    assert (redis.xlen(DEAD_KEY), redis.xlen(FACTS_KEY)) == (9990, 10)
    client.post(DISCARD, {"kind": "", "until": page.lines[0].letter.id, "oc.confirm": "9,990"})
    assert redis.xlen(DEAD_KEY) == 0
    event = AuditEvent.objects.first()
    assert event is not None and event.object_label == "9,990 facts set aside"


@pytest.mark.parametrize(
    "query", ["?kind=x", "?before=x", "?after=1", "?before=%00-1", "?before=99999999999999999999-1"]
)
def test_an_address_that_makes_no_sense_is_told_so(client: Client, redis: Any, query: str) -> None:
    set_aside(redis, {"f": "{"})
    text_of(client, query)
    for page in (READ, DISCARD):
        assert client.get(page + query).status_code in (200, 302)
        assert client.post(page, {"id": "x"}).status_code == 302
        assert client.post(page, {"kind": ""}).status_code == 302
    assert redis.xlen(DEAD_KEY) == 1


def test_redis_away_the_page_says_so_within_a_second(client: Client, redis: Any, root: Path) -> None:
    set_aside(redis, {"f": "{"})
    with hung(redis, root):
        for path in (PAGE, READ):
            breaker._breaker.closed_until = 0.0
            began = time.perf_counter()
            response = client.get(path, follow=True)
            assert time.perf_counter() - began < 1.0
            assert response.status_code == 200 and "not known" in response.content.decode()
        breaker._breaker.closed_until = 0.0
        response = client.post(READ, {"kind": "", "until": "99999999999999-0", "reason": "why"}, follow=True)
        assert "Redis did not answer" in response.content.decode()
    event = AuditEvent.objects.exclude(verb="begin_settling").get()
    assert event.details == {"facts": 0, "up_to": "99999999999999-0", "perhaps_more": "Redis stopped answering"}
