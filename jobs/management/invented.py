"""An invented history: runs of many tasks over some weeks, the same ones for the same seed and end.

Quick rather than general: a row is a tuple of plain values, made in a few microseconds.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate
from random import Random

from jobs.states import Source, State

from .invented_rows import Chunk, InventedAttempt, InventedRun, World
from .invented_words import (
    ERRORS,
    FAMILIES,
    MAKERS,
    PUBLISHERS,
    RARE_EVERY,
    RARE_WORD,
    REASONS,
    RELEASES,
    WORKERS,
    Kind,
)
from .loading import moment_text

#: How busy each hour of a day is, in UTC: nights are for schedules, days for people.
HOURS = (4, 3, 6, 5, 3, 3, 5, 9, 16, 22, 25, 24, 20, 22, 25, 24, 21, 17, 13, 11, 9, 8, 6, 5)
WEEKEND = 0.45
DAY = 86_400
#: Runs younger than this may not have finished, in seconds.
STILL_OPEN = 240
#: However few runs there are, so many of the newest have not finished.
LEAST_OPEN = 6


class History:
    """The runs from `until` back to `days` before.

    Args:
        first_id: the key of the first run; the others follow.
        until: epoch seconds.
    """

    def __init__(self, world: World, count: int, *, days: int, seed: int, first_id: int, until: float) -> None:
        self._world = world
        self._random = Random(seed)  # noqa: S311 - invented history, nothing to guess
        self._count = count
        self._days = days
        self._until = until
        self._next_id = first_id
        self._weights = list(accumulate(kind.weight for kind in world.kinds))
        self._by_name = {kind.name: kind for kind in world.kinds}
        self._failed: deque[InventedRun] = deque(maxlen=40)
        self._made = 0
        self._chunk = Chunk()

    def chunks(self, size: int) -> Iterator[Chunk]:
        """All of it in pieces of about `size` runs, oldest first."""
        kinds = self._world.kinds
        for accepted in self._moments():
            if self._made >= self._count:
                break
            if self._failed and self._random.random() < 0.002:
                self._retry(self._failed.pop(), accepted)
            else:
                [kind] = self._random.choices(kinds, cum_weights=self._weights)
                self._start(kind, accepted)
            if len(self._chunk.runs) >= size:
                yield self._chunk
                self._chunk = Chunk()
        if self._chunk.runs:
            yield self._chunk

    def _moments(self) -> Iterator[float]:
        """As many as there are runs, oldest first, busier by day than by night and at weekends."""
        hours = self._days * 24
        first = self._until - hours * 3600
        weights = []
        for hour in range(hours):
            at = first + hour * 3600
            weekend = int(at // DAY + 4) % 7 in (0, 6)  # the epoch began on a Thursday
            weights.append(HOURS[int(at % DAY // 3600)] * (WEEKEND if weekend else 1))
        total, due = sum(weights), 0.0
        for hour, weight in enumerate(weights):
            due += weight * self._count / total
            # What families have added so far is not asked for again; the last hour has none and makes the number up.
            here = max(round(due) - self._made, 0) if hour < hours - 1 else self._count - self._made
            yield from sorted(first + (hour + self._random.random()) * 3600 for _ in range(here))

    def _start(self, kind: Kind, accepted: float) -> None:
        random = self._random
        run = self._new(kind, accepted)
        if kind.schedule and random.random() < 0.95:
            run.source, run.guaranteed, run.nonce = Source.SCHEDULE.value, True, f"seed:{run.task_id}"
            run.schedule_id, run.schedule_name = self._world.schedules[kind.schedule], kind.schedule
            run.due_at = moment_text(accepted // 60 * 60)
        elif kind.declared or random.random() < 0.02:
            self._by_a_person(run, Source.CONSOLE)
        else:
            run.origin = PUBLISHERS[int(random.random() * len(PUBLISHERS))]
        self._end(run, kind)
        if kind.name in FAMILIES and accepted < self._until - 3600 and random.random() < 0.5:
            self._children(run, kind)

    def _by_a_person(self, run: InventedRun, source: Source) -> None:
        people = self._world.people
        run.actor_id, run.actor_label = people[int(self._random.random() * len(people))]
        run.reason = REASONS[int(self._random.random() * len(REASONS))]
        run.source, run.guaranteed, run.nonce = source.value, True, f"seed:{run.task_id}"

    def _children(self, parent: InventedRun, kind: Kind) -> None:
        name, size = FAMILIES[kind.name]
        child_kind = self._by_name.get(name)
        if child_kind is None or parent.started_at is None:
            return
        group = self._uuid() if size > 1 else ""
        for _ in range(min(size, self._count - self._made)):
            child = self._new(child_kind, min(parent.accepted + self._random.random() * kind.seconds, self._until))
            child.parent_id, child.group_id = parent.task_id, group
            child.root_id = parent.root_id or parent.task_id
            child.origin, child.actor_id, child.actor_label = parent.worker, parent.actor_id, parent.actor_label
            self._end(child, child_kind)

    def _retry(self, failed: InventedRun, accepted: float) -> None:
        kind = self._by_name[failed.task_name]
        run = self._new(kind, accepted)
        run.arguments, run.summary, run.kwargs_text = failed.arguments, failed.summary, failed.kwargs_text
        run.retry_of_id = failed.id
        self._by_a_person(run, Source.RETRY)
        self._end(run, kind)

    def _new(self, kind: Kind, accepted: float) -> InventedRun:
        self._made += 1
        number, self._next_id = self._next_id, self._next_id + 1
        rare = number % RARE_EVERY == 7 or self._made == 5
        arguments, summary, kwargs_text = _arguments(kind, self._random, rare)
        queues = self._world.queues
        run = InventedRun(
            number, self._uuid(), kind.name, arguments, summary, queues[hash_of(kind.name) % len(queues)], accepted
        )
        run.kwargs_text = kwargs_text
        run.accepted_at = moment_text(accepted)
        run.published_at = moment_text(accepted + 0.2)
        run.publish_count = 1
        self._chunk.runs.append(run)
        return run

    def _uuid(self) -> str:
        digits = f"{self._random.getrandbits(128):032x}"
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"

    def _end(self, run: InventedRun, kind: Kind) -> None:
        """What became of it: mostly success, after a wait and a duration that is sometimes long."""
        random = self._random
        chance = random.random()
        newest = self._made > self._count - LEAST_OPEN
        if newest or (run.accepted > self._until - STILL_OPEN and chance < 0.5):
            self._open(run)
            return
        if chance < 0.007:
            self._never_started(run, State.CANCELLED if chance < 0.004 else State.EXPIRED)
            return
        run.worker = WORKERS[int(random.random() * len(WORKERS))]
        run.release = RELEASES[int((run.accepted - self._until + self._days * DAY) / (self._days * DAY + 1) * 4) % 4]
        run.attempt = 1
        started = run.accepted + random.expovariate(1.2)
        run.runtime = round(random.lognormvariate(0, 0.55) * kind.seconds, 4)
        if 0.007 <= chance < 0.017:
            started = self._tried_before(run, started)
        finished = min(started + run.runtime, self._until)
        run.started_at, run.finished_at = moment_text(started), moment_text(finished)
        run.claimed_at = run.started_at if run.guaranteed else None
        if chance < 0.97 + 0.007:
            run.state = State.SUCCEEDED.value
        elif chance < 0.998:
            run.state = State.FAILED.value
            self._error(run)
            self._failed.append(run)
        else:
            run.state, run.state_note = State.LOST.value, "worker vanished"
            run.error_type, run.error_message = "WorkerVanished", f"{run.worker} stopped answering while it ran this."
        if run.error_type and run.state != State.SUCCEEDED:
            self._chunk.attempts.append(_attempt(run, run.attempt, run.state))
        if random.random() < 0.004:
            self._chunk.logs.append(_log(run, started, random))

    def _open(self, run: InventedRun) -> None:
        """Observed ones only: the console must neither publish nor miss what was invented."""
        run.guaranteed = False
        if self._random.random() < 0.3:
            run.state, run.attempt = State.RUNNING.value, 1
            run.release = RELEASES[-1]
            run.worker = WORKERS[int(self._random.random() * len(WORKERS))]
            run.started_at = run.claimed_at = moment_text(min(run.accepted + 0.5, self._until))

    def _never_started(self, run: InventedRun, state: State) -> None:
        run.state = state.value
        run.finished_at = moment_text(min(run.accepted + 30, self._until))
        run.state_note = "expired" if state is State.EXPIRED else ""

    def _tried_before(self, run: InventedRun, started: float) -> float:
        """An automatic retry: a first attempt that failed; when the second one starts."""
        self._error(run)
        first = replace(run, started_at=moment_text(started), finished_at=moment_text(started + 1), runtime=1.0)
        self._chunk.attempts.append(_attempt(first, 1, "retried"))
        run.error_type = run.error_message = run.traceback = ""
        run.attempt, run.retries = 2, 1
        return min(started + 31.0, self._until)

    def _error(self, run: InventedRun) -> None:
        # A task fails in one way mostly, and now and then in another.
        usual = hash_of(run.task_name) + (self._random.random() < 0.12)
        kind, text, place, line = ERRORS[usual % len(ERRORS)]
        run.error_type, run.error_message = kind, text.format(int(self._random.random() * 900) + 1)
        run.traceback = _TRACEBACK.format(place, line, kind, run.error_message)


def hash_of(name: str) -> int:
    """The same number for a name in every process."""
    return sum(map(ord, name))


def _arguments(kind: Kind, random: Random, rare: bool) -> tuple[str, str, str]:
    """Keyword arguments as the ledger keeps them, as a summary, and as Celery's results have them."""
    exact, short, shown = [], [], []
    for part in kind.fields.split():
        name, _, maker = part.partition(":")
        value, plain = MAKERS[maker](random)
        exact.append(f'"{name}": {value}')
        short.append(f"{name}={plain}")
        shown.append(f"'{name}': '{plain}'" if value[0] == '"' else f"'{name}': {plain}")
    if rare:
        exact.append(f'"note": "{RARE_WORD}"')
        short.append(f"note={RARE_WORD}")
        shown.append(f"'note': '{RARE_WORD}'")
    return f"[[], {{{', '.join(exact)}}}]", ", ".join(short), f'"{{{", ".join(shown)}}}"'


def _attempt(run: InventedRun, number: int, outcome: str) -> InventedAttempt:
    return InventedAttempt(
        run.id,
        number,
        outcome,
        run.worker,
        run.started_at,
        run.finished_at or run.accepted_at,
        run.runtime or 0.0,
        run.error_type,
        run.error_message,
        run.traceback,
    )


def _log(run: InventedRun, started: float, random: Random) -> tuple[int, str, int]:
    lines = [
        [round(started + number * 0.05, 3), "INFO", run.attempt, f"{run.summary[:60]}: step {number}"]
        for number in range(1, int(random.random() * 40) + 2)
    ]
    return run.id, json.dumps(lines), len(lines)


_TRACEBACK = """Traceback (most recent call last):
  File "/app/.venv/lib/python3.12/site-packages/celery/app/trace.py", line 479, in trace_task
    R = retval = fun(*args, **kwargs)
  File "/app/.venv/lib/python3.12/site-packages/celery/app/trace.py", line 779, in __protected_call__
    return self.run(*args, **kwargs)
  File "/app/{0}", line {1}, in handle
    return work(**values)
  File "/app/shop/db.py", line 41, in work
    raise {2}(text)
{2}: {3}
"""
