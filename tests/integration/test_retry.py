"""The verb *retry*: a new run, the old one untouched, every refusal with its sentence and in the audit trail."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import IntegrityError, connections, transaction
from django.utils import timezone

from jobs.catalog import registry
from jobs.catalog.registry import Job, RetrySafety, find_job
from jobs.errors import FormReused, InvalidArguments, NotPermitted
from jobs.ledger.audit import Actor
from jobs.ledger.retry import RetryRefused, live_retry, retry_run
from jobs.ledger.start import Wish, start_run
from jobs.models import AuditEvent, Run, RunObject
from jobs.pipeline.canvas import CHORD_BROKEN
from jobs.states import ACTIVE, RETRYABLE, Source, State
from tests import jobs_under_test as under_test
from tests.integration.test_run_page import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def never(monkeypatch: pytest.MonkeyPatch) -> Job:
    """Add, as if its author had said that its runs must never be retried."""
    job = registry._declared[under_test.add.name]
    changed = Job(**{name: getattr(job, name) for name in Job.__slots__} | {"retry": RetrySafety.NEVER})
    monkeypatch.setitem(registry._declared, job.name, changed)
    return changed


def snapshot(run: Run) -> dict[str, Any]:
    return dict(Run.objects.filter(pk=run.pk).values().get())


def refused(run: Run, actor: Actor, sentence: str, **options: Any) -> RetryRefused:
    """Nothing was started, the sentence says why, and the trail has it."""
    before, count = snapshot(run), Run.objects.count()
    with pytest.raises(RetryRefused, match=sentence) as caught:
        retry_run(run, actor=actor, **options)
    assert (snapshot(run), Run.objects.count()) == (before, count)
    event = AuditEvent.objects.latest("id")
    assert (event.verb, event.outcome, event.object_id) == ("retry_run", "denied", run.task_id)
    assert event.details["refused"] == str(caught.value)
    return caught.value


def test_a_retry_is_a_new_run_and_the_old_one_is_untouched(olga: Actor) -> None:
    old = make(State.FAILED, queue="default", priority=3, finished_at=timezone.now(), error_type="ValueError")
    before = snapshot(old)
    again = retry_run(old, actor=olga, wish=Wish(reason="bank is back", nonce="retry:1")).run

    assert snapshot(old) == before
    assert (again.retry_of_id, again.source, again.state, again.guaranteed) == (
        old.pk, Source.RETRY, State.ACCEPTED, True,
    )  # fmt: skip
    assert (again.arguments, again.queue, again.priority, again.based_on) == (old.arguments, "default", 3, "")
    assert again.publish_after is not None and again.task_id != old.task_id
    event = AuditEvent.objects.get()
    assert (event.verb, event.object_id, event.reason, event.outcome) == (
        "retry_run", old.task_id, "bank is back", "done",
    )  # fmt: skip
    assert event.details["retry"] == again.task_id


def test_the_same_form_is_one_retry_and_anothers_is_refused(olga: Actor) -> None:
    old = make(State.FAILED)
    first, second = (retry_run(old, actor=olga, wish=Wish(nonce="retry:1")) for _ in range(2))
    assert (first.created, second.created, first.run.pk) == (True, False, second.run.pk)
    assert AuditEvent.objects.count() == 1
    with pytest.raises(FormReused):
        retry_run(make(State.LOST), actor=olga, wish=Wish(nonce="retry:1"))


@pytest.mark.parametrize("state", sorted(set(State) - RETRYABLE))
def test_what_has_not_ended_badly_is_not_retried(olga: Actor, state: State) -> None:
    refused(make(state), olga, "has not finished" if state in ACTIVE else "has succeeded.*Run like this")


@pytest.mark.parametrize("state", sorted(RETRYABLE))
def test_what_has_ended_badly_is(olga: Actor, state: State) -> None:
    assert retry_run(make(state), actor=olga).created


def test_while_a_retry_lives_another_is_refused_with_who_and_when(olga: Actor) -> None:
    old = make(State.FAILED)
    first = retry_run(old, actor=olga).run
    Run.objects.filter(pk=first.pk).update(accepted_at=timezone.now() - timedelta(seconds=8, milliseconds=500))
    refusal = refused(old, olga, f"already retried by Olga Berg 8 s ago: run {first.short_id}, which is accepted")
    assert refusal.by == first.task_id
    Run.objects.filter(pk=first.pk).update(state=State.FAILED)
    assert live_retry(old) is None
    assert retry_run(old, actor=olga).created, "once it has failed as well, another one may follow"


@pytest.mark.parametrize("state", sorted(ACTIVE))
def test_the_database_itself_refuses_a_second_live_retry(state: State) -> None:
    old = make(State.FAILED)
    make(state, task_id="first", retry_of=old)
    with pytest.raises(IntegrityError), transaction.atomic():
        make(State.RUNNING, task_id="second", retry_of=old)
    make(State.FAILED, task_id="third", retry_of=old)


def test_who_may_not_retry_is_told_and_noted(vito: Actor) -> None:
    old = make(State.FAILED)
    with pytest.raises(NotPermitted, match="You may not retry runs; ask for the role Operator"):
        retry_run(old, actor=vito)
    event = AuditEvent.objects.get()
    assert (event.verb, event.outcome, event.details) == ("retry_run", "denied", {"missing": "jobs.retry_run"})
    assert Run.objects.count() == 1


def test_the_right_to_retry_is_not_the_right_to_run(vito: Actor) -> None:
    vito.user.user_permissions.add(Permission.objects.get(codename="retry_run"))  # type: ignore[union-attr]
    actor = Actor.person(User.objects.get(username="vito"), via="command")
    with pytest.raises(NotPermitted, match="needs the role"):
        retry_run(make(State.FAILED), actor=actor)
    job_of_its_own = make(State.FAILED, task_id="x", task_name=under_test.greet_guarded.name)
    actor.user.user_permissions.add(Permission.objects.get(codename="run_job"))  # type: ignore[union-attr]
    actor = Actor.person(User.objects.get(username="vito"), via="command")
    with pytest.raises(NotPermitted, match="needs an administrator"):
        retry_run(job_of_its_own, actor=actor)


def test_arguments_that_were_not_kept_whole_are_not_guessed(olga: Actor) -> None:
    old = make(State.FAILED, arguments="[[], {}]", arguments_exact=False)
    refused(old, olga, "could not be kept exactly")
    assert retry_run(old, actor=olga, arguments={"a": 5}).run.arguments == '[[], {"a": 5, "b": 1}]'


def test_a_job_that_is_gone_is_named(olga: Actor) -> None:
    refused(make(State.FAILED, task_name="old.job"), olga, "no job is called old.job any more")


MANY = [
    ("celery.starmap", '[[], {"task": {"task": "tests.jobs_under_test.add"}, "it": [[1, 2], [3, 4]]}]'),
    ("celery.map", '[[{"task": "tests.jobs_under_test.add"}, [1, 2]], {}]'),
    ("celery.chunks", '[[], {"task": {"task": "tests.jobs_under_test.add"}, "it": [[1], [2]], "n": 1}]'),
]


@pytest.mark.parametrize(("name", "arguments"), MANY)
def test_a_task_of_celerys_own_is_refused_with_the_true_reason(olga: Actor, name: str, arguments: str) -> None:
    title = find_job("tests.jobs_under_test.add").title
    refused(make(State.FAILED, task_name=name, arguments=arguments), olga, rf"it calls {title} .*\(2\).*its form")


@pytest.mark.parametrize("arguments", ["[[], {}]", "[[1, 2], {}]", '[[], {"task": {"task": 7}, "it": 3}]', "no JSON"])
def test_what_it_calls_may_be_unknown(olga: Actor, arguments: str) -> None:
    refused(make(State.FAILED, task_name="celery.map", arguments=arguments), olga, "calls another task many times")


def test_what_holds_a_canvas_together_and_what_has_no_name(olga: Actor) -> None:
    refused(make(State.FAILED, task_id="c", task_name="celery.chord_unlock"), olga, "Retry the run that failed in it")
    refused(make(State.FAILED, task_id="d", task_name=""), olga, "which task it was to run is not known")


def test_what_never_started_says_what_to_retry_instead(olga: Actor) -> None:
    broken = {"state_note": CHORD_BROKEN, "parent_id": "0123456789", "task_id": "n"}
    refused(make(State.CANCELLED, arguments_exact=False, **broken), olga, "Retry that one, run 01234567; then start")
    whole = make(State.CANCELLED, **{**broken, "task_id": "m"})
    assert retry_run(whole, actor=olga).run.arguments == whole.arguments, "nothing of its arguments is missing"


def test_values_that_fit_no_more_are_told_by_their_name(olga: Actor) -> None:
    old = make(State.FAILED, arguments='[[], {"a": 1, "b": 101}]')
    refused(old, olga, "its values do not fit the job any more. b: .*Edit first")


def test_a_secret_is_asked_for_again_and_files_are_not(olga: Actor) -> None:
    path = default_storage.save("uploads/t.csv", ContentFile(b"a,b"))
    table = {"path": path, "name": "t.csv", "size": 3}
    job = find_job(under_test.ask_for_a_file.name)
    run = start_run(job, {"table": table, "rows": 2, "pin": "canary-1"}, actor=olga).run
    Run.objects.filter(pk=run.pk).update(state=State.FAILED)
    refused(run, olga, "a secret is never kept for this. Press Edit first and type it again: Pin")
    again = retry_run(run, actor=olga, arguments={"table": table, "rows": 2, "pin": "canary-2"}).run
    assert "t.csv" in again.arguments and "canary" not in again.arguments
    Run.objects.filter(pk=again.pk).update(state=State.SUCCEEDED)
    bare = start_run(job, {"table": table, "rows": 2}, actor=olga).run
    Run.objects.filter(pk=bare.pk).update(state=State.FAILED)
    assert retry_run(bare, actor=olga).run.arguments == bare.arguments, "the file is used again"


def test_never_wants_a_right_a_reason_and_the_name(olga: Actor, never: Job) -> None:
    old = make(State.FAILED)
    with pytest.raises(NotPermitted, match="must never be retried, and you may not"):
        retry_run(old, actor=olga)
    assert AuditEvent.objects.get().verb == "retry_unsafe"
    boss = Actor.person(User.objects.create_superuser("boss"), via="command")
    refused(old, boss, "Give the reason", confirmed="Add")
    refused(old, boss, "Type Add to confirm", wish=Wish(reason="checked by hand"), confirmed="add")
    assert retry_run(old, actor=boss, wish=Wish(reason="checked by hand"), confirmed="Add").created


def test_edited_values_another_queue_and_another_time(olga: Actor) -> None:
    old, later = make(State.FAILED), timezone.now() + timedelta(hours=2)
    wish = Wish(queue="reports", not_before=later, priority=9)
    again = retry_run(old, actor=olga, arguments={"a": 3}, wish=wish).run
    assert (again.state, again.queue, again.priority, again.publish_after) == (State.WAITING, "reports", 9, later)
    assert (again.arguments, again.based_on) == ('[[], {"a": 3, "b": 1}]', old.task_id)
    with pytest.raises(InvalidArguments):
        retry_run(make(State.FAILED, task_id="other"), actor=olga, arguments={"a": "many"})


def test_a_queue_that_is_no_more_gives_way_to_the_jobs_own(olga: Actor) -> None:
    assert retry_run(make(State.FAILED, queue="gone"), actor=olga).run.queue == "default"


def test_what_code_published_by_position_is_sent_by_position(olga: Actor) -> None:
    old = make(State.FAILED, arguments="[[4], {}]", guaranteed=False, source=Source.CODE)
    again = retry_run(old, actor=olga).run
    assert (again.arguments, again.guaranteed) == ("[[4], {}]", True)


def test_the_objects_that_it_is_about_are_linked(olga: Actor) -> None:
    person = User.objects.create(username="pia")
    old = make(State.FAILED, task_name=under_test.greet.name, arguments=f'[[], {{"person": {person.pk}}}]')
    again = retry_run(old, actor=olga).run
    assert RunObject.objects.get(run=again).key == str(person.pk)
    person.delete()
    Run.objects.filter(pk=again.pk).update(state=State.FAILED)
    refused(again, olga, "does not exist any more")


@pytest.mark.django_db(transaction=True)
def test_of_fifty_at_once_one_retries_and_the_others_are_told(roles: None) -> None:
    boss = User.objects.create_superuser("ana", first_name="Ana")
    old = make(State.FAILED)
    begin, ends = threading.Barrier(50), []

    def press(number: int) -> None:
        actor = Actor.person(boss, via="admin")
        begin.wait(30)
        try:
            retry_run(old, actor=actor, wish=Wish(nonce=f"retry:{number}"))
            ends.append("started")
        except RetryRefused as error:
            ends.append(str(error))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=press, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    again = Run.objects.get(retry_of=old)
    assert ends.count("started") == 1
    told = [end for end in ends if end.startswith("Nothing was started: already retried by Ana")]
    assert len(told) == 49 and all(again.short_id in end for end in told)
    outcomes = list(
        AuditEvent.objects.filter(verb="retry_run", object_id=old.task_id).values_list("outcome", flat=True)
    )
    assert (outcomes.count("done"), outcomes.count("denied")) == (1, 49)
