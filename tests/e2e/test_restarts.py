"""A rolling restart under load: each process is stopped by SIGTERM and started again; nothing is lost or doubled."""

from __future__ import annotations

import re
import signal
import threading
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from jobs.ledger.audit import Actor
from jobs.ledger.verbs import START_RUN
from jobs.models import AuditEvent, Run
from jobs.states import FINISHED, State
from tests import jobs_under_test as under_test
from tests.e2e.client import Person
from tests.e2e.conftest import PASSWORD
from tests.e2e.processes import Daemon, Stack, wait_for

FORM = f"/admin/jobs/run/catalog/{under_test.add.name}/start/"


class Load:
    """One person who starts a run again and again, and again with the same form where no answer came."""

    def __init__(self, person: Person) -> None:
        self._person = person
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._press, name="load")
        #: The ids that the console answered with, as an outside book.
        self.accepted: list[str] = []
        self.repeated = 0

    def _press(self) -> None:
        number = 0
        while not self._stop.wait(0.05):
            number += 1
            nonce = f"load-{id(self)}-{number}"
            while (task_id := self._answer(nonce)) is None:
                self.repeated += 1
                if self._stop.wait(0.1):
                    break
            else:
                self.accepted.append(task_id)

    def _answer(self, nonce: str) -> str | None:
        try:
            answer = self._person.post(FORM, a="1", nonce=nonce)
        except (OSError, urllib.error.URLError):
            return None
        found = re.search(r"/run/([0-9a-f-]{36})/", answer.url)
        return found[1] if answer.status == 200 and found else None

    @contextmanager
    def going(self) -> Iterator[Load]:
        self._thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            self._thread.join(60)


def restart(daemon: Daemon) -> None:
    """As a supervisor does: SIGTERM to the main process, and a new one when it has ended."""
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.process.wait(30) in (0, -signal.SIGTERM)
    daemon.start()


@pytest.mark.parametrize("name", ["web", "worker", "beat", "recorder"])
def test_a_restart_loses_and_doubles_nothing(name: str, stack: Stack, actor: Actor) -> None:
    stack.up(stack.web, stack.worker, stack.beat, stack.recorder)
    ana = Person(stack.url).sign_in("ana", PASSWORD)
    ana.get(FORM)
    last = Run.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    acts = AuditEvent.objects.filter(verb=START_RUN.name).count()
    with Load(ana).going() as load:
        wait_for(lambda: len(load.accepted) >= 5, "the load to flow")
        restart(getattr(stack, name))
        wait_for(lambda: len(load.accepted) >= 10, "the load to flow again")
    runs = Run.objects.filter(pk__gt=last, task_name=under_test.add.name)
    wait_for(lambda: not runs.exclude(state__in=FINISHED).exists(), "every run to end", 60)
    states = dict(runs.values_list("task_id", "state"))
    assert set(load.accepted) <= set(states), "what was answered is in the ledger"
    assert len(load.accepted) == len(set(load.accepted)) >= 10
    # A run of which the last answer was cut off is accepted all the same.
    assert len(states) - len(load.accepted) <= 1
    assert set(states.values()) == {State.SUCCEEDED}
    assert {len(under_test.book(task_id)) for task_id in states} == {1}, "each was executed once"
    assert AuditEvent.objects.filter(verb=START_RUN.name).count() - acts == len(states)
