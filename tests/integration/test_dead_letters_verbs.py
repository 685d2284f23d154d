"""What is done with facts that could not be read: put back once, discarded on purpose, and by whom."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client

from jobs.errors import NotPermitted
from jobs.fleet import dead_letters
from jobs.fleet.broker import DEAD_KEY, FACTS_KEY
from jobs.fleet.dead_letters import Which
from jobs.ledger.audit import Actor
from jobs.ledger.dead_letters import FactsGone, FactsStayed, discard_facts, reread_facts
from jobs.models import AuditEvent, Run
from jobs.recorder.ingest import Ingest
from jobs.states import State
from tests.integration.facts_aside import DISCARD, PAGE, READ, ended, set_aside, text_of


@pytest.fixture
def redis(text_redis: Any) -> Any:
    return text_redis


@pytest.fixture
def client(client: Client, operator: User) -> Client:
    client.force_login(operator)
    return client


def drain(redis: Any) -> None:
    ingest = Ingest(redis)
    while ingest.step(wait=0.01) or redis.xlen(FACTS_KEY):
        pass


def test_a_fact_put_back_is_recorded_once(client: Client, redis: Any) -> None:
    entry = set_aside(redis, ended("late-1"))
    ask = client.get(f"{READ}?id={entry}").content.decode()
    assert "Read again 1 fact" in ask and "Will happen" in ask and "No recorder is alive" in ask
    assert redis.xlen(DEAD_KEY) == 1, "looking changes nothing"
    said = client.post(READ, {"id": entry, "reason": "mended"}, follow=True).content.decode()
    assert "1 fact was given back to the recorder." in said
    drain(redis)
    assert Run.objects.get().state == State.SUCCEEDED and Run.objects.get().task_id == "late-1"
    event, begun = AuditEvent.objects.order_by("-pk")
    assert (begun.verb, begun.details) == ("begin_settling", {"command": "reread_facts", "up_to": entry})
    assert (event.verb, event.object_type, event.object_id, event.reason) == ("reread_facts", "fact", entry, "mended")
    assert event.details["facts"] == 1
    said = client.post(READ, {"id": entry}, follow=True).content.decode()
    assert "is not set aside any more. Olga Berg was the last" in said
    assert _verbs() == ["begin_settling", "reread_facts"] * 2 and redis.xlen(FACTS_KEY) == 0


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
    until = client.get(DISCARD).context["hidden"]["until"]
    late = set_aside(redis, {"f": "2"})
    refused = client.post(DISCARD, {"kind": "", "until": until, "oc.confirm": "2"})
    assert "type 1 to confirm" in refused.content.decode() and redis.xlen(DEAD_KEY) == 2
    client.post(DISCARD, {"kind": "", "until": until, "oc.confirm": "1"})
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
    assert (redis.xlen(DEAD_KEY), redis.exists(FACTS_KEY), len(_verbs())) == (1, 0, 2)
    assert discard_facts(Which(until=last), actor=olga).count == 1
    assert redis.xlen(DEAD_KEY) == 0 and _verbs()[2:] == ["begin_settling", "discard_facts"]


def _verbs() -> list[str]:
    return list(AuditEvent.objects.order_by("pk").values_list("verb", flat=True))


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
