"""The feeder: asks the console for runs and writes down what it answered.

`python -m tests.chaos.feeder COUNT RATE SEED`, a process of its own. A share comes through the web's form, as a person
sends it; the rest through the same verb. Whoever gets no answer asks again with the same nonce, as a person who presses
the button again does, until there is one.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import re
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import Any

import django

django.setup()

from django.contrib.auth.models import User  # noqa: E402 - models only after setup
from django.db import DatabaseError, InterfaceError, close_old_connections, connection  # noqa: E402

from jobs.catalog.registry import find_job  # noqa: E402
from jobs.ledger.audit import Actor  # noqa: E402
from jobs.ledger.start import Wish, start_run  # noqa: E402
from tests.chaos.jobs import MIX  # noqa: E402
from tests.e2e.client import Answer, Person  # noqa: E402

NAME = "chaos"
#: The file that says that no more than COUNT are wanted; until then it goes on at the same pace.
ENOUGH = "enough"
PASSWORD = "a long password for chaos"  # noqa: S105
#: Threads that send forms.
PEOPLE = 2
#: Seconds between two tries of what got no answer.
AGAIN = 0.5
_RUN = re.compile(r"/admin/jobs/run/([0-9a-f-]{36})/change/")


class Answers:
    """The first book: one line for each run that the console said it accepted."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()

    def accepted(self, run: str, job: str, asked: float, tries: int, by: str) -> None:
        line = {"run": run, "job": job, "asked": asked, "t": time.time(), "tries": tries, "by": by}
        with self._lock, self._path.open("ab", buffering=0) as book:
            book.write(json.dumps(line).encode() + b"\n")


class _Stay(urllib.request.HTTPRedirectHandler):
    """The answer to a form is where it leads; the page there is not asked for."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


class Sender(Person):
    """A signed-in person who reads where an accepted form leads."""

    def sign_in(self, name: str, password: str) -> Person:
        person = super().sign_in(name, password)
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar), _Stay())
        return person


def wish_of(seed: int, number: int) -> tuple[Any, dict[str, Any]]:
    """The job and the values of the run with this number; the same for the same seed."""
    chance = random.Random(f"{seed}:{number}")
    task, values, _ = chance.choices(MIX, weights=[share for *_, share in MIX])[0]
    return task, {name: chance.choice(choices) for name, choices in values.items()}


def by_form(sender: Sender, job: str, values: dict[str, Any], nonce: str) -> str | None:
    """Send the form; the run's id, None where the answer was no acceptance."""
    path = f"/admin/jobs/run/catalog/{job}/start/"
    page = sender.get(path)
    # A restored database does not know who signed in since.
    assert page.status != 302, "signed out"
    found = re.search(r'name="nonce" value="([^"]+)"', page.text)
    if page.status != 200 or found is None:
        return None
    answer: Answer = sender.post(path, nonce=nonce, **{name: str(value) for name, value in values.items()})
    location = answer.headers.get("Location", "")
    accepted = _RUN.search(location) if answer.status == 302 else None
    return accepted[1] if accepted else None


class Feeder:
    """Shares the numbers among its threads and keeps the pace."""

    def __init__(self, count: int, rate: float, seed: int, url: str, folder: Path) -> None:
        self.count, self.rate, self.seed, self.url, self.folder = count, rate, seed, url, folder
        self.answers = Answers(folder / "answers.jsonl")
        self._next, self._lock, self._began = 0, threading.Lock(), time.monotonic()

    def run(self) -> None:
        threads = [threading.Thread(target=self._people) for _ in range(PEOPLE)]
        threads += [threading.Thread(target=self._verb), threading.Thread(target=self._bursts, daemon=True)]
        for thread in threads:
            thread.start()
        for thread in threads[:-1]:
            thread.join()

    def _number(self) -> int | None:
        """The next run to ask for, once its moment has come."""
        with self._lock:
            if self._next >= self.count and (self.folder / ENOUGH).exists():
                return None
            number, self._next = self._next, self._next + 1
        time.sleep(max(0.0, self._began + number / self.rate - time.monotonic()))
        return number

    def _people(self) -> None:
        sender: Sender | None = None
        while (number := self._number()) is not None:
            task, values = wish_of(self.seed, number)
            nonce, asked, tries, run = str(uuid.uuid4()), time.time(), 0, None
            while run is None:
                tries += 1
                try:
                    if sender is None:
                        sender = Sender(self.url)
                        sender.sign_in(NAME, PASSWORD)
                    run = by_form(sender, task.name, values, nonce)
                except (OSError, http.client.HTTPException, AssertionError):
                    sender = None  # the web is away, or forgot us
                if run is None:
                    time.sleep(AGAIN)
            self.answers.accepted(run, task.name, asked, tries, "form")

    def _verb(self) -> None:
        while (number := self._number()) is not None:
            self._start(*wish_of(self.seed, number))
        connection.close()

    def _start(self, task: Any, values: dict[str, Any]) -> None:
        nonce, asked, tries = str(uuid.uuid4()), time.time(), 0
        while True:
            tries += 1
            try:
                close_old_connections()
                actor = Actor.person(User.objects.get(username=NAME), via="command")
                run = start_run(find_job(task.name), values, actor=actor, wish=Wish(nonce=nonce)).run
            except (DatabaseError, InterfaceError, User.DoesNotExist):
                connection.close()
                time.sleep(AGAIN)
            else:
                self.answers.accepted(run.task_id, task.name, asked, tries, "verb")
                return

    def _bursts(self) -> None:
        """A file `burst` holds how many runs are wanted at once; it is gone when they are accepted."""
        wanted = self.folder / "burst"
        while True:
            if wanted.exists():
                for number in range(int(wanted.read_text())):
                    self._start(*wish_of(-self.seed, number))
                connection.close()
                wanted.unlink()
            time.sleep(0.2)


if __name__ == "__main__":
    Feeder(
        int(sys.argv[1]),
        float(sys.argv[2]),
        int(sys.argv[3]),
        os.environ["CHAOS_URL"],
        Path(os.environ["CHAOS_FOLDER"]),
    ).run()
