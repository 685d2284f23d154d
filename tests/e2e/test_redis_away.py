"""Redis stopped, hung or full: every page answers within a second and says so; what is started meanwhile runs later.

The second is the promise itself, so it is asserted here: the median of four answers a page. The slowest is printed
beside it; it is the one that asked Redis in vain, and whatever else the machine does at that moment.
"""

from __future__ import annotations

import re
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from django.urls import reverse

from jobs.catalog.registry import find_job
from jobs.ledger.audit import Actor
from jobs.ledger.start import start_run
from jobs.models import Run
from jobs.states import State
from tests import jobs_under_test as under_test
from tests.e2e.client import Answer, Person
from tests.e2e.conftest import PASSWORD, finished, in_state
from tests.e2e.processes import Stack, wait_for

FORM = f"/admin/jobs/run/catalog/{under_test.add.name}/start/"
PROMISED = 1.0


@contextmanager
def stopped(stack: Stack) -> Iterator[str]:
    stack.redis.stop()
    try:
        yield "Redis has not answered"
    finally:
        stack.up()


@contextmanager
def hung(stack: Stack) -> Iterator[str]:
    """It accepts connections and never answers."""
    stack.redis.signal(signal.SIGSTOP)
    try:
        yield "Redis has not answered"
    finally:
        stack.redis.signal(signal.SIGCONT)


@contextmanager
def full(stack: Stack) -> Iterator[str]:
    """Every write is refused; reads work."""
    client = stack.client()
    client.config_set("maxmemory-policy", "noeviction")
    client.config_set("maxmemory", 1)
    try:
        yield "Redis is full: it takes no writes."
    finally:
        client.config_set("maxmemory", 0)


AWAY: dict[str, Callable[[Stack], AbstractContextManager[str]]] = {"stopped": stopped, "hung": hung, "full": full}


def seconds_of(ask: Callable[[], Answer], says: str = "") -> tuple[float, float]:
    """The median and the slowest of four answers; each must be there, and say `says`."""
    measured = []
    for _ in range(4):
        began = time.perf_counter()
        answer = ask()
        measured.append(time.perf_counter() - began)
        assert answer.status == 200 and says in answer.text, answer.url
    return statistics.median(measured), max(measured)


def started(person: Person, number: int) -> Answer:
    nonce = re.search(r'name="nonce" value="([^"]+)"', person.get(FORM).text)
    assert nonce, "the form has a nonce"
    return person.post(FORM, a=str(number), nonce=nonce[1])


@pytest.mark.parametrize("how", ["stopped", "hung", "full"])
def test_every_page_answers_within_a_second_and_what_is_started_runs_when_redis_is_back(
    how: str,
    stack: Stack,
    actor: Actor,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stack.up(stack.web, stack.worker, stack.recorder)
    ana = Person(stack.url).sign_in("ana", PASSWORD)
    stranger = Person(stack.url)
    flag = tmp_path / "go"
    done = start_run(find_job(under_test.add.name), {"a": 1}, actor=actor).run
    held = start_run(find_job(under_test.hold.name), {"flag": str(flag)}, actor=actor).run
    finished(done.task_id)
    in_state(held.task_id, State.RUNNING)
    pages = {
        "overview": "/admin/",
        "jobs": "/admin/jobs/run/catalog/",
        "form": FORM,
        "runs": "/admin/jobs/run/",
        "active run": f"/admin/jobs/run/{held.task_id}/change/",
        "finished run": f"/admin/jobs/run/{done.task_id}/change/",
        "audit": "/admin/jobs/auditevent/",
        "schedules": reverse("admin:django_celery_beat_periodictask_changelist"),
        "stored results": "/admin/django_celery_results/taskresult/",
        "users": "/admin/auth/user/",
    }
    took: dict[str, tuple[float, float]] = {}
    meanwhile: list[Answer] = []
    with AWAY[how](stack) as sentence:
        for name, path in pages.items():
            took[name] = seconds_of(lambda path=path: ana.get(path), sentence)  # type: ignore[misc]
        took["login"] = seconds_of(lambda: stranger.get("/admin/login/"))

        def start() -> Answer:
            meanwhile.append(started(ana, len(meanwhile)))
            return meanwhile[-1]

        took["form sent, and its run's page"] = seconds_of(start, sentence)
        ids = [answer.url.split("/")[-3] for answer in meanwhile]
        states = set(Run.objects.filter(task_id__in=ids).values_list("state", flat=True))
        assert len(set(ids)) == 4 and states == {State.ACCEPTED}
    flag.touch()
    for task_id in (*ids, held.task_id):
        assert finished(task_id, 60).state == State.SUCCEEDED
        assert len(under_test.book(task_id)) == 1, "once"
    wait_for(lambda: sentence not in ana.get("/admin/").text, "the banner to go")

    with capsys.disabled():
        told = ", ".join(f"{name} {1000 * usual:.0f} to {1000 * most:.0f} ms" for name, (usual, most) in took.items())
        sys.stdout.write(f"\n  Redis {how}: {told}\n")
    assert {name: usual for name, (usual, _) in took.items() if usual >= PROMISED} == {}
