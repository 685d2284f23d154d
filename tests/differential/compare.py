"""The same messages to a worker of Celery's and to one of ours: who executes them, and who ends on them.

One message at a time: what ends the stock worker is taken out of its Redis before it starts again, else it would end on
it again and again. Every second one comes while the only slot is busy.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from redis import Redis

from tests.differential.messages import Generated, generate
from tests.differential.stock import ENDED
from tests.differential.tasks import NAME
from tests.e2e.processes import PROJECT, Daemon, Stack
from tests.integration.own_redis import message

QUEUE = "default"
#: Seconds after which a worker that executes nothing more counts as ended.
PATIENCE = 20.0


@dataclass(slots=True)
class Side:
    """One worker with one slot, its database of messages, and its journal.

    Attributes:
        name: of the journal.
        lives, start, kill: of the worker.
        ended: marks of messages on which it ended.
        executed: what the journal says.
    """

    name: str
    messages: Redis
    journals: Redis
    lives: Callable[[], bool]
    start: Callable[[], object]
    kill: Callable[[], None]
    ended: list[str] = field(default_factory=list)
    executed: list[str] = field(default_factory=list)
    _sent: int = 0
    _met: str = ""

    def meet(self, given: Generated, *, busy: bool) -> None:
        """Let the worker have the message; what came of it is in `ended` and `executed`."""
        flag = f"{self.name}.flag{self._sent}"
        if busy and not self._good("hold", flag):
            self._renew(self._met)  # the one before has ended it after all
            assert self._good("hold", flag), f"{self.name}: a new worker does nothing"
        self._met = given.mark
        self.messages.lpush(QUEUE, given.sent())
        if busy:
            deadline = time.monotonic() + 2
            while self.messages.llen(QUEUE) and time.monotonic() < deadline:
                time.sleep(0.002)
            time.sleep(0.4 if given.later else 0.01)  # the worker has taken it from Redis, and now from its hand
            self.journals.rpush(flag, "go on")
        elif given.later:
            time.sleep(0.4)
        # Twice: what the timer begins comes after the first.
        if self._good("plain") and self._good("plain"):
            return
        self._renew(given.mark)

    def _renew(self, mark: str) -> None:
        """Another worker in the place of the one that the message of this mark has ended."""
        self.ended.append(mark)
        if self.lives():
            self.kill()
        self.messages.delete(QUEUE, "unacked", "unacked_index", "unacked_mutex")
        self.start()
        # That the killed one has ended is written before the next one starts, and is not said of that.
        left: Any = self.journals.lpop(self.name, 1000)
        self.executed.extend(said.decode() for said in left or ())

    def _good(self, task: str, flag: str = "") -> bool:
        """Whether a whole message is executed."""
        self._sent += 1
        mark = flag or f"good{self._sent}"
        text = message(NAME + task, body=[[flag] if flag else [], {}, {}], mark=mark, id=f"{self.name}.{self._sent}")
        tag = f'"delivery_tag": "good{self._sent}", "body_encoding"'
        self.messages.lpush(QUEUE, text.replace(b'"body_encoding"', tag.encode()))
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            said: Any = self.journals.blpop([self.name], 0.5)
            if said is None:
                if not self.lives():
                    return False
                continue
            self.executed.append(said[1].decode())
            if self.executed[-1] in {mark, ENDED}:
                return self.executed[-1] == mark
        return False


@dataclass(frozen=True, slots=True)
class Compared:
    """What came of it; lists are of messages.

    Attributes:
        both: executed by the stock worker, which then ended on them.
        missed: executed by the stock worker, which lived on, and not by ours.
        twice: executed by ours more than once.
        ended: that ended ours.
        more: executed by ours and not by the stock worker.
    """

    met: list[Generated]
    stock_executed: int
    stock_ended: int
    both: int
    executed: list[Generated]
    missed: list[Generated]
    twice: list[Generated]
    ended: list[Generated]
    more: list[Generated]

    @property
    def is_same(self) -> bool:
        return not (self.missed or self.twice or self.ended)

    def text(self) -> str:
        """What must not be, in full, and the counts."""
        counts = (
            f"{len(self.met):,} messages, every second one with the slot busy. Stock worker: {self.stock_executed:,} "
            f"executed, ended {self.stock_ended:,} times ({self.both:,} of them after it had executed the message). "
            f"Ours: {len(self.executed):,} executed, ended {len(self.ended):,} times; {len(self.missed):,} missed, "
            f"{len(self.twice):,} executed twice, {len(self.more):,} executed that the stock worker did not"
        )
        lists = {"missed": self.missed, "twice": self.twice, "ended": self.ended, "more": self.more}
        lines = [f"{name}: {one.mark} {one.what}" for name, found in lists.items() for one in found[:40]]
        return "\n".join([*lines, counts])


def compare(stock: Side, ours: Side, *, seed: int, number: int, say: Callable[[str], None]) -> Compared:
    """Give both the messages of a seed."""
    met = list(generate(seed, number))
    with ThreadPoolExecutor(2) as at_once:
        for done in [at_once.submit(_meet_all, side, met, say) for side in (stock, ours)]:
            done.result()
    by_stock, by_us, ended = set(stock.executed), set(ours.executed), set(stock.ended)
    return Compared(
        met=met,
        stock_executed=sum(one.mark in by_stock for one in met),
        stock_ended=len(ended),
        both=len(by_stock & ended),
        executed=[one for one in met if one.mark in by_us],
        missed=[one for one in met if one.mark in by_stock - by_us - ended],
        twice=[one for one in met if ours.executed.count(one.mark) > 1],
        ended=[one for one in met if one.mark in ours.ended],
        more=[one for one in met if one.mark in by_us - by_stock],
    )


def _meet_all(side: Side, met: list[Generated], say: Callable[[str], None]) -> None:
    for place, given in enumerate(met):
        side.meet(given, busy=place % 2 == 1)
        if place % 200 == 199:
            say(f"{side.name}: {place + 1:,} of {len(met):,}, ended {len(side.ended):,} times")


@contextmanager
def both_sides(stack: Stack) -> Iterator[tuple[Side, Side]]:
    """The stock worker and ours, started, on two databases of the stack's Redis."""
    options = ["worker", "-l", "INFO", "-c", "1", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    options += ["-Q", QUEUE]
    logs, socket = stack.worker.log.parent, str(stack.socket)
    env = {**stack.env, "DIFFERENTIAL_SOCKET": socket, "TASK_MODULES": "tests.differential.tasks"}
    command = [stack.worker.command[0], "-A", "opsconsole", *options, "-n", "ours@differential"]
    daemon = Daemon("ours", command, logs, {**env, "DIFFERENTIAL_JOURNAL": "ours"}, "ready.")
    with _stock_workers([*options, "-n", "stock@differential"], logs / "stock.log", env, socket) as (start, kill):
        daemon.start()
        journals = Redis(unix_socket_path=socket, db=2)
        stock = Side("stock", Redis(unix_socket_path=socket, db=1), journals, lambda: True, start, kill)
        ours = Side(
            "ours",
            Redis(unix_socket_path=socket, db=0),
            journals,
            lambda: daemon.process is not None and daemon.process.poll() is None,
            daemon.start,
            daemon.kill,
        )
        try:
            yield stock, ours
        finally:
            daemon.stop()


@contextmanager
def _stock_workers(
    options: list[str], log: Any, env: dict[str, str], socket: str
) -> Iterator[tuple[Callable[[], None], Callable[[], None]]]:
    """How to start the next stock worker, and how to kill the present one; the first is started."""
    env = {name: value for name, value in env.items() if name != "DJANGO_SETTINGS_MODULE"}
    env |= {"STOCK_URL": f"redis+socket://{socket}?virtual_host=1", "DIFFERENTIAL_JOURNAL": "stock"}
    pids: list[int] = []
    with log.open("ab") as errors:
        source = subprocess.Popen(
            [sys.executable, "-m", "tests.differential.stock", *options],
            cwd=PROJECT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
        )  # fmt: skip
    assert source.stdin is not None and source.stdout is not None
    give, take = source.stdin, source.stdout

    def start() -> None:
        give.write(b"another\n")
        give.flush()
        pids.append(int(take.readline()))

    def kill() -> None:
        with suppress(ProcessLookupError):
            os.killpg(pids[-1], signal.SIGKILL)

    try:
        start()
        yield start, kill
    finally:
        kill()
        give.close()
        source.wait(30)
        take.close()
