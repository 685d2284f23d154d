"""The verb *run*: permission, precondition, effect and audit in one."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from admin_ext.audit.sentences import sentences
from admin_ext.parts.rows import rows
from jobs.catalog.registry import Job, find_job
from jobs.errors import FormReused, InvalidArguments, NotPermitted, UnknownJob
from jobs.ledger import start as start_module
from jobs.ledger.audit import Actor
from jobs.ledger.dry_runs import is_dry_run
from jobs.ledger.run_slices import line_of
from jobs.ledger.start import Moment, Wish, start_run
from jobs.ledger.start_many import start_many
from jobs.ledger.verbs import VERBS
from jobs.models import AuditEvent, Run
from jobs.states import Source, State
from tests import jobs_under_test as under_test

pytestmark = pytest.mark.django_db


@pytest.fixture
def add() -> Job:
    return find_job(under_test.add.name)


def test_an_accepted_run_is_due_at_once_and_audited(add: Job, olga: Actor) -> None:
    started = start_run(add, {"a": "2"}, actor=olga, wish=Wish(reason="because"))

    run = Run.objects.get()
    assert (started.created, run.state, run.guaranteed, run.queue) == (True, State.ACCEPTED, True, "default")
    assert run.arguments == '[[], {"a": 2, "b": 1}]', "checked, typed and with defaults: what will be sent"
    assert run.publish_after is not None
    event = AuditEvent.objects.get()
    assert (event.verb, event.actor_label, event.object_id, event.reason) == (
        "start_run", "Olga Berg", run.task_id, "because",
    )  # fmt: skip


def test_the_same_form_is_one_run(add: Job, olga: Actor) -> None:
    first = start_run(add, {"a": 1}, actor=olga, wish=Wish(nonce="n1"))
    second = start_run(add, {"a": 1}, actor=olga, wish=Wish(nonce="n1"))

    assert (first.created, second.created) == (True, False)
    assert first.run.pk == second.run.pk
    assert AuditEvent.objects.count() == 1


def test_the_same_form_with_other_values_is_refused(add: Job, olga: Actor) -> None:
    start_run(add, {"a": 1}, actor=olga, wish=Wish(nonce="n1"))
    with pytest.raises(FormReused, match="already started run"):
        start_run(add, {"a": 2}, actor=olga, wish=Wish(nonce="n1"))
    assert Run.objects.count() == 1


def test_a_nonce_of_somebody_else_is_refused(add: Job, olga: Actor) -> None:
    start_run(add, {"a": 1}, actor=olga, wish=Wish(nonce="n1"))
    other = Actor.person(User.objects.create_superuser("ben"), via="command")
    with pytest.raises(FormReused):
        start_run(add, {"a": 1}, actor=other, wish=Wish(nonce="n1"))


def test_who_may_not_is_told_and_noted(add: Job, vito: Actor) -> None:
    with pytest.raises(NotPermitted, match="ask for the role Operator"):
        start_run(add, {"a": 1}, actor=vito)
    assert not Run.objects.exists()
    event = AuditEvent.objects.get()
    assert (event.outcome, event.details) == ("denied", {"missing": "jobs.run_job"})


def test_the_jobs_own_permission_is_asked_for_too(olga: Actor) -> None:
    derived = find_job(under_test.plain.name)
    with pytest.raises(NotPermitted, match="needs the role Developer"):
        start_run(derived, {}, actor=olga)


def test_an_inactive_superuser_may_nothing(add: Job) -> None:
    gone = User.objects.create_superuser("gone", is_active=False)
    with pytest.raises(NotPermitted):
        start_run(add, {"a": 1}, actor=Actor.person(gone, via="command"))


def test_without_audit_no_run(add: Job, olga: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise RuntimeError("the audit trail is full")

    monkeypatch.setattr(start_module, "record", refuse)
    with pytest.raises(RuntimeError):
        start_run(add, {"a": 1}, actor=olga)
    assert not Run.objects.exists()


def test_what_cannot_be_kept_is_refused(olga: Actor) -> None:
    boss = Actor.person(User.objects.create_superuser("boss"), via="command")
    with pytest.raises(InvalidArguments, match="Nothing was started"):
        start_run(find_job(under_test.plain.name), {"x": object()}, actor=boss)


def test_a_due_moment_is_one_run_without_an_audit_event(add: Job) -> None:
    beat = Actor(label="schedule Nightly", via="schedule")
    moment = Moment(7, "Nightly", datetime(2026, 11, 22, 3, tzinfo=UTC))
    runs = [start_run(add, {"a": 1}, actor=beat, source=Source.SCHEDULE, moment=moment) for _ in range(2)]

    assert [started.created for started in runs] == [True, False]
    assert (runs[0].run.schedule_name, runs[0].run.due_at) == ("Nightly", moment.due_at)
    assert not AuditEvent.objects.exists()


def test_a_later_time_waits_in_the_database(add: Job, olga: Actor) -> None:
    later = datetime.now(UTC) + timedelta(hours=3)
    run = start_run(add, {"a": 1}, actor=olga, wish=Wish(not_before=later)).run
    assert (run.state, run.publish_after) == (State.WAITING, later)


def test_an_unknown_job_says_so() -> None:
    for name in ("no.such.job", "celery.backend_cleanup"):
        with pytest.raises(UnknownJob, match="renamed or removed"):
            find_job(name)


def test_every_verb_names_its_permission_and_what_to_do_without_it() -> None:
    for verb in VERBS.values():
        assert verb.permission.split(".")[0] in {"jobs", "auth", "django_celery_beat"}
        assert "ask for" in verb.sentence
        assert verb.infinitive and "_" not in verb.infinitive


def test_who_is_refused_is_sent_to_a_role_that_may() -> None:
    roles = [row["fields"] for row in json.loads(Path("jobs/fixtures/roles.json").read_text())]
    for verb in VERBS.values():
        who = {role["name"] for role in roles if verb.permission in {f"{p[1]}.{p[0]}" for p in role["permissions"]}}
        asked = re.search(r"ask for (?:the role (\w+)|a superuser)\.", verb.sentence)
        assert asked and (asked[1] in who if who else asked[1] is None), verb


def test_a_dry_run_does_not_read_like_the_act_itself(olga: Actor) -> None:
    job = find_job(under_test.purge.name)
    dry = start_run(job, {"prefix": "x" * 600, "dry_run": True}, actor=olga).run
    real = start_run(job, {"prefix": "x"}, actor=olga).run
    start_many(job, [{"prefix": "x", "dry_run": True}], actor=olga, batch_id="b1")
    events = list(AuditEvent.objects.order_by("pk"))
    assert [event.details.get("dry_run") for event in events] == [True, None, True]
    assert [line.verb for line in sentences(events)] == ["dry-ran", "ran", "dry-ran"]
    assert (is_dry_run(dry, job), is_dry_run(real, job)) == (True, False)
    assert dry.summary.startswith("dry run, prefix=xxx") and real.summary == "prefix=x, limit=10, dry_run=False"
    dry.state, dry.error_type = State.FAILED, "ValueError"
    assert [row.line for row in rows((line_of(dry), line_of(real)))] == ["dry run: ValueError", real.summary]
