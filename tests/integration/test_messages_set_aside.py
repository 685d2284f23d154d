"""Messages that workers set aside: shown whatever they hold, put back once, discarded; dropped ones are counted."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from celery.exceptions import Ignore
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from redis import Redis

from jobs.errors import NotPermitted
from jobs.fleet import quarantined
from jobs.fleet.broker import list_key
from jobs.fleet.dropped import DAYS, note_dropped, read_dropped
from jobs.fleet.quarantined import QUARANTINE_KEY, Meant, look_at_messages, put_messages_back
from jobs.ledger.audit import Actor
from jobs.ledger.messages_set_aside import MessagesGone, MessagesStayed, discard_messages, put_back_messages
from jobs.models import AuditEvent, Run
from jobs.pipeline.claim import claim_or_ignore
from jobs.pipeline.quarantine import MAX_MESSAGE, Quarantine, _queue_of
from jobs.states import State
from tests import jobs_under_test as under_test
from tests.integration.own_redis import message, stopped

PAGE = "/admin/jobs/run/set-aside/messages/"
BACK, DISCARD = PAGE + "back/", PAGE + "discard/"


@pytest.fixture
def client(client: Client, operator: User) -> Client:
    client.force_login(operator)
    return client


def set_aside(text: str | bytes, *, queue: str = "default", why: str = "its time limits are no numbers") -> str:
    """As a worker does it; returns the message's id."""
    Quarantine("mail@web-1")._set_aside(queue, text, ValueError(why))
    found = look_at_messages(0, 1)
    assert found is not None
    return found[0][0].id


def text_of(client: Client, address: str = PAGE) -> str:
    response = client.get(address)
    assert response.status_code == 200
    return str(response.content.decode())


def good(**headers: Any) -> str:
    return message(under_test.add.name, **headers).decode()


def test_without_messages_the_page_says_that_all_could_be_read(client: Client, redis: Redis) -> None:
    shown = text_of(client)
    assert "No message is set aside" in shown and "dropped" not in shown and "Put all back" not in shown


def test_the_page_shows_task_run_queue_worker_reason_and_text_without_secrets(client: Client, redis: Redis) -> None:
    Run.objects.create(task_id="known-1", task_name=under_test.add.name, state=State.QUEUED)
    body = [["first"], {"password": "hunter1", "deep": [{"api_key": "hunter2"}]}, {}]
    headers: dict[str, Any] = {"id": "known-1", "kwargsrepr": "{'x': 'hunter3'}", "token": "hunter4"}
    set_aside(message("x.y", body=body, **headers).decode())
    set_aside('{"body": "aHVudGVy \\" hunter5", "password": "hunter6", broken', why="JSONDecodeError: Expecting value")
    shown = text_of(client)
    assert "hunter" not in shown and "aHVudGVy" not in shown and shown.count("•••") >= 6
    assert 'href="/admin/jobs/run/known-1/change/"' in shown and "first" in shown and "<b>2 messages</b>" in shown
    assert "its time limits are no numbers" in shown and "JSONDecodeError: Expecting value" in shown
    assert "queue/?name=default" in shown and "worker/?name=mail%40web-1" in shown
    assert text_of(client, "/admin/jobs/run/set-aside/").count(PAGE) == 1, "the facts' page leads here"


HOSTILE: dict[str, str | bytes] = {
    "html": '{"headers": {"task": "<script>alert(1)</script>", "id": "<b>"}, "body": "<img src=x>"}',
    "no json": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "bytes": b"\xff\xfe{\x00<script>alert(1)</script>",
    "lone surrogates": '{"headers": {"task": "\\ud83d", "id": "\\udc00\\u0000"}, "body": 5}',
    "deep": "[" * 60_000,
    "deep but whole": '{"a":' * 900 + "1" + "}" * 900,
    "pickled": message("t").replace(b"application/json", b"application/x-python-serialize"),
    "other types": '{"headers": [1], "properties": "x", "body": {"a": 1}}',
    "huge": "x" * 3_000_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_a_message_holds_the_page_answers_and_can_get_rid_of_it(
    client: Client, redis: Redis, name: str
) -> None:
    one = set_aside(HOSTILE[name], queue="<i>q</i>", why="<script>why</script>")
    shown = text_of(client)
    assert not [tag for tag in ("<script>alert", "<img", "<script>why", "<i>q") if tag in shown]
    assert len(shown) < 200_000
    whole = name not in ("bytes", "huge")
    assert (f"{BACK}?id={one}" in shown) == whole
    assert client.get(f"{BACK}?id={one}").status_code == 200
    client.post(BACK, {"id": one})
    if whole:
        raw = HOSTILE[name]
        assert redis.lpop("<i>q</i>") == (raw if isinstance(raw, bytes) else raw.encode()), "exactly as it was"
        one = set_aside(HOSTILE[name])
    assert redis.llen(QUARANTINE_KEY) == 1
    client.post(DISCARD, {"id": one})
    assert redis.llen(QUARANTINE_KEY) == 0


@pytest.mark.parametrize("entry", ["", "5", "[1]", '{"at": "x", "message": 7}', '{"at": 1e400}', "\xff" * 9])
def test_an_entry_of_something_else_is_shown_and_discarded(client: Client, redis: Redis, entry: str) -> None:
    redis.lpush(QUARANTINE_KEY, entry.encode("latin-1"))
    assert "It is not kept whole, so it cannot be put back." in text_of(client)
    assert client.get("/admin/").status_code == 200
    client.post(DISCARD, {"id": look_at_messages(0, 1)[0][0].id})  # type: ignore[index]
    assert not redis.exists(QUARANTINE_KEY)


def test_a_message_goes_back_once_to_the_end_of_its_queue_and_priority(client: Client, redis: Redis) -> None:
    values = json.loads(good(id="late-1"))
    values["properties"]["priority"] = 6
    text = json.dumps(values)
    one = set_aside(text)
    redis.lpush(list_key("default", 6), "already there")
    ask = text_of(client, f"{BACK}?id={one}")
    assert "Put back 1 message" in ask and "Will happen" in ask and "No worker takes from this queue now" in ask
    assert redis.llen(QUARANTINE_KEY) == 1, "looking changes nothing"
    said = client.post(BACK, {"id": one, "reason": "deployed"}, follow=True).content.decode()
    assert "1 message went back to its queue." in said and redis.llen(QUARANTINE_KEY) == 0
    assert [redis.rpop(list_key("default", 6)) for _ in range(3)] == [b"already there", text.encode(), None]
    event, begun = AuditEvent.objects.order_by("-pk")
    assert (begun.verb, begun.details["command"]) == ("begin_settling", "put_back_messages")
    assert (event.verb, event.object_type, event.object_id) == ("put_back_messages", "message", one)
    assert (event.reason, event.details) == ("deployed", {"messages": 1})
    said = client.post(BACK, {"id": one}, follow=True).content.decode()
    assert "Somebody was faster" in said and AuditEvent.objects.count() == 4


def test_all_go_back_oldest_first_but_what_came_later_and_what_is_not_whole(
    client: Client, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantined, "_PORTION", 4)
    for number in range(9):
        set_aside(good(id=f"run-{number}") if number % 3 else b"\xff%d" % number)
    asked = text_of(client).split(f'href="{BACK}?until=')[1].split('"')[0]
    late = set_aside(good(id="late"))
    said = client.post(BACK, {"until": asked}, follow=True).content.decode()
    assert "6 messages each went back to its queue." in said and "3 are not kept whole" in said
    sent = [json.loads(text)["headers"]["id"] for text in reversed(redis.lrange("default", 0, -1))]
    assert sent == ["run-1", "run-2", "run-4", "run-5", "run-7", "run-8"]
    left = look_at_messages(0, 10)
    assert left is not None and left[1] == 4 and left[0][0].id == late
    refused = client.post(DISCARD, {"until": asked}).content.decode()
    assert "type all to confirm" in refused and redis.llen(QUARANTINE_KEY) == 4
    client.post(DISCARD, {"until": asked, "oc.confirm": "all"})
    assert [one.id for one in look_at_messages(0, 10)[0]] == [late]  # type: ignore[index]
    labels = [event.object_label for event in AuditEvent.objects.order_by("pk")]
    assert labels[1::2] == ["6 messages set aside", "3 messages set aside"]


def test_a_full_redis_keeps_them_and_lets_them_be_discarded(redis: Redis, olga: Actor) -> None:
    one = Meant(id=set_aside(good()))
    redis.config_set("maxmemory", 1)
    try:
        with pytest.raises(MessagesStayed, match="Redis is full"):
            put_back_messages(one, actor=olga)
        assert (redis.llen(QUARANTINE_KEY), redis.exists("default"), AuditEvent.objects.count()) == (1, 0, 2)
        assert discard_messages(one, actor=olga).count == 1
    finally:
        redis.config_set("maxmemory", 0)
    with pytest.raises(MessagesGone):
        discard_messages(one, actor=olga)


def test_a_queue_whose_list_is_something_else_loses_nothing(redis: Redis, olga: Actor) -> None:
    one = set_aside(good())
    redis.set("default", "no list")
    with pytest.raises(MessagesStayed, match="names no queue"):
        put_back_messages(Meant(id=one), actor=olga)
    assert redis.llen(QUARANTINE_KEY) == 1
    assert put_messages_back(Meant(id="0" * 40)).count == 0


def test_a_thousand_are_paged_with_few_queries(client: Client, redis: Redis) -> None:
    entry = {"queue": "default", "worker": "w", "why": "x", "size": 9, "whole": True}
    pipe = redis.pipeline()
    for number in range(1000):
        pipe.lpush(QUARANTINE_KEY, json.dumps({**entry, "at": 1000.0 + number, "message": good(id=f"run-{number}")}))
    pipe.execute()
    client.get(PAGE)
    with CaptureQueriesContext(connection) as queries:
        page = client.get(PAGE).context["page"]
    assert len(queries) <= 8, [query["sql"][:100] for query in queries]
    assert [line.told.task_id for line in page.lines] == [f"run-{number}" for number in range(999, 979, -1)]
    assert page.full and page.total == "1,000 messages" and page.older == "?page=2" and not page.newer
    last = client.get(PAGE + "?page=50").context["page"]
    assert last.lines[-1].told.task_id == "run-0" and not last.older and last.newer == "?page=49"
    assert client.get(PAGE + "?page=999").context["page"].lines == last.lines
    assert client.get(PAGE + "?page=x").context["page"].first == 1


@pytest.mark.parametrize("parameters", [{}, {"id": "x"}, {"id": "<" * 40}, {"until": "nan"}, {"until": "x"}])
def test_an_address_that_makes_no_sense_does_nothing(client: Client, redis: Redis, parameters: dict[str, str]) -> None:
    set_aside(good())
    for address in (BACK, DISCARD):
        assert client.get(address, parameters).status_code == 302
        assert client.post(address, {**parameters, "oc.confirm": "all"}).status_code == 302
    assert redis.llen(QUARANTINE_KEY) == 1


def test_redis_away_the_page_says_so_within_a_second(client: Client, redis: Redis, root: Path) -> None:
    one = set_aside(good())
    with stopped(redis, root):
        began = time.perf_counter()
        assert "is not known now" in text_of(client)
        said = client.get(f"{BACK}?id={one}", follow=True).content.decode()
        assert "Redis does not answer" in said and time.perf_counter() - began < 1.5
    assert redis.llen(QUARANTINE_KEY) == 1


@pytest.mark.parametrize("role", ["Viewer", "Operator"])
def test_who_may(role: str, redis: Redis, roles: None, client: Client) -> None:
    one = set_aside(good())
    user = User.objects.create_user("somebody", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    client.force_login(user)
    may = role == "Operator"
    for address in (PAGE, f"{BACK}?id={one}", f"{DISCARD}?id={one}"):
        assert client.get(address).status_code == (200 if may else 403), address
    overview = client.get("/admin/").content.decode()
    assert "1 message could not be read by workers" in overview and (f'href="{PAGE}"' in overview) == may
    assert client.post(DISCARD, {"id": one}).status_code == (302 if may else 403)
    assert redis.llen(QUARANTINE_KEY) == (0 if may else 1)
    denied = AuditEvent.objects.filter(outcome=AuditEvent.Outcome.DENIED, verb="discard_messages")
    assert denied.exists() == (not may)


def test_a_verb_without_the_permission_moves_nothing(redis: Redis, vito: Actor) -> None:
    one = Meant(id=set_aside(good()))
    for verb in (put_back_messages, discard_messages):
        with pytest.raises(NotPermitted):
            verb(one, actor=vito)
    assert redis.llen(QUARANTINE_KEY) == 1
    assert Client().get(PAGE).status_code == 302 and Client().post(BACK).status_code == 302


def test_a_worker_keeps_whether_a_message_is_whole_and_of_which_queue(redis: Redis) -> None:
    set_aside("x" * (MAX_MESSAGE + 1))
    found = look_at_messages(0, 1)
    assert found is not None
    one = found[0][0]
    assert (one.size, len(one.text), one.whole, one.worker) == (MAX_MESSAGE + 1, MAX_MESSAGE, False, "mail@web-1")
    assert [_queue_of(list_key("default", priority)) for priority in (0, 9)] == ["default", "default"]


# --- Dropped, because nobody knows the run ---


def test_a_message_of_an_unknown_run_is_dropped_and_counted(client: Client, redis: Redis) -> None:
    Run.objects.create(task_id="done", task_name="t", state=State.SUCCEEDED, attempt=1)
    for task_id in ("done", "nobody-1", "nobody-2"):
        with pytest.raises(Ignore):
            claim_or_ignore(task_id, 1, worker="mail@web-1", retries=0)
    told = read_dropped(time.time())
    assert told is not None and (told.count, told.task_id, told.worker) == (2, "nobody-2", "mail@web-1")
    shown = text_of(client)
    assert "2 messages were dropped by workers in the last 7 days" in shown and "nobody-2" in shown


def test_what_was_dropped_is_counted_by_day_and_forgotten_after_a_week(redis: Redis) -> None:
    now = 1_760_000_000.0
    assert read_dropped(now) is None
    for day in range(DAYS + 2):
        note_dropped(redis, now - day * 86_400, f"run-{day}", "w")
    told = read_dropped(now)
    assert told is not None and (told.count, told.task_id) == (DAYS, "run-0")
    keys = redis.keys("opsconsole:dropped:*")
    assert len(keys) == DAYS + 2 and all(0 < redis.ttl(key) <= (DAYS + 1) * 86_400 for key in keys)
