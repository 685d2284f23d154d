"""Facts that could not be read, on a real Redis: shown whatever they hold, put back once, discarded on purpose."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from jobs.errors import NotPermitted
from jobs.fleet import breaker, broker, dead_letters, stream
from jobs.fleet.broker import DEAD_KEPT, DEAD_KEY, FACTS_GROUP, FACTS_KEY
from jobs.fleet.dead_letters import Which
from jobs.ledger import leases
from jobs.ledger.audit import Actor
from jobs.ledger.dead_letters import FactsGone, FactsStayed, discard_facts, reread_facts
from jobs.models import AuditEvent, Run
from jobs.pipeline.facts import Fact, Kind
from jobs.recorder.ingest import Ingest
from jobs.states import State
from tests import jobs_under_test as under_test
from tests.e2e.processes import Stack

PAGE = "/admin/jobs/run/set-aside/"
READ, DISCARD = PAGE + "read/", PAGE + "discard/"
NEWER = "a fact of version 2; this release reads up to 1"


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[Stack]:
    """A Redis of this module's own, at the address that the settings name."""
    stack = Stack(root, "")
    stack.up()
    yield stack
    stack.down()


@pytest.fixture
def redis(server: Stack, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Empty, and nobody remembers that it was away."""
    monkeypatch.setattr(breaker, "_breaker", breaker._Breaker())
    broker.forget_clients()
    client = server.client()
    client.config_set("maxmemory", 0)
    client.flushall()
    return client


@pytest.fixture
def client(client: Client, operator: User) -> Client:
    client.force_login(operator)
    return client


def ended(task_id: str, **more: Any) -> dict[str, str]:
    """What a worker appends for an observed run that succeeded."""
    values: dict[str, Any] = {"task": under_test.add.name, "state": "SUCCESS", "result": "3", "n": None}
    return Fact(Kind.ENDED, task_id, time.time(), **{**values, **more}).entry()


def set_aside(redis: Any, fields: dict[Any, Any], why: str = "unreadable fact: broken", at: str = "*") -> str:
    return str(redis.xadd(DEAD_KEY, {**fields, "id": "1-1", "why": why}, id=at))


def drain(redis: Any) -> None:
    ingest = Ingest(redis)
    while ingest.step(wait=0.01) or redis.xlen(FACTS_KEY):
        pass


def text_of(client: Client, query: str = "") -> str:
    response = client.get(PAGE + query)
    assert response.status_code == 200
    return str(response.content.decode())


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


def round_trips(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One entry for each time that a page's client takes its connection."""
    pool = broker.page_client().connection_pool
    trips: list[str] = []
    take = pool.get_connection

    def counted(*args: Any, **kwargs: Any) -> Any:
        trips.append("")
        return take(*args, **kwargs)

    monkeypatch.setattr(pool, "get_connection", counted)
    return trips


def test_what_redis_does_not_tell_is_unknown_and_never_zero(
    redis: Any, server: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis.set(FACTS_KEY, "no stream")
    seen = stream.read_stream()
    assert (seen.length, seen.pending, seen.undelivered, seen.lag, seen.dead) == (None, None, None, None, 0)
    redis.acl_setuser("default", commands=["-info", "-eval"])
    redis.delete(FACTS_KEY)
    seen = stream.read_stream()
    redis.acl_setuser("default", commands=["+info", "+eval"])
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
    # Session, user, two of permissions, leases, the runs, and two of the sidebar's badges.
    assert len(queries) <= 8, [query["sql"] for query in queries]
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
    client.post(DISCARD, {"kind": "", "until": page.lines[0].letter.id, "typed": "9,990"})
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


def test_redis_away_the_page_says_so_within_a_second(client: Client, server: Stack, redis: Any) -> None:
    set_aside(redis, {"f": "{"})
    server.redis.signal(signal.SIGSTOP)
    try:
        for path in (PAGE, READ):
            breaker._breaker.closed_until = 0.0
            began = time.perf_counter()
            response = client.get(path, follow=True)
            assert time.perf_counter() - began < 1.0
            assert response.status_code == 200 and "not known" in response.content.decode()
        breaker._breaker.closed_until = 0.0
        response = client.post(READ, {"kind": "", "until": "99999999999999-0", "reason": "why"}, follow=True)
        assert "Redis did not answer" in response.content.decode()
    finally:
        server.redis.signal(signal.SIGCONT)
    event = AuditEvent.objects.get()
    assert event.details == {"facts": 0, "up_to": "99999999999999-0", "perhaps_more": "Redis stopped answering"}


# --- The verbs ---


def test_a_fact_put_back_is_recorded_once(client: Client, redis: Any) -> None:
    entry = set_aside(redis, ended("late-1"))
    ask = client.get(f"{READ}?id={entry}").content.decode()
    assert "Read again 1 fact" in ask and "Will happen" in ask and "No recorder is alive" in ask
    assert redis.xlen(DEAD_KEY) == 1, "looking changes nothing"
    said = client.post(READ, {"id": entry, "reason": "mended"}, follow=True).content.decode()
    assert "1 fact was given back to the recorder." in said
    drain(redis)
    assert Run.objects.get().state == State.SUCCEEDED and Run.objects.get().task_id == "late-1"
    event = AuditEvent.objects.get()
    assert (event.verb, event.object_type, event.object_id, event.reason) == ("reread_facts", "fact", entry, "mended")
    assert event.details["facts"] == 1
    said = client.post(READ, {"id": entry}, follow=True).content.decode()
    assert "is not set aside any more. Olga Berg was the last" in said
    assert AuditEvent.objects.count() == 1 and redis.xlen(FACTS_KEY) == 0


def test_what_still_cannot_be_read_comes_back_with_a_fresh_reason(redis: Any, olga: Actor) -> None:
    set_aside(redis, {"f": json.dumps({"kind": "ended", "task_id": "a", "at": 1, "version": 99})}, why="an old reason")
    last = redis.xrevrange(DEAD_KEY, count=1)[0][0]
    assert reread_facts(Which(until=last), actor=olga).count == 1
    drain(redis)
    [(entry, fields)] = redis.xrange(DEAD_KEY)
    assert entry != last and "version 99" in fields["why"]
    with pytest.raises(FactsGone):
        reread_facts(Which(until=last), actor=olga)


def test_what_is_set_aside_after_the_question_is_not_touched(client: Client, redis: Any) -> None:
    set_aside(redis, {"f": "1"})
    until = client.get(DISCARD).context["which"].until
    late = set_aside(redis, {"f": "2"})
    refused = client.post(DISCARD, {"kind": "", "until": until, "typed": "2"})
    assert "type 1 to confirm" in refused.content.decode() and redis.xlen(DEAD_KEY) == 2
    client.post(DISCARD, {"kind": "", "until": until, "typed": "1"})
    assert [entry for entry, _ in redis.xrange(DEAD_KEY)] == [late]


def test_two_presses_at_once_put_each_fact_back_once(redis: Any, olga: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "_LOOKED_AT", 20)
    names = [f"run-{number}" for number in range(400)]
    for name in names:
        last = set_aside(redis, {"f": name})
    counts: list[int] = []
    both = threading.Barrier(4)

    def press() -> None:
        both.wait()
        moved = dead_letters.put_back(Which(until=last))
        count = moved.count
        while moved.further:
            moved = dead_letters.put_back(Which(until=last), after=moved.further)
            count += moved.count
        counts.append(count)

    threads = [threading.Thread(target=press) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sum(counts) == 400 and len([count for count in counts if count]) > 1, counts
    assert sorted(fields["f"] for _, fields in redis.xrange(FACTS_KEY)) == sorted(names)
    assert redis.xlen(DEAD_KEY) == 0


def test_a_full_redis_keeps_what_is_set_aside_and_lets_it_be_discarded(redis: Any, olga: Actor) -> None:
    last = set_aside(redis, {"f": "1"})
    redis.config_set("maxmemory", 1)
    with pytest.raises(FactsStayed, match="Redis is full"):
        reread_facts(Which(until=last), actor=olga)
    assert (redis.xlen(DEAD_KEY), redis.exists(FACTS_KEY), AuditEvent.objects.count()) == (1, 0, 0)
    assert discard_facts(Which(until=last), actor=olga).count == 1
    assert redis.xlen(DEAD_KEY) == 0 and AuditEvent.objects.get().verb == "discard_facts"


def test_what_redis_cannot_hand_over_stays_and_is_told(redis: Any, olga: Actor) -> None:
    wide = set_aside(redis, {f"n{number}": "x" for number in range(2500)})
    last = set_aside(redis, {"f": "1"})
    settled = reread_facts(Which(until=last), actor=olga)
    assert settled.count == 1 and "can only be discarded" in settled.rest
    with pytest.raises(FactsStayed, match="can only be discarded"):
        reread_facts(Which.one(wide), actor=olga)
    assert discard_facts(Which.one(wide), actor=olga).count == 1


def test_a_press_that_takes_long_stops_and_says_so(redis: Any, olga: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "_LOOKED_AT", 2)
    monkeypatch.setattr("jobs.ledger.dead_letters._SECONDS", 0)
    for number in range(5):
        last = set_aside(redis, {"f": str(number)})
    settled = reread_facts(Which(until=last), actor=olga)
    assert settled.count == 2 and "press once more" in settled.rest
    assert [fields["f"] for _, fields in redis.xrange(FACTS_KEY)] == ["0", "1"], "oldest first"


# --- Who may ---


@pytest.mark.parametrize("role", ["nobody", "Viewer", "Auditor", "Scheduler", "Operator", "reader"])
def test_who_may(role: str, redis: Any, roles: None, client: Client) -> None:
    entry = set_aside(redis, {"f": "{"})
    user = User.objects.create_user("somebody", is_staff=True)
    if role == "reader":
        user.user_permissions.add(Permission.objects.get(codename="reread_facts"))
    elif role != "nobody":
        user.groups.add(Group.objects.get(name=role))
    client.force_login(user)
    sees, discards = role in ("Operator", "reader"), role == "Operator"
    assert client.get(PAGE).status_code == (200 if sees else 403)
    overview = client.get("/admin/").content.decode()
    assert "1 fact could not be read" in overview and (f'href="{PAGE}"' in overview) == sees
    if sees:
        assert (f"{DISCARD}?id=" in text_of(client)) == discards
    assert client.get(f"{DISCARD}?id={entry}").status_code == (200 if discards else 403)
    if not discards:
        assert client.post(DISCARD, {"id": entry}).status_code == 403
    if not sees:
        assert client.post(READ, {"id": entry}).status_code == 403
    assert redis.xlen(DEAD_KEY) == 1
    denied = AuditEvent.objects.filter(outcome=AuditEvent.Outcome.DENIED)
    assert denied.filter(verb="discard_facts").exists() == (role != "Operator")


def test_a_verb_without_the_permission_moves_nothing_and_is_in_the_trail(redis: Any, vito: Actor) -> None:
    entry = set_aside(redis, {"f": "{"})
    for verb in (reread_facts, discard_facts):
        with pytest.raises(NotPermitted):
            verb(Which.one(entry), actor=vito)
    assert redis.xlen(DEAD_KEY) == 1
    assert [event.outcome for event in AuditEvent.objects.all()] == ["denied", "denied"]


def test_who_is_not_signed_in_is_asked_to(redis: Any, db: None) -> None:
    for page in (PAGE, READ, DISCARD):
        for answer in (Client().get(page), Client().post(page)):
            assert answer.status_code == 302 and "/admin/login/" in answer.headers["Location"]
