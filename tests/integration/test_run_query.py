"""Lists of runs against a plain model: every filter, both ways, equal times, windows, searches, figures."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from jobs.ledger import run_query
from jobs.ledger.durations import Usual, forget_durations, usual
from jobs.ledger.lists import job_history, troubled_since
from jobs.ledger.run_counts import RunCounts, run_counts
from jobs.ledger.run_query import Place, RunQuery, search_is_indexed
from jobs.ledger.run_slices import RunSlice, newer_count, run_slice
from jobs.models import Run
from jobs.states import Source, State

START = datetime(2026, 9, 30, 12, 0, tzinfo=UTC)
WORDS = ("period=2026-09", "Customer=ACME Ltd", "leavers.csv, dry run", "100%_done", "ключ=значение", "o'Brien \\ path")


def make(number: int, chance: random.Random) -> Run:
    source = chance.choice(list(Source))
    by_hand = source in {Source.CONSOLE, Source.RETRY}
    return Run(
        task_id=f"{chance.getrandbits(32):08x}-{number}",
        task_name=chance.choice(["one", "two", "three"]),
        summary=chance.choice(WORDS),
        state=chance.choice(list(State)),
        queue=chance.choice(["default", "reports"]),
        worker=chance.choice(["a@web", "b@web", ""]),
        schedule_id=chance.choice([1, 2]) if source == Source.SCHEDULE else None,
        actor_id=chance.choice(["7", "8"]) if by_hand else None,
        source=source,
        # Few different times for many runs: ties are the rule.
        accepted_at=START + timedelta(milliseconds=500 * chance.randrange(40)),
    )


@pytest.fixture
def runs(db: None) -> list[Run]:
    """200 runs, newest first."""
    chance = random.Random(20260930)
    Run.objects.bulk_create([make(number, chance) for number in range(200)])
    return sorted(Run.objects.all(), key=lambda run: (run.accepted_at, run.pk), reverse=True)


def matches(run: Run, query: RunQuery) -> bool:
    """What RunQuery says, in Python."""
    words = query.words.casefold()
    return all(
        (
            query.state in (None, run.state),
            query.task_name in ("", run.task_name),
            query.queue in ("", run.queue),
            query.worker in ("", run.worker),
            query.schedule_id in (None, run.schedule_id),
            query.actor_id in (None, run.actor_id),
            query.source in (None, run.source),
            query.since is None or run.accepted_at >= query.since,
            query.until is None or run.accepted_at < query.until,
            run.task_id.startswith(query.id_prefix),
            words in run.summary.casefold() or query.words == run.task_id,
        )
    )


def whole(query: RunQuery, *, limit: int, backwards: bool = False) -> list[int]:
    """Every page of the list in turn, as a person would turn them; newest first."""
    found: list[int] = []
    place: Place | None = None
    for _ in range(500):
        page = run_slice(query, limit=limit, place=place, backwards=backwards)
        counts = figures(query, page, place, backwards=backwards)
        keys = [line.run.pk for line in page.lines]
        found = keys + found if backwards else found + keys
        if page.more:
            place = page.lines[0 if backwards else -1].place
        elif counts.end is not None:
            place = counts.end
        else:
            return found
    raise AssertionError("the list has no end")


def figures(query: RunQuery, page: RunSlice, place: Place | None = None, *, backwards: bool = False) -> RunCounts:
    return run_counts(query, cap=1000, shown=page, place=place, backwards=backwards)


SOME: dict[str, tuple[Any, ...]] = {
    "state": (State.FAILED, State.SUCCEEDED),
    "task_name": ("one", "unheard of"),
    "queue": ("reports",),
    "worker": ("a@web",),
    "schedule_id": (1,),
    "actor_id": ("7",),
    "source": tuple(Source),
    "since": (START + timedelta(seconds=5),),
    "until": (START + timedelta(seconds=15),),
    "id_prefix": ("a", "00", "zz"),
    "words": ("acme", "100%_", "O'BRIEN \\", "nowhere", "dry run"),
}
EACH = [RunQuery(), *(RunQuery(**{name: value}) for name, values in SOME.items() for value in values)]


def pairs() -> list[RunQuery]:
    names = list(SOME)
    return [RunQuery(**{a: SOME[a][0], b: SOME[b][-1]}) for number, a in enumerate(names) for b in names[number + 1 :]]


def mixtures() -> list[RunQuery]:
    chance = random.Random(7)
    found = []
    for _ in range(30):
        some = chance.sample(list(SOME), chance.randint(3, 5))
        found.append(RunQuery(**{name: chance.choice(SOME[name]) for name in some}))
    return found


def named(query: RunQuery) -> str:
    return " ".join(f"{name}={getattr(query, name)}" for name in SOME if getattr(query, name)) or "all"


@pytest.mark.parametrize("query", [*EACH, *pairs(), *mixtures()], ids=named)
@pytest.mark.parametrize("window", [10_000, 23])
def test_every_filter_says_what_it_says(
    runs: list[Run], query: RunQuery, window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a page sees only 23 runs at a time: turning the pages shows each match once, in order."""
    expected = [run.pk for run in runs if matches(run, query)]
    monkeypatch.setattr(run_query, "WINDOW", window)
    monkeypatch.setattr(run_query, "SEARCHED", window)
    if query.id_prefix and len([run for run in runs if run.task_id.startswith(query.id_prefix)]) >= window:
        return  # of so many ids only the first are looked at
    limit = 7 if window == 23 else 40
    assert whole(query, limit=limit) == expected
    assert whole(query, limit=limit, backwards=True) == expected


@pytest.mark.parametrize(
    "query", [RunQuery(), RunQuery(state=State.FAILED), RunQuery(task_name="one", queue="reports")]
)
def test_places_go_both_ways_between_equal_times(runs: list[Run], query: RunQuery) -> None:
    expected = [run for run in runs if matches(run, query)]
    for number, run in enumerate(expected):
        place = Place(run.accepted_at, run.pk)
        older, newer = (run_slice(query, limit=3, place=place, backwards=b).lines for b in (False, True))
        assert [line.run for line in older] == expected[number + 1 : number + 4]
        assert [line.run for line in newer] == expected[max(number - 3, 0) : number]


def test_a_place_whose_run_is_gone_goes_on_by_its_time(runs: list[Run]) -> None:
    at = runs[100].accepted_at
    page = run_slice(RunQuery(), limit=200, place=Place(at, 0))
    assert [line.run for line in page.lines] == [run for run in runs if run.accepted_at < at]


def test_times_that_sqlite_writes_in_two_ways_do_not_repeat_a_run(db: None) -> None:
    for number in range(5):
        Run.objects.create(task_id=f"by-default-{number}", task_name="one")  # the database's clock, in milliseconds
    expected = [run.pk for run in Run.objects.all()]
    assert whole(RunQuery(), limit=1) == expected and whole(RunQuery(), limit=1, backwards=True) == expected


def test_a_page_that_was_cut_short_tells_where_it_stopped(runs: list[Run], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_query, "WINDOW", 20)
    query = RunQuery(task_name="one", queue="reports", state=State.SUCCEEDED)
    leading = [run for run in runs if run.task_name == "one"]
    page = run_slice(query, limit=50)
    counts = figures(query, page)
    assert page.pool.lead == "task_name" and counts.end == Place(leading[19].accepted_at, leading[19].pk)
    assert [line.run for line in page.lines] == [run for run in leading[:20] if matches(run, query)]
    assert counts.partial


def test_the_whole_history_was_seen_where_the_window_is_not_full(runs: list[Run]) -> None:
    query = RunQuery(task_name="one", queue="reports")
    counts = figures(query, run_slice(query, limit=500))
    assert counts.end is None and not counts.partial


@pytest.mark.parametrize("query", [*EACH, *mixtures()], ids=named)
def test_states_are_counted_whatever_state_is_asked_for(runs: list[Run], query: RunQuery) -> None:
    counts = figures(query, run_slice(query, limit=5))
    narrowed = query.without_state()
    assert counts.by_state == dict.fromkeys(State, 0) | Counter(
        State(run.state) for run in runs if matches(run, narrowed)
    )
    assert counts.running == sum(run.state == State.RUNNING for run in runs)


@pytest.mark.parametrize("query", [*EACH, *mixtures()], ids=named)
def test_new_runs_are_counted_up_to_a_cap(runs: list[Run], query: RunQuery) -> None:
    place = Place(runs[60].accepted_at, runs[60].pk)
    newer = sum(matches(run, query) for run in runs[:60])
    assert newer_count(query, place, cap=100) == newer
    assert newer_count(query, place, cap=3) == min(newer, 4)


def test_a_word_is_found_however_old_where_it_is_indexed(runs: list[Run], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_query, "WINDOW", 50)
    monkeypatch.setattr(run_query, "SEARCHED", 50)
    oldest = runs[-1]
    Run.objects.filter(pk=oldest.pk).update(summary="needle in a haystack")
    query = RunQuery(words="NEEDLE")
    page = run_slice(query, limit=5)
    counts = figures(query, page)
    if search_is_indexed():
        assert [line.run.pk for line in page.lines] == [oldest.pk] and counts.end is None and not counts.partial
        assert counts.by_state[State(oldest.state)] == 1
    else:
        assert not page.lines and counts.end == Place(runs[49].accepted_at, runs[49].pk)


def test_the_word_of_many_old_runs_is_searched_among_the_newest(
    runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_query, "WINDOW", 50)
    monkeypatch.setattr(run_query, "SEARCHED", 50)
    Run.objects.filter(pk__in=[run.pk for run in runs[100:]]).update(summary="everywhere")
    query = RunQuery(words="everywhere")
    page = run_slice(query, limit=5)
    counts = figures(query, page)
    assert not page.lines and counts.partial and counts.end == Place(runs[49].accepted_at, runs[49].pk)


@pytest.mark.skipif(connection.vendor != "postgresql", reason="only PostgreSQL has the index of words")
def test_the_index_of_words_is_there(db: None) -> None:
    run_query._indexed.clear()
    assert search_is_indexed()


PLANS = [
    RunQuery(),
    RunQuery(state=State.LOST),
    RunQuery(task_name="one", queue="reports"),
    RunQuery(worker="a@web", source=Source.CODE),
    RunQuery(actor_id="7"),
    RunQuery(source=Source.SCHEDULE, queue="default"),
    RunQuery(since=START, until=START + timedelta(seconds=9), state=State.SUCCEEDED),
]


@pytest.mark.parametrize("query", PLANS, ids=named)
@pytest.mark.parametrize("backwards", [False, True])
def test_no_plan_reads_the_whole_table(runs: list[Run], query: RunQuery, backwards: bool) -> None:
    place = Place(runs[100].accepted_at, runs[100].pk)
    with CaptureQueriesContext(connection) as queries, connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # So few rows are read faster without an index; whether one serves is asked.
            cursor.execute("SET enable_seqscan = off")
        page = run_slice(query, limit=5, place=place, backwards=backwards)
        figures(query, page, place, backwards=backwards)
    explain = "EXPLAIN " if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN "
    with connection.cursor() as cursor:
        for one in queries:
            if one["sql"].startswith("SET"):
                continue
            cursor.execute(explain + one["sql"])
            plan = "\n".join(str(row[-1]) for row in cursor.fetchall())
            assert "Seq Scan on jobs_run" not in plan, plan
            assert "SCAN jobs_run USING INDEX" not in plan or "run_by_time" in plan or "run_of_" in plan, plan
            if query.state and not (query.since or backwards):
                assert "run_by_state" in plan
        if connection.vendor == "postgresql":
            cursor.execute("RESET enable_seqscan")


def test_usual_durations_come_from_the_newest_runs_that_succeeded(db: None) -> None:
    forget_durations()
    for number in range(60):
        state = State.FAILED if number % 6 == 0 else State.SUCCEEDED
        at = START + timedelta(seconds=number)
        Run.objects.create(task_id=f"u{number}", task_name="one", state=state, runtime=float(number), accepted_at=at)
    Run.objects.create(task_id="few", task_name="two", state=State.SUCCEEDED, runtime=1.0)
    expected = sorted(float(number) for number in range(60) if number % 6)
    with CaptureQueriesContext(connection) as queries:
        found = usual(["one", "two", "never"])
        assert usual(["one", "two", "never"]) == found
    assert len(queries) == 1 and found == {"one": Usual(expected[24], expected[47])}


def test_the_short_lists_are_newest_first_by_time(db: None) -> None:
    for number in range(3):  # recorded in the opposite order of their times
        at = START - timedelta(seconds=number)
        Run.objects.create(task_id=f"s{number}", task_name="one", state=State.FAILED, accepted_at=at, finished_at=at)
    assert [run.task_id for run in Run.objects.filter(task_name="one")] == ["s0", "s1", "s2"]
    assert job_history("one", limit=2).read == 2
    assert [line.run.task_id for line in troubled_since(START - timedelta(hours=1), limit=2)][:1] != ["s2"]
