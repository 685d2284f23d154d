"""Verbs on workers without a worker: what the pages ask, who is refused, what is never sent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError
from django.test import Client
from redis import Redis

from admin_ext.workers.verbs import outcome_words
from jobs.errors import NotPermitted
from jobs.fleet.commands import Answers
from jobs.ledger import worker_verbs
from jobs.ledger.audit import Actor
from jobs.models import AuditEvent
from tests.integration.own_redis import fresh, own_redis, stopped
from tests.integration.test_workers_pages import HOSTILE, LIST, put

ASK = LIST + "worker/ask/"


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[Redis]:
    with own_redis(root) as client:
        yield client


@pytest.fixture
def redis(server: Redis, db: None) -> Redis:
    fresh(server)
    put(server)
    return server


@pytest.fixture
def ana(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("ana"))
    return client


@pytest.mark.parametrize(
    ("verb", "fact"),
    [
        ("grow", "It has 4 slots now"),
        ("shrink", "none is broken off"),
        ("start", "shares its slots"),
        ("stop", "What it has received it still runs"),
        ("shutdown", "No page can start it again"),
    ],
)
def test_what_follows_is_shown_before_it_is_asked(redis: Redis, ana: Client, verb: str, fact: str) -> None:
    response = ana.get(ASK, {"name": "w@one", "verb": verb})
    assert response.status_code == 200 and fact in response.content.decode()
    assert ana.get(ASK, {"name": "nobody", "verb": verb}).status_code == 404
    assert ana.get(ASK, {"name": "w@one", "verb": "explode"}).status_code == 404


def test_before_a_shut_down_the_page_names_the_queues_that_lose_their_last_worker(redis: Redis, ana: Client) -> None:
    ask = {"name": "w@one", "verb": "shutdown"}
    put(redis, queues=["default", "reports"])
    assert "Nobody else takes from default, reports" in ana.get(ASK, ask).content.decode()
    put(redis, "w@two", queues=["default"])
    assert "Nobody else takes from reports" in ana.get(ASK, ask).content.decode()
    put(redis, "w@two", queues=["default", "reports"])
    assert "Other workers take from each of its queues." in ana.get(ASK, ask).content.decode()


def test_with_redis_away_no_worker_is_told_to_be_unknown(redis: Redis, ana: Client, root: Path) -> None:
    with stopped(redis, root):
        for send in (ana.get, ana.post):
            response = send(f"{ASK}?name=w@one&verb=shutdown", follow=True)
            assert "Redis does not answer; nothing can be sent." in response.content.decode()
    fresh(redis)


def test_without_a_reason_and_beyond_its_bounds_nothing_is_sent(redis: Redis, ana: Client) -> None:
    for values, said in (
        ({"slots": "1"}, "say why"),
        ({"slots": "0", "reason": "r"}, "from 1 to 32"),
        ({"slots": "4", "reason": "r"}, "must be left"),
    ):
        verb = "shrink" if values["slots"] == "4" else "grow"
        response = ana.post(f"{ASK}?name=w@one&verb={verb}", values)
        assert response.status_code == 200 and said in response.content.decode()
    assert not AuditEvent.objects.exists()
    assert ana.post(f"{ASK}?name=w@one&verb=start", {"queue": "nowhere", "reason": "r"}).status_code == 404


def test_a_pool_that_cannot_be_resized_says_so(redis: Redis, ana: Client) -> None:
    put(redis, pool="solo", concurrency=1)
    page = ana.get(LIST + "worker/", {"name": "w@one"}).content.decode()
    assert "A solo pool cannot be resized." in page and "Shut down warm…" in page
    response = ana.post(f"{ASK}?name=w@one&verb=grow", {"slots": "1", "reason": "r"})
    assert "a solo pool cannot be resized" in response.content.decode()


def test_who_may_not_is_refused_and_that_is_recorded(redis: Redis, viewer: User, vito: Actor) -> None:
    client = Client()
    client.force_login(viewer)
    page = client.get(LIST + "worker/", {"name": "w@one"}).content.decode()
    assert "Needs the role Operator" in page and "Stop consuming" not in page
    assert client.get(ASK, {"name": "w@one", "verb": "shutdown"}).status_code == 403
    assert client.post(f"{ASK}?name=w@one&verb=shutdown", {"reason": "r"}).status_code == 403
    with pytest.raises(NotPermitted):
        worker_verbs.stop_consuming(["w@one"], "default", actor=vito, reason="r")
    denied = AuditEvent.objects.filter(outcome=AuditEvent.Outcome.DENIED)
    assert sorted(denied.values_list("verb", flat=True)) == ["shut_down", "stop_consuming"]


def test_a_command_that_nobody_answers_is_told_and_recorded(
    redis: Redis, ana: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.fleet.commands.ANSWER_WITHIN", 0.2)
    monkeypatch.setattr("jobs.fleet.commands.SHOWN_WITHIN", 0.2)
    response = ana.post(f"{ASK}?name=w@one&verb=stop", {"queue": "default", "reason": "OPS-1"}, follow=True)
    assert "Answered by 0 of 1 worker; w@one gave no answer" in response.content.decode()
    event, begun = AuditEvent.objects.order_by("-pk")
    assert (begun.verb, begun.reason, begun.details["command"]) == ("begin_command", "OPS-1", "stop_consuming")
    assert (event.verb, event.reason, event.object_id) == ("stop_consuming", "OPS-1", "w@one")
    assert event.details == {"queue": "default", "workers": ["w@one"], "asked": 1, "answered": 0, "shown": 0}
    trail = ana.get("/admin/jobs/auditevent/").content.decode()
    assert "default, answered by 0 of 1" in trail and "began to let take no more from a queue" in trail


def test_a_command_is_in_the_trail_before_it_is_sent(
    redis: Redis, olga: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answers take seconds, and the web process may die meanwhile."""

    def dies(*args: object, **kwargs: object) -> None:
        raise SystemExit

    monkeypatch.setattr(worker_verbs, "command", dies)
    with pytest.raises(SystemExit):
        worker_verbs.stop_consuming(["w@one"], "default", actor=olga, reason="OPS-1")
    event = AuditEvent.objects.get()
    assert (event.verb, event.reason, event.object_id) == ("begin_command", "OPS-1", "w@one")
    assert event.details == {"queue": "default", "workers": ["w@one"], "command": "stop_consuming"}


@pytest.mark.parametrize(("refused", "said", "sent"), [(0, "Nothing was sent", 0), (1, "The command was sent", 1)])
def test_a_database_that_refuses_is_told_with_what_was_sent(
    redis: Redis, ana: Client, monkeypatch: pytest.MonkeyPatch, refused: int, said: str, sent: int
) -> None:
    calls, commands = list[int](), list[int]()

    def refuses(*args: object, **kwargs: object) -> None:
        calls.append(1)
        if len(calls) > refused:
            raise OperationalError("database is locked")

    def counts(*args: object, **kwargs: object) -> Answers:
        commands.append(1)
        return Answers(("w@one",))

    monkeypatch.setattr(worker_verbs, "record", refuses)
    monkeypatch.setattr(worker_verbs, "command", counts)
    response = ana.post(f"{ASK}?name=w@one&verb=stop", {"queue": "default", "reason": "OPS-1"})
    assert said in response.content.decode() and len(commands) == sent


def test_a_hostile_name_is_harmless(redis: Redis, ana: Client) -> None:
    put(redis, HOSTILE, queues=["<i>q</i>"])
    shown = ana.get(ASK, {"name": HOSTILE, "verb": "stop"}).content.decode()
    assert "<script>alert" not in shown and "<i>q" not in shown and "&lt;script&gt;alert" in shown


def test_outcomes_are_told_as_they_were() -> None:
    names = ("a", "b", "c", "d")
    mixed = Answers(names, answered=("a", "b"), refused={"c": "no such queue"}, shown=("a",))
    said = outcome_words(mixed)
    assert said.startswith("Answered by 2 of 4 workers; c refused: no such queue; d gave no answer")
    assert said.endswith("1 of 4 show it already.")
    assert "does not show yet that it stops" in outcome_words(Answers(("a",)), answering=False)
