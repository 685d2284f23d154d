"""The verdict: what the three books must say of each other, and what was broken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from jobs.recorder.merge import RESTORED
from jobs.states import FINISHED, State
from tests.chaos.books import Books, Execution
from tests.chaos.house import Diary, Event
from tests.chaos.jobs import DEADLY, IDEMPOTENT

#: Seconds within which a lost run is told, once Redis, database and recorder are up.
PROMISED = 60
#: The watcher looks once a second, on a machine that is busy.
SEEN_AFTER = 3
#: Seconds around a fault in which a worker may have told what Redis then forgot; and until it can tell again.
TELLING, TOLD_AGAIN = 2, 10
#: How long a claim may wait for the database.
CLAIM = 25
#: What keeps the console from telling.
DISTURBING = ("redis", "forgets", "full", "database", "recorder", "restore")


@dataclass(frozen=True, slots=True)
class Violation:
    """What is wrong with one run."""

    run: str
    sentence: str


@dataclass(slots=True)
class Verdict:
    """What was found."""

    violations: list[Violation] = field(default_factory=list)
    #: Executions that a fault hit.
    hit: int = 0
    #: Accepted after the backup that was restored later, and unknown since.
    away: set[str] = field(default_factory=set)
    #: Executed between the backup and its restoring: the database forgot it.
    rewound: set[str] = field(default_factory=set)
    #: Of those, executed once more afterwards.
    repeated: int = 0
    slowest_told: float = 0.0


def judge(books: Books, diary: Diary) -> Verdict:
    """Compare the books; runs that a restored database forgot are judged apart."""
    verdict = Verdict()
    restored = next(iter(diary.of("restore")), None)
    backup = next(iter(diary.of("backup")), None)
    if restored is not None and backup is not None:
        _set_apart(books, verdict, backup.began, restored.ended)
        verdict.violations += _never_accepted(books, verdict.away, restored.ended)
    verdict.violations += _strangers(books, restored.ended if restored is not None else 0.0)
    verdict.violations += [Violation("", event.what) for event in diary.events if event.by_itself]
    for run in books.answers:
        if run in verdict.away:
            continue
        if run not in books.rows:
            verdict.violations.append(Violation(run, "was accepted and is not in the database"))
            continue
        found = list(_of_every_run(books, run))
        if run in verdict.rewound:
            assert restored is not None and backup is not None
            # A Redis that was emptied since the backup cannot tell what ran.
            knew = not any(backup.began <= event.began <= restored.ended for event in diary.of("forgets"))
            found += _of_rewound(books, run, restored.ended, knew=knew)
        else:
            found += _of_run(books, diary, run, verdict)
        verdict.violations += found
    verdict.hit = sum(_touched(books, diary, one) for of_run in books.executions.values() for one in of_run.values())
    verdict.hit += sum(1 for run, row in books.rows.items() if _lost(row["state"]) and _last(books, run) is None)
    return verdict


def _set_apart(books: Books, verdict: Verdict, backup: float, restored: float) -> None:
    for run, answer in books.answers.items():
        if run not in books.rows:
            if backup <= answer["t"] and answer["asked"] <= restored:
                verdict.away.add(run)
        elif any(backup <= line["t"] <= restored for line in books.outside.get(run, [])):
            verdict.rewound.add(run)
            again = {line["n"] for line in books.outside[run] if line["t"] > restored and line["ev"] == "start"}
            verdict.repeated += any(line["n"] in again for line in books.outside[run] if line["t"] <= restored)


def _never_accepted(books: Books, away: set[str], restored: float) -> Iterator[Violation]:
    for run in away:
        if any(line["t"] > restored and line["ev"] == "start" for line in books.outside.get(run, [])):
            yield Violation(run, "was started although the restored database never accepted it")


def _strangers(books: Books, restored: float) -> Iterator[Violation]:
    for run, lines in books.outside.items():
        # Accepted, not answered because the database went away, and asked for again when it was an older one.
        if run not in books.answers and (run in books.rows or lines[-1]["t"] > restored):
            yield Violation(run, "was executed and never accepted")
    for run in books.rows:
        if run not in books.answers:
            yield Violation(run, "is in the database and nobody was told so")


def _of_every_run(books: Books, run: str) -> Iterator[Violation]:
    row = books.rows[run]
    if row["state"] not in FINISHED:
        yield Violation(run, f"is still {row['state']}")
    if books.audited[run] != 1:
        yield Violation(run, f"has {books.audited[run]} audit events of its start")
    if row["state"] == State.SUCCEEDED and _closed(books, run) != "end":
        yield Violation(run, f"is told succeeded, and execution {row['attempt']} never ended well")


def _of_rewound(books: Books, run: str, restored: float, *, knew: bool) -> Iterator[Violation]:
    """The database forgot what was executed; what it did since must hold all the same."""
    before = [line["ev"] for line in books.outside[run] if line["t"] <= restored]
    starts = [line["n"] for line in books.outside[run] if line["t"] > restored and line["ev"] == "start"]
    if len(starts) != len(set(starts)):
        yield Violation(run, "was executed twice for one n after the restore")
    if knew and starts and before[-1] != "retry" and books.rows[run]["task_name"] not in IDEMPOTENT:
        yield Violation(run, "is not idempotent, was executed before the restore, and again after it")


def _of_run(books: Books, diary: Diary, run: str, verdict: Verdict) -> Iterator[Violation]:
    row, executions = books.rows[run], books.executions.get(run, {})
    for one in executions.values():
        if len(one.starts) != 1:
            yield Violation(run, f"execution {one.n} was started {len(one.starts)} times")
        if (
            one.n > 1
            and row["task_name"] not in IDEMPOTENT
            and getattr(executions.get(one.n - 1), "closed", "") != "retry"
        ):
            yield Violation(run, f"is not idempotent, and execution {one.n} began without a retry asked for")
    begun = [one.n for one in sorted(executions.values(), key=lambda one: one.began) if one.starts]
    if begun != sorted(begun):
        yield Violation(run, f"its executions began in the order {begun}")
    last = executions.get(row["attempt"])
    state = row["state"]
    # A retry that Redis did not take is a failure, and told so.
    own = {"fail"} if last is None or not _redis_was_away(diary, last.closed_at) else {"fail", "retry"}
    if state == State.FAILED and (last is None or last.closed not in own):
        yield Violation(run, f"is told failed, and execution {row['attempt']} did not fail by its own word")
    if state in FINISHED and state not in {State.SUCCEEDED, State.LOST} and last is not None and last.closed == "end":
        yield Violation(run, f"is told {state}, and execution {row['attempt']} ended well")
    if _lost(state):
        yield from _of_lost(books, diary, run, last, verdict)
    numbers = [number for number, _ in books.attempts.get(run, [])]
    if max(numbers, default=0) > row["attempt"] or max(begun, default=0) > row["attempt"]:
        yield Violation(run, f"has attempts {numbers}, executions {begun}, and is at attempt {row['attempt']}")


def _of_lost(books: Books, diary: Diary, run: str, last: Execution | None, verdict: Verdict) -> Iterator[Violation]:
    cause = _cause(books, diary, run, last)
    if cause is None:
        yield Violation(run, "is told lost, and no fault hit its last execution")
        return
    told = books.told.get(run)
    if told is None:
        return  # told in the last second
    since = _quiet_after(diary, cause)
    verdict.slowest_told = max(verdict.slowest_told, told - since)
    if told - since > PROMISED + SEEN_AFTER:
        yield Violation(run, f"was told lost {told - since:.0f} s after everything that tells was up")


def _cause(books: Books, diary: Diary, run: str, last: Execution | None) -> float | None:
    """When the last execution was hit; None when nothing hit it."""
    row = books.rows[run]
    restored = next(iter(diary.of("restore")), None)
    if restored is not None and row["state_note"] == RESTORED:
        return restored.began
    if last is None:
        # A child that is killed between its message and its claim leaves the word of its parent alone.
        moment = row["claimed_at"] or row["finished_at"]
        claimed = moment.timestamp() if moment else 0.0
        for event in diary.of("worker", "child", "database", "restore", "redis"):
            if event.began - CLAIM <= claimed <= event.ended + CLAIM:
                return max(event.began, claimed)
        return None
    if row["task_name"] in DEADLY:
        return last.closed_at or last.began
    hits = [event.began for event in _hits(diary, last)]
    return max(min(hits), last.began) if hits else None


def _hits(diary: Diary, one: Execution) -> list[Event]:
    """The events that may have kept the console from hearing how an execution ended."""
    found = []
    for event in diary.events:
        if event.part in {"worker", "child"} and event.worker in {one.worker, ""}:
            # Killed while it ran; or after it ended, with the fact still in its hands.
            away = not one.closed or any(
                other.began - 2 <= one.closed_at <= other.ended + 15 for other in diary.of("redis", "full", "forgets")
            )
            if event.ended >= one.began - 1 and (away or event.began <= one.closed_at + 3):
                found.append(event)
        elif event.part == "forgets" and one.closed and _forgotten(event, one):
            found.append(event)
    return found


def _forgotten(event: Event, one: Execution) -> bool:
    """Whether the end of an execution was in Redis alone, or on its way there, when Redis forgot."""
    return one.run in event.erased or event.began - TELLING <= one.closed_at <= event.ended + TELLING


def _redis_was_away(diary: Diary, moment: float) -> bool:
    return any(event.began - 2 <= moment <= event.ended + TOLD_AGAIN for event in diary.of("redis", "full"))


def _touched(books: Books, diary: Diary, one: Execution) -> bool:
    row = books.rows.get(one.run)
    if row is not None and (row["task_name"] in DEADLY or (row["state_note"] == RESTORED and one.n == row["attempt"])):
        return True
    return not one.closed or any(_forgotten(event, one) for event in diary.of("forgets"))


def _quiet_after(diary: Diary, moment: float) -> float:
    """The first moment after which nothing disturbed the telling for as long as it may take."""
    for event in sorted(diary.of(*DISTURBING), key=lambda event: event.began):
        if event.ended > moment and event.began < moment + PROMISED:
            moment = event.ended
    return moment


def _lost(state: str) -> bool:
    return state == State.LOST


def _last(books: Books, run: str) -> Execution | None:
    return books.executions.get(run, {}).get(books.rows[run]["attempt"])


def _closed(books: Books, run: str) -> str:
    last = _last(books, run)
    return last.closed if last is not None else ""
