"""What is published: each kind returns what the journal cannot tell, by task id."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

from celery import chain, chord, current_app, group

from tests import tasks_observed as observed
from tests.soak import tasks

VALUES: list[Any] = [
    1, "ė ✓ <b>", None, [1, [2]], {"k": 1.5}, date(2026, 2, 28), Decimal("0.10"), b"\x00\xff", 10**30, "\udcff.csv",
    "nul \x00", {"deep": [[[[[[1]]]]]]}, (1, 2), True, "x" * 5000,
]  # fmt: skip
ODD_ERRORS = ("client", "no pickle", "silent", "arguments", "surrogate")


@dataclass(slots=True)
class Expected:
    """What must become of runs whose own lines do not tell it: they never start, or write none.

    Attributes:
        states: by task id.
        names: the task's name by task id, of what never started because something before it failed.
    """

    states: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)


def plain(number: int, folder: Path, expected: Expected) -> None:
    value = VALUES[number % len(VALUES)]
    observed.succeed.delay(value, number, key=value)
    observed.succeed_quietly.delay(number)
    observed.break_down.delay(f"thing {number}")
    observed.try_again.delay(number % 4)
    observed.succeed.apply_async((number,), priority=number % 10, queue="reports")


def custom_states(number: int, folder: Path, expected: Expected) -> None:
    tasks.report_states.delay(0.1)
    if number % 2:
        tasks.report_and_break.delay()


def canvas(number: int, folder: Path, expected: Expected) -> None:
    observed.publish_two.delay(f"parent {number}")
    chain(observed.succeed.si(number), observed.succeed.si("second"), observed.succeed.si("third"))()
    broken = chain(observed.break_down.si("link"), observed.succeed.si("never"), observed.succeed.si("nor this"))()
    expected.states |= {broken.id: "cancelled", broken.parent.id: "cancelled"}
    group(observed.succeed.s(number, member) for member in range(3))()
    chord([observed.succeed.s(number), observed.succeed.s(1, 2)], tasks.total.s())()
    chain(observed.succeed.si(number), chord([observed.succeed.si(1), observed.succeed.si(2)], tasks.total.s()))()


def broken_chords(number: int, folder: Path, expected: Expected) -> None:
    body: Any = chord([observed.succeed.s(number), observed.break_down.s("member")], tasks.total.s())()
    expected.states[body.id], expected.names[body.id] = "cancelled", tasks.total.name
    of_group: Any = chord(
        [observed.succeed.s(number), observed.break_down.s("member")], group(tasks.total.s(), tasks.total.s())
    )()
    for member in of_group.results:
        expected.states[member.id], expected.names[member.id] = "cancelled", tasks.total.name
    tasks.total.apply_async(([1],), link=observed.succeed.s())
    observed.break_down.apply_async(("with an errback",), link_error=tasks.note_error.s())


def odd_ends(number: int, folder: Path, expected: Expected) -> None:
    tasks.break_oddly.delay(ODD_ERRORS[number % len(ODD_ERRORS)])
    observed.ignore.delay()
    observed.reject.delay()
    observed.replaced.delay(number)
    tasks.give_unspeakable.delay()
    tasks.put_back_once.delay(str(folder / f"mark-{number}"))
    if number % 10 == 0:
        observed.die.delay()
        tasks.leave.delay()


def never_started(number: int, folder: Path, expected: Expected) -> None:
    past = datetime.now(UTC) - timedelta(minutes=1)
    expected.states[observed.succeed.apply_async(("too late",), expires=past).id] = "expired"
    expected.states[current_app.send_task("tests.nobody_knows_me", [number]).id] = "failed"
    observed.succeed.apply_async(("later",), countdown=0.3)


def own_headers(number: int, folder: Path, expected: Expected) -> None:
    headers: Any = {
        "actor_id": "usr_123",
        "run_attempt": "third",
        "source": "shop",
        "published_at": "yesterday",
        "claimed": False,
        "started_at": "noon",
        "replaced": True,
        "run_files": "none",
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    }
    tasks.read_headers.apply_async(kwargs=headers, headers=headers)


def odd_ids(number: int, folder: Path, expected: Expected) -> None:
    observed.succeed.apply_async(("uuid",), task_id=uuid4())  # type: ignore[arg-type]
    observed.succeed.apply_async(("slashes",), task_id=f"nightly/{number}?x=%2F&{uuid4().hex}")


def inline(number: int, folder: Path, expected: Expected) -> None:
    """`map`, `starmap` and `chunks`: one run each, whose calls write nothing."""
    expected.states[tasks.double.map([1, 2]).delay().id] = "succeeded"
    expected.states[tasks.double_or_break.starmap([(1,), (2,)]).delay().id] = "failed"
    result: Any = tasks.double.chunks([(1,), (2,), (3,)], 2).apply_async()
    expected.states |= {member.id: "succeeded" for member in result.results}


Kind = Callable[[int, Path, Expected], None]
KINDS: tuple[Kind, ...] = (
    plain, custom_states, canvas, broken_chords, odd_ends, never_started, own_headers, odd_ids, inline,
)  # fmt: skip


def publish(rounds: int, folder: Path) -> Expected:
    """All kinds in turn, so many rounds."""
    expected = Expected()
    for number in range(rounds):
        for kind in KINDS:
            kind(number, folder, expected)
    return expected


def publish_reused(rounds: int, wait: Callable[[str], None]) -> None:
    """Ids that are used again once their first use has ended, with another name, family and arguments.

    Args:
        wait: blocks until the run of this id has ended.
    """
    ids = [f"nightly-{number}-{uuid4().hex}" for number in range(rounds)]
    for task_id in ids:
        group(observed.break_down.si("first").set(task_id=task_id), observed.succeed.si("beside it"))()
    for task_id in ids:
        wait(task_id)
        observed.succeed.apply_async(("second", task_id), task_id=task_id)
