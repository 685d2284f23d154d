"""Which troubles are told, and when: each once, and once when it is over, whatever flaps, restarts or goes blind."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from pytest_django import Settings

from jobs.alerts import settle as settling
from jobs.alerts.settle import settle, take_up
from jobs.alerts.standing import Look, Standing
from jobs.models import Alert, AlertChannel, AlertMessage

pytestmark = pytest.mark.django_db
AFTER = 60.0
QUEUE = Standing("queue:reports", "bad", "Queue reports: 2 wait.", "The oldest has waited 41 min.", "/q/?name=reports")
BEAT = Standing("beat", "warn", "No beat is alive.", "Start it.", "/admin/")


@pytest.fixture(autouse=True)
def webhook(db: None, settings: Settings) -> None:
    settings.CONSOLE_URL = "https://console.example.com"
    take_up(["webhook"])


def look(*standing: Standing, unknown: tuple[str, ...] = (), after: float = AFTER) -> int:
    return settle(Look(standing, unknown), after=after)


def later(seconds: float) -> None:
    """All that is written down is so much older."""
    span = timedelta(seconds=seconds)
    Alert.objects.update(**{name: F(name) - span for name in ("since", "looked_at", "gone_since", "told_at")})
    AlertChannel.objects.update(made_at=F("made_at") - span)


def told() -> list[tuple[list[str], list[str]]]:
    """Of each message what has begun and what is over."""
    found = [message.payload for message in AlertMessage.objects.order_by("pk")]
    return [([one["key"] for one in each["begun"]], [one["key"] for one in each["solved"]]) for each in found]


def stand(*standing: Standing, seconds: float = AFTER + 1, unknown: tuple[str, ...] = ()) -> None:
    """Looks every 15 seconds for so long."""
    look(*standing, unknown=unknown)
    for _ in range(int(seconds // 15) + 1):
        later(15)
        look(*standing, unknown=unknown)


def test_a_trouble_is_told_once_and_once_when_it_is_over() -> None:
    stand(QUEUE, seconds=44)
    assert told() == [], "it may be a flap"
    stand(QUEUE, seconds=300)
    assert told() == [(["queue:reports"], [])]
    stand(seconds=44)
    assert len(told()) == 1, "it may come back"
    stand(seconds=300)
    assert told() == [(["queue:reports"], []), ([], ["queue:reports"])] and not Alert.objects.exists()
    first, last = AlertMessage.objects.order_by("pk")
    assert first.subject == "[Local] Queue reports: 2 wait."
    assert "waited 41 min.\nhttps://console.example.com/q/?name=reports\n\nLocal: https://console" in first.text
    assert last.subject == "[Local] Solved: Queue reports: 2 wait. After 6 min."
    assert first.payload["text"] == first.text and 350 < last.payload["solved"][0]["lasted_seconds"] < 400
    assert first.payload["begun"][0]["url"] == "https://console.example.com/q/?name=reports"


def test_a_flap_tells_nothing() -> None:
    for _ in range(6):
        stand(QUEUE, seconds=30)
        stand(seconds=30)
    assert told() == []


def test_what_comes_back_at_once_is_neither_over_nor_new() -> None:
    stand(QUEUE)
    for _ in range(4):
        stand(seconds=30)
        stand(QUEUE, seconds=30)
    assert told() == [(["queue:reports"], [])]


def test_what_nobody_can_see_is_neither_told_nor_solved() -> None:
    away = Standing("redis:away", "bad", "Redis has not answered.")
    stand(QUEUE)
    stand(away, seconds=200, unknown=("queue:", "workers:none"))
    assert told() == [(["queue:reports"], []), (["redis:away"], [])]
    stand(QUEUE)
    assert told()[2:] == [([], ["redis:away"])], "and the queue has never been told anew"
    stand(BEAT, seconds=200, unknown=("",))
    assert told()[3:] == [(["beat"], [])]


def test_many_at_once_are_one_message() -> None:
    many = [Standing(f"queue:{number}", "warn", f"Queue {number}: 1 waits.") for number in range(50)]
    stand(*many, BEAT, QUEUE)
    (message,) = AlertMessage.objects.all()
    assert message.subject == "[Local] 52 troubles"
    assert message.text.startswith("Queue reports: 2 wait.") and "\n\nand 32 more\n\n" in message.text
    assert len(message.payload["begun"]) == 52 == message.payload["begun_count"]


def test_there_is_no_more_than_one_message_in_the_time_to_settle() -> None:
    look(QUEUE)
    later(40)
    look(QUEUE, BEAT)
    later(21)
    look(QUEUE, BEAT)
    later(40)
    look(QUEUE, BEAT)
    assert told() == [(["queue:reports"], [])], "beat is silent for 61 s, but the last message is 40 s old"
    later(21)
    look(QUEUE, BEAT)
    assert told()[1:] == [(["beat"], [])]


def test_what_was_seen_before_a_pause_is_seen_anew() -> None:
    """A recorder that starts in the morning must not tell at once what it saw for a moment the night before."""
    look(QUEUE)
    later(8 * 3600)
    look(QUEUE)
    assert told() == []
    stand(QUEUE)
    assert len(told()) == 1
    stand(seconds=15)
    later(8 * 3600)
    look()
    assert len(told()) == 1, "nor that it was over"
    stand()
    assert len(told()) == 2


def test_two_states_of_one_thing_are_one_trouble_and_words_stay_as_told() -> None:
    stand(QUEUE)
    stand(Standing("queue:reports", "warn", "Queue reports grows."), seconds=200)
    stand()
    assert told() == [(["queue:reports"], []), ([], ["queue:reports"])]
    assert "Solved: Queue reports: 2 wait." in AlertMessage.objects.latest("pk").text


def test_hostile_words_are_one_line_of_characters_that_a_database_keeps() -> None:
    stand(Standing("queue:\x00\ud800" + "x" * 400, "bad", "Queue a\x00b\r\nBcc: x@y\u202e\ud800 <!channel>: 1 waits."))
    (message,) = AlertMessage.objects.all()
    assert "\n" not in message.subject and message.subject == "[Local] Queue a b Bcc: x@y <!channel>: 1 waits."
    assert "<" not in message.payload["text"] and "‹!channel›" in message.payload["text"]


def test_there_is_an_end_to_what_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "MOST_KNOWN", 20)
    many = [Standing(f"queue:{number}", "warn", f"Queue {number}.") for number in range(30)]
    stand(*many)
    assert Alert.objects.count() == 20
    stand(*many[15:])
    assert told()[1][1] == [f"queue:{number}" for number in range(15)], "what was too much is not over"


def test_each_channel_gets_its_message_and_one_that_is_set_up_no_more_is_given_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    take_up(["mail:ana@example.com", "webhook"])
    stand(QUEUE)
    assert AlertMessage.objects.count() == 2
    assert take_up(["webhook"])
    assert [one.channel_id for one in AlertMessage.objects.all()] == ["webhook"]
    assert "Alert to ana@example.com given up" in caplog.text
    assert not take_up([]) and not Alert.objects.exists(), "whoever sets one up again is told anew"


def test_nothing_wrong_costs_one_statement(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        look()


def test_statements_do_not_grow_with_troubles(django_assert_max_num_queries: Any) -> None:
    many = [Standing(f"queue:{number}", "warn", f"Queue {number}.") for number in range(80)]
    look(*many)
    with django_assert_max_num_queries(8):
        look(*many)


@pytest.mark.django_db(transaction=True)
def test_two_recorders_tell_once() -> None:
    take_up(["webhook"])
    look(QUEUE)
    later(30)
    look(QUEUE)
    later(40)
    tell_together(lambda: look(QUEUE))
    assert told() == [(["queue:reports"], [])]
    for _ in range(5):
        later(15)
        look()
    tell_together(look)
    assert told()[1:] == [([], ["queue:reports"])]


def tell_together(act: Callable[[], Any]) -> None:
    ready = threading.Barrier(4)

    def one() -> None:
        try:
            ready.wait(10)
            act()
        finally:
            connection.close()

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
