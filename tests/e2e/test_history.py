"""History compared with what the tasks themselves wrote down: every run, state, argument, parent, order."""

from __future__ import annotations

import json
import os
from datetime import date
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from celery import chain, chord, current_app, group
from django.utils import timezone

from jobs.ledger.live import live_of
from jobs.models import Attempt, Run, RunLog
from jobs.pipeline.arguments import decode
from jobs.pipeline.told import MAX_CHARS, MAX_LINES, log_key, progress_key
from jobs.states import FINISHED, State
from tests import tasks_observed as tasks
from tests.e2e.conftest import finished, in_state
from tests.e2e.processes import Stack, wait_for


def book() -> dict[str, list[dict[str, Any]]]:
    """What the tasks wrote, by task id, in the order of writing."""
    path = Path(os.environ["OUTSIDE_BOOK"])
    found: dict[str, list[dict[str, Any]]] = {}
    for line in map(json.loads, path.read_text().splitlines()):
        if "root" in line:
            found.setdefault(line["id"], []).append(line)
    return found


def publish_everything() -> dict[str, str]:
    """About 300 tasks of all kinds; returns what must become of those that never start, by id."""
    never: dict[str, str] = {}
    values = [
        1,
        "ė ✓ <b>",
        None,
        [1, [2]],
        {"k": 1.5},
        date(2026, 2, 28),
        Decimal("0.10"),
        uuid4(),
        b"\x00\xff",
        10**30,
    ]
    for number in range(8):
        for value in values:
            tasks.succeed.delay(value, number, key=value)
    for number in range(20):
        tasks.break_down.delay(f"thing {number}")
        tasks.succeed_quietly.delay(number)
        tasks.try_again.delay(number % 4)
    for number in range(10):
        tasks.publish_two.delay(f"parent {number}")
        chain(tasks.succeed.si(number), tasks.succeed.si("second"), tasks.succeed.si("third"))()
        broken = chain(tasks.succeed.si(number), tasks.break_down.si("link"), tasks.succeed.si("never"))()
        never[broken.id] = "cancelled"
    for number in range(6):
        group(tasks.succeed.s(number, member) for member in range(4))()
        chord([tasks.succeed.s(number), tasks.succeed.s(1, 2)], tasks.add_up.s())()
    for number in range(5):
        tasks.replaced.delay(number)
        tasks.ignore.delay()
        tasks.reject.delay()
        tasks.succeed.apply_async(("later",), countdown=0.5)
        never[tasks.succeed.apply_async(("too late",), expires=-1).id] = "expired"
        never[current_app.send_task("tests.nobody_knows_me", [number]).id] = "failed"
    revoked = [str(uuid4()) for _ in range(5)]
    current_app.control.revoke(revoked)
    # Commands are obeyed in their order: after the answer to the second the first is known.
    assert current_app.control.ping(destination=["default@tests"], timeout=10)
    for task_id in revoked:
        tasks.succeed.apply_async(("revoked",), task_id=task_id)
        never[task_id] = "cancelled"
    tasks.die.delay()
    return never


NAMES = "tests."


@pytest.fixture(scope="module")
def never(running: Stack) -> dict[str, str]:
    """Publishes, and waits until everything has ended; what must have become of the runs that never start."""
    running.up(running.worker, running.recorder)
    began = timezone.now()
    # A book of our own: what the tasks of other tests wrote, and left behind, is theirs.
    book = Path(os.environ["OUTSIDE_BOOK"])
    if book.exists():
        book.rename(book.with_name("earlier-book.jsonl"))
    never = publish_everything()
    ours = Run.objects.filter(task_name__startswith=NAMES, guaranteed=False, accepted_at__gte=began)

    def all_ended() -> bool:
        # A child is reported before its parent's end, so nothing active means that nothing is to come.
        known = set(ours.values_list("task_id", flat=True))
        return never.keys() <= known and not ours.exclude(state__in=FINISHED).exists()

    wait_for(all_ended, "300 runs to end", 60)
    return never


def test_every_run_is_there_with_its_state(never: dict[str, str]) -> None:
    wrote = book()
    runs = {run.task_id: run for run in Run.objects.filter(task_id__in={*wrote, *never})}

    assert len({*wrote, *never}) >= 300
    assert {*wrote, *never} == set(runs)
    expected = {**{task_id: lines[-1]["event"] for task_id, lines in wrote.items()}, **never}
    wrong = {i: (runs[i].task_name, runs[i].state, want) for i, want in expected.items() if runs[i].state != want}
    assert wrong == {}


def test_arguments_are_exact(never: dict[str, str]) -> None:
    wrong = {}
    for task_id, lines in book().items():
        run = Run.objects.get(task_id=task_id)
        received = [line["arguments"] for line in lines if line["event"] == "start"][-1]
        if not run.arguments_exact or decode(run.arguments) != decode(received):
            wrong[task_id] = (run.task_name, run.arguments, received)
    assert wrong == {}


def test_families_and_groups_are_right(never: dict[str, str]) -> None:
    for task_id, lines in book().items():
        run = Run.objects.get(task_id=task_id)
        told = lines[0]
        root = told["root"] if told["root"] != task_id else None
        assert (run.parent_id, run.root_id, run.group_id) == (told["parent"], root, told["group"]), run.task_name


def test_attempts_and_times_are_right(never: dict[str, str]) -> None:
    for task_id, lines in book().items():
        run = Run.objects.get(task_id=task_id)
        starts = [line for line in lines if line["event"] == "start"]
        if run.task_name == tasks.replaced.name or len({line["name"] for line in lines}) > 1:
            continue  # one id, two tasks
        assert run.attempt == len(starts), run.task_name
        assert run.retries == starts[-1]["retries"]
        ended = {"retrying": "retried", "failed": "failed", "lost": "lost", "cancelled": "cancelled"}
        kept = Attempt.objects.filter(run=run).order_by("number").values_list("outcome", flat=True)
        assert list(kept) == [ended[line["event"]] for line in lines if line["event"] in ended], run.task_name
        if lines[-1]["event"] == "lost" and run.started_at is None:
            continue  # its process died before anybody had seen it at work
        assert run.started_at is not None and run.finished_at is not None
        assert run.accepted_at <= run.started_at <= run.finished_at
        # Both clocks are this machine's: the ledger's start lies just before the first line of the body.
        assert 0 <= starts[0]["at"] - run.started_at.timestamp() < 1
        assert run.worker == "default@tests" and run.queue == "default"
    once = {i: lines for i, lines in book().items() if len({line["name"] for line in lines}) == 1}
    order = sorted((lines[0]["at"], task_id) for task_id, lines in once.items())
    ids = [task_id for _, task_id in order]
    starts_at = dict(Run.objects.filter(task_id__in=ids).values_list("task_id", "started_at"))
    moments = [at.timestamp() for task_id in ids if (at := starts_at[task_id]) is not None]
    # Two processes work at once: neighbours may differ by what lies between the two readings of the clock.
    assert all(later > earlier - 0.2 for earlier, later in pairwise(moments))


def test_where_it_came_from_is_told(never: dict[str, str]) -> None:
    run = Run.objects.filter(task_name=tasks.break_down.name, parent_id="").first()
    assert run is not None
    assert run.origin.startswith(f"{os.getpid()}@")
    assert run.summary == str(decode(run.arguments)[0][0])
    assert (run.error_type, run.error_message) == ("LookupError", f"no {run.summary} anywhere")


def test_an_id_that_is_used_again_opens_its_next_attempt(stack: Stack) -> None:
    task_id = f"nightly {uuid4()}"
    tasks.break_down.apply_async(("first",), task_id=task_id)
    first = finished(task_id)
    tasks.succeed.apply_async(("second",), task_id=task_id)
    again = wait_for(lambda: Run.objects.filter(task_id=task_id, state=State.SUCCEEDED).first(), "the second use")

    assert (first.attempt, again.attempt, again.pk) == (1, 2, first.pk)
    assert (again.task_name, again.summary, again.error_type) == (tasks.succeed.name, "second", "")
    assert list(again.attempts.values_list("number", "outcome")) == [(1, "failed")]

    # Celery keeps the first success of an id in Redis; the ledger goes on.
    tasks.break_down.apply_async(("third",), task_id=task_id)
    third = wait_for(lambda: Run.objects.filter(task_id=task_id, state=State.FAILED).first(), "the third use")
    assert (third.attempt, third.error_message) == (3, "no third anywhere")


def test_an_observed_run_at_work_is_seen_and_lost_with_its_worker(stack: Stack, root: Path) -> None:
    flag = root / "never-made"
    result = tasks.hold.delay(str(flag))
    run = in_state(result.id, State.RUNNING)
    assert run.worker == "default@tests" and run.started_at is not None

    stack.worker.kill()
    try:
        run = in_state(result.id, State.LOST, 90)
        assert run.state_note == "worker vanished"
    finally:
        stack.up(stack.worker)


def test_a_log_is_live_and_kept(stack: Stack, root: Path) -> None:
    flag = root / "go-on-talking"
    result = tasks.talk.delay(3, str(flag))
    run = wait_for(lambda: Run.objects.filter(task_id=result.id).first(), "the run to be known")
    wait_for(lambda: len(live_of(run).lines) == 6, "six lines")
    assert [(line.level, line.text) for line in live_of(run).lines] == [
        *(("INFO", f"line {number}") for number in range(3)),
        ("PRINT", "printed"),
        ("WARNING", "half way"),
        ("WARNING", "with a second line"),
    ]
    flag.touch()
    run = finished(result.id)
    assert [line.text for line in live_of(run).lines][-2:] == ["with a second line", "the end"]
    assert (live_of(run).written, {line.attempt for line in live_of(run).lines}) == (7, {1})
    assert stack.client().exists(log_key(result.id), progress_key(result.id)) == 0


def test_progress_is_live_and_its_last_value_kept(stack: Stack, root: Path) -> None:
    flag = root / "go-on-counting"
    result = tasks.count.delay(10, str(flag))
    run = in_state(result.id, State.RUNNING)
    seen = wait_for(lambda: live_of(run).progress, "progress")
    assert (seen.done, seen.total, seen.noun, seen.share) == (5, 10, "balances", 0.5)
    flag.touch()
    last = live_of(finished(result.id)).progress
    assert last is not None and (last.done, last.total, last.left) == (10, 10, 0)


def test_a_killed_run_keeps_what_it_said(stack: Stack, root: Path) -> None:
    result = tasks.talk.delay(2, str(root / "never-made-either"))
    run = in_state(result.id, State.RUNNING)
    wait_for(lambda: len(live_of(run).lines) == 5, "its lines")
    stack.worker.kill()
    try:
        run = in_state(result.id, State.LOST, 90)
        assert [line.text for line in live_of(run).lines][:2] == ["line 0", "line 1"]
    finally:
        stack.up(stack.worker)


def test_a_flood_of_lines_and_progress_stays_within_its_bounds(stack: Stack) -> None:
    talk, count = tasks.talk.delay(30_000), tasks.count_by_hand.delay(200_000)
    run = finished(talk.id, 60)
    live = live_of(run)
    assert live.written == 30_004
    assert len(live.lines) == MAX_LINES and live.lines[-1].text == "the end"
    assert len(RunLog.objects.get(run=run).lines) <= MAX_CHARS
    progress = live_of(finished(count.id, 60)).progress
    assert progress is not None and (progress.done, progress.note) == (200_000, "letter 199999")
