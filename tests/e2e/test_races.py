"""Two requests at the same moment to the real web process: one of them acts, the other is told.

50 of each kind in `make test`; `make races` makes 500 (RACES=500). A race of another verb is one more case of RACES_OF,
which share theirs.
"""

from __future__ import annotations

import copy
import os
import threading
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from jobs.ledger.verbs import CHANGE_SCHEDULE, DELETE_SCHEDULE, RETRY_RUN, START_RUN
from jobs.models import AuditEvent, Run
from jobs.states import State
from tests import jobs_under_test as under_test
from tests.e2e.client import Answer, Person
from tests.e2e.conftest import PASSWORD
from tests.e2e.processes import Stack
from tests.integration.schedule_rows import LIST, form, row

RACES = int(os.environ.get("RACES", "50"))
FORM = f"/admin/jobs/run/catalog/{under_test.add.name}/start/"
#: Where both are sent on, what they read there is looked at in every so many races; pages take most of the time.
LOOK_AT = 5
#: What the page of a retry sends of its part Advanced.
QUEUED = {"oc.queue": "default"}
Post = Callable[[Person], Answer]


@pytest.fixture
def two(running: Stack, actor: object) -> tuple[Person, Person]:
    """Ana and Boris, who may both do everything. No recorder and no worker: what they start stays as it is."""
    running.recorder.stop()
    running.worker.stop()
    running.up(running.web)
    if not User.objects.filter(username="boris").exists():
        User.objects.create_superuser("boris", "boris@example.com", PASSWORD, first_name="Boris")
    return Person(running.url).sign_in("ana", PASSWORD), Person(running.url).sign_in("boris", PASSWORD)


class _Stay(urllib.request.HTTPRedirectHandler):
    """Where an answer sends one is part of the answer. Half of the time of all races went into the pages after it."""

    def redirect_request(self, *_: object) -> None:
        return None


def tab_of(person: Person) -> Person:
    """A second tab: the same session and token, and messages of its own; it goes nowhere by itself."""
    tab = Person(person.base)
    for cookie in person.jar:
        tab.jar.set_cookie(copy.copy(cookie))
    tab.token = person.token
    tab.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(tab.jar), _Stay())
    return tab


def read(tab: Person, answer: Answer) -> str:
    """What the person reads in the end."""
    return answer.text if answer.status == 200 else tab.get(answer.headers["Location"]).text


def at_once(*posts: Callable[[], Answer]) -> list[Answer]:
    """All of them in the same moment; the answers in their order."""
    barrier = threading.Barrier(len(posts))
    answers: dict[int, Answer] = {}

    def press(number: int) -> None:
        barrier.wait(30)
        answers[number] = posts[number]()

    threads = [threading.Thread(target=press, args=(number,)) for number in range(len(posts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return [answers[number] for number in range(len(posts))]


def test_a_double_click_is_one_run(two: tuple[Person, Person]) -> None:
    ana = two[0]
    before = AuditEvent.objects.filter(verb=START_RUN.name).count()
    last = Run.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    for number in range(RACES):
        nonce = str(uuid.uuid4())
        tabs = [tab_of(ana), tab_of(ana)]
        answers = at_once(*(partial(tab.post, FORM, a="1", nonce=nonce) for tab in tabs))
        assert [answer.status for answer in answers] == [302, 302]
        assert len({answer.headers["Location"] for answer in answers}) == 1, "both are sent to the same run"
        if number % LOOK_AT == 0:
            told = ["Already started" in read(tab, answer) for tab, answer in zip(tabs, answers, strict=True)]
            assert sorted(told) == [False, True], f"race {number}: the second click is told that it was the second"
        assert Run.objects.filter(nonce__endswith=nonce).count() == 1
    assert Run.objects.filter(pk__gt=last).count() == RACES, "one run each"
    assert AuditEvent.objects.filter(verb=START_RUN.name).count() - before == RACES, "one act each"


def test_of_two_people_one_retries(two: tuple[Person, Person]) -> None:
    events = AuditEvent.objects.filter(verb=RETRY_RUN.name)
    before = events.count()
    for number in range(RACES):
        failed = Run.objects.create(
            task_id=str(uuid.uuid4()),
            task_name=under_test.add.name,
            arguments='[[], {"a": 1}]',
            state=State.FAILED,
            finished_at=timezone.now(),
            guaranteed=True,
        )
        address = f"/admin/jobs/run/{failed.task_id}/retry/"
        posts = (partial(tab_of(person).post, address, nonce=str(uuid.uuid4()), **QUEUED) for person in two)
        second, first = sorted(at_once(*posts), key=lambda answer: answer.status)
        again = Run.objects.get(retry_of=failed)
        where = f"/admin/jobs/run/{again.task_id}/change/"
        assert (first.status, first.headers.get("Location")) == (302, where), f"race {number}: one is sent to its run"
        # The page itself says it with a capital letter; this is the sentence of the verb.
        told = f"already retried by {again.actor_label} "
        assert second.status == 200 and told in second.text, "the other reads who was first"
        assert where in second.text, "with the way there"
        noted = events.filter(object_id=failed.task_id)
        assert sorted(noted.values_list("outcome", flat=True)) == ["denied", "done"], "both are in the audit trail"
        assert noted.get(outcome="done").actor_id == again.actor_id
    assert events.count() - before == 2 * RACES


@dataclass(frozen=True, slots=True)
class Race:
    """Two people press the same button.

    Attributes:
        press: makes ready race number n; the returned function sends one person's request.
        refused: what the slower one reads.
        verb: what is in the audit trail, once a race.
    """

    press: Callable[[int], Post]
    refused: str
    verb: str


def _delete(number: int) -> Post:
    made = row(f"Raced away {number} {uuid.uuid4().hex[:6]}", enabled=False)
    return lambda person: person.post(f"{LIST}{made.pk}/delete/", reason="raced")


def _change(number: int) -> Post:
    made = row(f"Raced {number} {uuid.uuid4().hex[:6]}", enabled=False)
    seen = made.date_changed.isoformat()
    sent = form(**{"oc.name": made.name, "oc.enabled": None, "oc.days": None, "oc.seen": seen})
    sent |= {"oc.how": "cron", "oc.cron": "*/7 * * * *"}
    return lambda person: person.post(f"{LIST}{made.pk}/change/", **sent, reason="raced")


RACES_OF = {
    "delete the same schedule": Race(_delete, "not exist any more", DELETE_SCHEDULE.name),
    "change the same schedule": Race(_change, "changed this schedule meanwhile", CHANGE_SCHEDULE.name),
}


@pytest.mark.parametrize("what", RACES_OF)
def test_of_two_people_one_acts(what: str, two: tuple[Person, Person]) -> None:
    race = RACES_OF[what]
    before = AuditEvent.objects.filter(verb=race.verb).count()
    # Each kind gets its share of the races.
    for number in range(RACES // len(RACES_OF)):
        post = race.press(number)
        tabs = [tab_of(person) for person in two]
        answers = at_once(*(partial(post, tab) for tab in tabs))
        assert {answer.status for answer in answers} <= {200, 302}
        read_on = number % LOOK_AT == 0
        refused = [
            race.refused in read(tab, answer)
            for tab, answer in zip(tabs, answers, strict=True)
            if answer.status == 200 or read_on
        ]
        assert refused.count(True) == bool(refused), f"race {number}: one acts, and the other is told"
        assert AuditEvent.objects.filter(verb=race.verb).count() - before == number + 1, "one act each"
