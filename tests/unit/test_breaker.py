"""One question to Redis from a page: what a failure costs the next ones."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.fleet import breaker
from jobs.fleet.breaker import BREAKER_SECONDS, Away, ask, away, silent_for
from jobs.fleet.broker import RedisError, RedisRefused, RedisUnknown
from jobs.fleet.workers import read_fleet


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A process that has not asked Redis yet, and its clock."""
    clock = Clock()
    monkeypatch.setattr(breaker, "time", clock)
    monkeypatch.setattr(breaker, "_breaker", breaker._Breaker())
    return clock


def fails(client: Any) -> None:
    raise RedisError("away")


def test_after_a_failure_redis_is_left_alone_for_a_while(clock: Clock) -> None:
    asked = []
    assert ask(lambda client: "yes") == "yes" and silent_for() == 0
    clock.now += 1
    assert ask(fails) is None
    assert ask(lambda client: asked.append(client)) is None and asked == []
    clock.now += BREAKER_SECONDS
    assert silent_for() == 1 + BREAKER_SECONDS
    assert ask(lambda client: "back") == "back" and silent_for() == 0


def test_a_process_that_never_heard_from_redis_does_not_know_since_when(clock: Clock) -> None:
    assert ask(fails) is None and silent_for() is None


def test_an_outage_is_counted_from_the_first_failure_and_keeps_its_kind(clock: Clock) -> None:
    def refused(client: Any) -> None:
        raise RedisUnknown("WRONGPASS")

    assert ask(lambda client: "yes") == "yes" and away() is None
    clock.now += 25
    assert ask(fails) is None and away() == Away(0, unknown=False)
    clock.now += 3
    assert ask(refused) is None and away() == Away(3, unknown=True)
    clock.now += 3
    assert ask(lambda client: "back") == "back" and away() is None


def test_a_mistake_of_ours_is_not_taken_for_an_outage(clock: Clock) -> None:
    with pytest.raises(KeyError):
        ask(lambda client: dict[str, str]()["nothing"])
    assert ask(lambda client: "yes") == "yes"


class Redis:
    """Answers reads; `refuses` every write where that is set."""

    def __init__(self, refuses: str = "") -> None:
        self.refuses = refuses
        self.answers: list[Any] = []

    def set(self, *args: Any, **kwargs: Any) -> bool:
        if self.refuses:
            raise RedisRefused(self.refuses)
        return True

    def pipeline(self, **kwargs: Any) -> Redis:
        return self

    def time(self) -> None:
        self.answers.append((5, 0))

    def get(self, *args: Any) -> None:
        self.answers.append(None)

    def llen(self, *args: Any) -> None:
        self.answers.append(0)

    def execute_command(self, *args: Any, **options: Any) -> None:
        self.answers.append(None)

    def execute(self, **options: Any) -> list[Any]:
        answers, self.answers = self.answers, []
        return answers


def test_a_redis_that_takes_no_writes_is_known_and_says_why(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaker, "page_client", lambda: Redis("command not allowed when used memory > 'maxmemory'."))
    fleet = read_fleet()
    assert fleet.known and "maxmemory" in fleet.refuses
    monkeypatch.setattr(breaker, "page_client", Redis)
    assert read_fleet().refuses == ""
