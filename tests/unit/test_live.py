"""What a run logs and counts: bounds, secrets, whose line it is. Redis is a list of the commands that it would get."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from jobs.pipeline import live
from jobs.pipeline.progress import progress, set_progress, tell_state
from jobs.pipeline.told import MAX_CHARS, MAX_LINE, MAX_LINES

logger = logging.getLogger("tests.live")


class Pipe:
    """Obeys the few list and hash commands that a journey to Redis takes."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.hash: dict[str, Any] = {"written": 0}

    def rpush(self, key: str, *texts: str) -> None:
        self.lines += texts

    def ltrim(self, key: str, start: int, end: int) -> None:
        self.lines = self.lines[start:]

    def hincrby(self, key: str, name: str, by: int) -> None:
        self.hash[name] += by

    def hset(self, key: str, mapping: dict[str, Any]) -> None:
        self.hash.update(mapping)

    def expire(self, key: str, seconds: int) -> None:
        pass

    def texts(self) -> list[str]:
        return [json.loads(line)[3] for line in self.lines]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[live.LiveRun]:
    """The record of a run in this thread; nothing carries it away by itself."""
    monkeypatch.setattr(live._flusher, "add", lambda run: None)
    logger.setLevel(logging.INFO)
    live.open_live(SimpleNamespace(id="t", retries=0))
    assert live.current.run is not None
    yield live.current.run
    live.current.run, live.current.secrets = None, ()


def sent(run: live.LiveRun) -> Pipe:
    pipe = Pipe()
    run.queue_news(pipe)
    return pipe


def test_lines_travel_once_and_are_counted(run: live.LiveRun) -> None:
    logger.info("one %s", 1)
    logger.warning("two\nthree")
    pipe = sent(run)
    assert [json.loads(line)[1:] for line in pipe.lines] == [
        ["INFO", 1, "one 1"],
        ["WARNING", 1, "two"],
        ["WARNING", 1, "three"],
    ]
    assert pipe.hash["written"] == 3
    assert sent(run).lines == []


def test_what_redis_does_not_take_goes_with_the_next_journey(run: live.LiveRun) -> None:
    logger.info("first")
    run.put_back(run.queue_news(Pipe()))
    logger.info("second")
    pipe = sent(run)
    assert (pipe.texts(), pipe.hash["written"]) == (["first", "second"], 2)
    assert sent(run).lines == []


def test_of_a_flood_the_end_is_kept(run: live.LiveRun) -> None:
    pipe = Pipe()
    for number in range(5 * MAX_LINES):
        logger.info("line %s", number)
        if number % 700 == 0:
            run.queue_news(pipe)
    run.queue_news(pipe)
    assert len(pipe.lines) == MAX_LINES and pipe.texts()[-1] == f"line {5 * MAX_LINES - 1}"
    assert pipe.hash["written"] == 5 * MAX_LINES


def test_long_lines_are_cut_and_their_sum_is_bounded(run: live.LiveRun) -> None:
    pipe = Pipe()
    for _ in range(300):
        logger.info("x" * 10_000)
        run.queue_news(pipe)
    assert max(map(len, pipe.texts())) <= MAX_LINE
    assert sum(map(len, pipe.lines)) <= MAX_CHARS


def test_an_exception_brings_its_traceback(run: live.LiveRun) -> None:
    try:
        raise KeyError("gone")
    except KeyError:
        logger.exception("could not find it")
    texts = sent(run).texts()
    assert texts[0] == "could not find it" and texts[-1] == "KeyError: 'gone'"


def test_a_secret_never_leaves(run: live.LiveRun) -> None:
    live.hide(["hunter2", "ab"])
    logger.info("the password is hunter2, said ab")
    assert sent(run).texts() == ["the password is •••, said ab"]


def test_what_is_logged_outside_of_a_run_belongs_to_none(run: live.LiveRun) -> None:
    assert live.take("another") is None and live.take("t") is run
    logger.info("afterwards")
    assert sent(run).lines == []


def test_half_a_surrogate_pair_does_no_harm(run: live.LiveRun) -> None:
    logger.info("\ud83d and \x00")
    assert sent(run).texts() == ["? and \x00"]


def test_progress_counts_what_is_done_not_what_is_begun(run: live.LiveRun) -> None:
    rows = progress([10, 20, 30], noun="balances")
    assert [next(rows), next(rows)] == [10, 20]
    told = json.loads(sent(run).hash["progress"])
    assert (told["done"], told["total"], told["noun"]) == (1, 3, "balances")
    assert list(rows) == [30]
    assert json.loads(sent(run).hash["progress"])["done"] == 3
    assert "progress" not in sent(run).hash, "nothing new, nothing sent"


def test_progress_of_what_has_no_length_has_no_total(run: live.LiveRun) -> None:
    assert list(progress(x for x in "abc")) == ["a", "b", "c"]
    assert json.loads(sent(run).hash["progress"])["total"] is None


def test_progress_by_hand_keeps_what_it_is_not_told(run: live.LiveRun) -> None:
    set_progress(1, 9, noun="letters", note="Ana")
    set_progress(2)
    told = json.loads(sent(run).hash["progress"])
    assert (told["done"], told["total"], told["noun"], told["note"]) == (2, 9, "letters", "")


def test_outside_of_a_worker_progress_only_iterates() -> None:
    live.current.run = None
    assert list(progress(range(3))) == [0, 1, 2]
    set_progress(3, 3)


@pytest.mark.parametrize(
    ("meta", "expected"),
    [
        ({"current": 5, "total": 10, "status": "reading"}, (5, 10, "", "current: 5, total: 10, status: reading")),
        ({"Done": 5, "TOTAL": 10}, (5, 10, "", "Done: 5, TOTAL: 10")),
        ({"progress": 50}, (50, 100, "%", "progress: 50")),
        ({"percent": 33.3}, (33.3, 100, "%", "percent: 33.3")),
        ({"progress": 0.5}, (None, None, "", "progress: 0.5")),
        ({"progress": 150}, (None, None, "", "progress: 150")),
        ({"current": True, "total": 10}, (None, None, "", "current: True, total: 10")),
        ({"current": float("nan"), "total": float("inf")}, (None, None, "", "current: nan, total: inf")),
        ({"current": 10**400, "total": -1}, (None, None, "", None)),
        ({"current": 5, "total": 0}, (None, None, "", "current: 5, total: 0")),
        ("half way", (None, None, "", "half way")),
        (None, (None, None, "", "")),
        ([1, {"a": [2]}], (None, None, "", "[1, {a: [2]}]")),
        ({"password": "x", "url": "redis://u:p@h/0"}, (None, None, "", "password: •••, url: redis://u:***@h/0")),
        ({"a": {"b": {"c": {"d": {"e": [1]}}}}}, (None, None, "", "a: {b: {c: {d: {e: …}}}}")),
    ],
)
def test_a_meta_is_a_bar_where_its_numbers_are_evident(run: live.LiveRun, meta: Any, expected: Any) -> None:
    tell_state(run, "PROGRESS", meta, began=None)
    told = json.loads(sent(run).hash["progress"])
    text = told["meta"] if expected[3] is None else expected[3]
    assert (told["done"], told["total"], told["noun"], told["meta"]) == (*expected[:3], text)
    assert told["state"] == "PROGRESS" and "progress" not in sent(run).hash, "once"


def test_a_meta_of_whatever_size_and_kind_is_bounded_and_stops_nothing(run: live.LiveRun) -> None:
    class Odd:
        def __str__(self) -> str:
            raise RuntimeError("never")

    for meta in ({"rows": ["x" * 5000] * 5000, "done": 1, "total": 2}, "x" * 1_000_000, {"odd": Odd()}, b"\xff"):
        tell_state(run, "S" * 300, meta, began=None)
        told = json.loads(sent(run).hash["progress"])
        assert len(told["meta"]) <= 1100 and len(told["state"]) == 50


def test_a_state_by_hand_and_a_count_are_told_together(run: live.LiveRun) -> None:
    live.hide(["hunter2"])
    tell_state(run, "READING", {"done": 1, "total": 4}, began=100.0)
    set_progress(2, 4, noun="files", note="b.csv")
    tell_state(run, "CHECKING", "with hunter2", began=100.0)
    told = json.loads(sent(run).hash["progress"])
    assert (told["done"], told["total"], told["noun"], told["note"]) == (2, 4, "files", "b.csv")
    assert (told["state"], told["meta"], told["began"]) == ("CHECKING", "with •••", 100.0)
