"""Retrying many at a pace: when each starts, what the group's page says meanwhile, and stopping the rest."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from celery.exceptions import Ignore
from django.contrib.auth.models import User
from django.db import IntegrityError
from django.test import Client
from django.utils import timezone

from jobs.catalog.registry import Job, find_job
from jobs.errors import NotPermitted
from jobs.failures.verbs import subject_of
from jobs.ledger import batches
from jobs.ledger import retry_many as many_module
from jobs.ledger.audit import Actor, Subject
from jobs.ledger.batches import batch_of_retry, of_batch, retries_of, stop_rest
from jobs.ledger.cancel import REMOVED_NOTE, SKIPPED_NOTE
from jobs.ledger.retry_many import MOST_AT_ONCE, PACES, last_start, retry_many, usual_pace
from jobs.ledger.start import Wish
from jobs.models import AuditEvent, FailureGroup, Run
from jobs.pipeline.claim import claim_or_ignore
from jobs.recorder.dispatch import _mark_published
from jobs.states import Source, State
from tests.integration.test_retry_many import SUBJECT, add, client, failed, group, sheet
from tests.integration.test_run_page import make

pytestmark = pytest.mark.django_db
__all__ = ["add", "client", "group"]
BATCH = batch_of_retry("b1")


def press(runs: list[Run], job: Job, *, actor: Actor, pace: int, form: str = "b1", subject: Subject = SUBJECT) -> None:
    retry_many(runs, job, actor=actor, wish=Wish(reason="back"), subject=subject, batch_id=form, pace=pace)


def starts() -> list[Any]:
    return list(Run.objects.filter(source=Source.RETRY).order_by("not_before", "id"))


@pytest.mark.parametrize("pace", PACES)
def test_each_waits_in_the_database_for_its_time(add: Job, olga: Actor, pace: int) -> None:
    before = timezone.now()
    press(failed(120), add, actor=olga, pace=pace)
    runs = starts()
    gaps = {(b.not_before - a.not_before).total_seconds() for a, b in itertools.pairwise(runs)}
    assert gaps == {60 / pace} and len(runs) == 120
    assert runs[0].state == State.ACCEPTED and before <= runs[0].not_before <= timezone.now()
    assert {(run.state, run.publish_after == run.not_before) for run in runs[1:]} == {(State.WAITING, True)}
    assert abs(last_start(120, pace, runs[0].not_before) - runs[-1].not_before) < timedelta(seconds=1)
    assert AuditEvent.objects.get(object_type="failure").details["pace"] == pace


def test_a_worker_may_be_faster_than_its_publish_is_noted(add: Job, olga: Actor) -> None:
    """The message of a run whose time has come is in Redis a moment before its row says so."""
    press(failed(2), add, actor=olga, pace=10)
    run = starts()[1]
    assert run.state == State.WAITING
    claim_or_ignore(run.task_id, 1, worker="w", retries=0)
    _mark_published([run], timezone.now())
    run.refresh_from_db()
    assert (run.state, run.attempt, run.publish_after) == (State.RUNNING, 1, None)


def test_all_at_once_is_for_a_hundred_and_less(add: Job, olga: Actor) -> None:
    press(failed(3), add, actor=olga, pace=0)
    assert {(run.state, run.not_before) for run in starts()} == {(State.ACCEPTED, None)}
    assert (usual_pace(MOST_AT_ONCE), usual_pace(MOST_AT_ONCE + 1)) == (0, 60)


@pytest.mark.parametrize("past_our_locks", [False, True])
def test_the_same_form_again_keeps_the_pace(
    add: Job, olga: Actor, monkeypatch: pytest.MonkeyPatch, past_our_locks: bool
) -> None:
    runs = failed(6)
    press(runs[:3], add, actor=olga, pace=10)
    if past_our_locks:  # somebody starts one of them meanwhile, so that the rest is started one by one
        monkeypatch.setattr(many_module, "keep", lambda prepared: (_ for _ in ()).throw(IntegrityError("nonce")))
    press(runs, add, actor=olga, pace=10)
    at = [run.not_before for run in starts()]
    assert len(at) == 6 and all((b - a).total_seconds() >= 6 for a, b in itertools.pairwise(at))


def moved(**states: int) -> None:
    """So many of the runs, oldest first, have come to each state."""
    keys = iter(Run.objects.filter(source=Source.RETRY).order_by("pk").values_list("pk", flat=True))
    for state, count in states.items():
        chosen = [next(keys) for _ in range(count)]
        Run.objects.filter(pk__in=chosen).update(state=state, publish_count=1, attempt=1)


def test_what_has_become_of_it_is_two_statements(add: Job, olga: Actor, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        assert retries_of(SUBJECT, timezone.now()) == ()
    runs = failed(60)
    press(runs[:40], add, actor=olga, pace=10)
    press(runs[40:], add, actor=olga, pace=0, form="b10")  # its name begins like the other's
    moved(succeeded=5, failed=3, lost=1, running=2, retrying=1, cancelled=4, queued=1)
    with django_assert_num_queries(2):
        other, one = retries_of(SUBJECT, timezone.now())
    assert (other.name, other.total, other.to_go) == (batch_of_retry("b10"), 20, 20)
    told = (one.total, one.done, one.failed, one.lost, one.at_work, one.cancelled, one.to_go)
    assert told == (40, 5, 3, 1, 3, 4, 24) and (one.by, one.reason, one.moves) == ("Olga Berg", "back", True)
    assert one.last_start == max(run.not_before for run in starts() if run.not_before)
    # A day after it ended nobody needs to hear of it; one that moves is told of however old it is.
    Run.objects.filter(of_batch(BATCH)).update(state=State.SUCCEEDED)
    tomorrow = timezone.now() + timedelta(days=1, minutes=1)
    assert [batch.name for batch in retries_of(SUBJECT, tomorrow)] == [batch_of_retry("b10")]


def test_the_rest_is_stopped_and_nothing_else(
    add: Job, olga: Actor, monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Any
) -> None:
    press(failed(30), add, actor=olga, pace=60)
    press([Run.objects.get(task_id="f0000")], add, actor=olga, pace=0, form="other")
    moved(succeeded=2, running=3, queued=4)
    monkeypatch.setattr(batches, "PORTION", 10)
    with django_assert_max_num_queries(30):
        assert stop_rest(BATCH, actor=olga, subject=SUBJECT, reason="still away") == 25
    states = Counter(Run.objects.filter(of_batch(BATCH)).values_list("state", "state_note"))
    assert states == {
        ("succeeded", ""): 2, ("running", ""): 3, ("cancelled", SKIPPED_NOTE): 4, ("cancelled", REMOVED_NOTE): 21,
    }  # fmt: skip
    stopped = Run.objects.filter(of_batch(BATCH), state=State.CANCELLED)
    assert not stopped.filter(publish_after__isnull=False).exists()
    for run in stopped[:3]:
        with pytest.raises(Ignore):
            claim_or_ignore(run.task_id, run.attempt + 1, worker="w", retries=0)
    event = AuditEvent.objects.get(verb="stop_retry")
    assert (event.object_type, event.reason, event.details) == ("failure", "still away", {"runs": 25, "batch": BATCH})
    own = AuditEvent.objects.filter(verb="cancel_run", object_type="run", reason="still away")
    assert {one.object_id for one in own} == {run.task_id for run in stopped}
    assert stop_rest(BATCH, actor=olga, subject=SUBJECT) == 0


def test_who_may_not_cancel_stops_nothing(add: Job, olga: Actor, vito: Actor) -> None:
    press(failed(3), add, actor=olga, pace=10)
    with pytest.raises(NotPermitted, match="You may not cancel runs"):
        stop_rest(BATCH, actor=vito, subject=SUBJECT)
    assert not Run.objects.filter(state=State.CANCELLED).exists()
    assert AuditEvent.objects.get(verb="stop_retry").outcome == "denied"


# --- The pages ---


def group_page(client: Client, group: FailureGroup, rest: str = "change/") -> str:
    return unescape(client.get(f"/admin/jobs/failuregroup/{group.pk}/{rest}").content.decode())


def plain(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", text))


def test_the_review_offers_paces_and_says_what_follows(client: Client, group: FailureGroup) -> None:
    text, values = sheet(client, group)
    told = plain(text)
    assert "All at onceas fast as the workers take them" in told
    assert re.search(r"10 a minutethe last one starts about \d\d:\d\d, in 1[12] s", told)
    assert re.search(r'value="0" checked', text), "three are few"
    client.post(f"/admin/jobs/failuregroup/{group.pk}/retry/", {**values, "pace": "10", "reason": "back"})
    assert Counter(run.state for run in starts()) == {State.ACCEPTED: 1, State.WAITING: 2}


def test_many_are_paced_where_nobody_says_otherwise(
    client: Client, group: FailureGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(many_module, "MOST_AT_ONCE", 2)
    text, values = sheet(client, group)
    assert re.search(r'value="60" checked', text)
    client.post(f"/admin/jobs/failuregroup/{group.pk}/retry/", values)
    assert [run.state for run in starts()].count(State.WAITING) == 2


@pytest.mark.parametrize("pace", ["7", "-1", "", "ten"])
def test_a_pace_that_is_no_choice_starts_nothing(client: Client, group: FailureGroup, pace: str) -> None:
    _, values = sheet(client, group)
    answer = client.post(f"/admin/jobs/failuregroup/{group.pk}/retry/", {**values, "pace": pace})
    assert "Nothing was started" in answer.content.decode() and not starts()


@pytest.fixture
def batch(client: Client, group: FailureGroup) -> str:
    """The group's three runs are retried at 10 a minute: one has succeeded, one waits."""
    _, values = sheet(client, group)
    client.post(f"/admin/jobs/failuregroup/{group.pk}/retry/", {**values, "pace": "10", "reason": "gateway back"})
    moved(succeeded=1, failed=1)
    return batch_of_retry(values["nonce"])


@pytest.mark.parametrize("tab", ["", "?tab=runs", "?tab=audit"])
def test_the_groups_page_says_how_far_it_is(client: Client, group: FailureGroup, batch: str, tab: str) -> None:
    text = group_page(client, group, "change/" + tab)
    assert "Retrying 3 runs: 1 done, 1 failed again, 1 to go." in plain(text)
    assert "Olga Berg just now because “gateway back”. The last one starts about" in plain(text)
    assert 'hx-trigger="every 5s"' in text and "Stop the rest…" in text
    Run.objects.filter(state=State.WAITING).update(state=State.LOST)
    text = group_page(client, group, "change/" + tab)
    assert "Retried 3 runs: 1 done, 1 failed again, 1 lost." in plain(text)
    assert 'hx-trigger="every 5s"' not in text and "Stop the rest" not in text


def test_however_many_are_retried_the_page_asks_as_often(
    client: Client, group: FailureGroup, batch: str, django_assert_max_num_queries: Any
) -> None:
    runs = [make(State.FAILED, task_id=f"more{n}") for n in range(50)]
    ana = Actor.person(User.objects.create_superuser("ana"), via="admin")
    press(runs, find_job(group.task_name), actor=ana, pace=60, form="b2", subject=subject_of(group))
    for tab in ("", "?tab=runs", "?tab=audit"):
        with django_assert_max_num_queries(12):  # two of them for what she may
            assert "Retrying 50 runs" in plain(group_page(client, group, "change/" + tab))


def test_its_numbers_lead_to_its_runs(client: Client, group: FailureGroup, batch: str) -> None:
    Run.objects.create(task_id="stranger", task_name="tests.jobs_under_test.add", state=State.FAILED)
    links = re.findall(r'href="(/admin/jobs/run/\?batch=[^"]+)"', group_page(client, group))
    assert len(links) == 3
    shown = [unescape(client.get(link).content.decode()) for link in links]
    ids = {run.short_id for run in starts()}
    assert [sum(one in text for one in ids) for text in sorted(shown, key=len)] == [1, 1, 3]
    assert all("started together" in text and "strange" not in text for text in shown)
    assert "No runs were started together under that name" in client.get("/admin/jobs/run/?batch=%27").content.decode()


def test_stopping_asks_first_and_tells_what_it_did(client: Client, group: FailureGroup, batch: str) -> None:
    address = re.search(r'href="([^"]+/retry/stop/\?batch=[^"]+)"', group_page(client, group))
    assert address is not None
    text = unescape(client.get(address[1]).content.decode())
    assert "1 run of 3 will never begin" in text and "Cancel 1 run" in text
    assert not Run.objects.filter(state=State.CANCELLED).exists(), "a GET changes nothing"
    answer = plain(unescape(client.post(address[1], {"reason": "still away"}, follow=True).content.decode()))
    assert "1 run that had not begun is cancelled." in answer
    assert "Retried 3 runs: 1 done, 1 failed again, 1 cancelled." in answer
    trail = plain(group_page(client, group, "change/?tab=audit"))
    assert "stopped the rest of the retry of" in trail
    assert "not known any more" in plain(unescape(client.get(address[1] + "x", follow=True).content.decode()))


def test_who_may_not_cancel_is_told_so(viewer: User, group: FailureGroup, batch: str) -> None:
    client = Client()
    client.force_login(viewer)
    address = f"/admin/jobs/failuregroup/{group.pk}/retry/stop/?batch={batch}"
    assert "You may not cancel runs" in client.get(address).content.decode()
    assert client.post(address).status_code == 403
    assert Run.objects.filter(state=State.WAITING).exists()
