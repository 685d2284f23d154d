"""One act on many objects: all or none, one audit event, once."""

import pytest
from django.contrib.auth.models import User

from jobs.catalog.registry import Job, find_job
from jobs.errors import InvalidArguments, NotPermitted
from jobs.ledger import start
from jobs.ledger.audit import Actor
from jobs.ledger.start import Wish, start_many
from jobs.models import AuditEvent, Run, RunObject
from tests import jobs_under_test as under_test

pytestmark = pytest.mark.django_db


@pytest.fixture
def echo() -> Job:
    return find_job(under_test.echo_types.name)


@pytest.fixture
def people() -> list[User]:
    return User.objects.bulk_create([User(username=f"p{number}") for number in range(30)])


def test_one_run_each_and_one_event(echo: Job, people: list[User], olga: Actor) -> None:
    done = start_many(echo, [{"person": p.pk} for p in people], actor=olga, batch_id="b1", wish=Wish(reason="all"))

    assert (done.count, done.created) == (30, True)
    assert Run.objects.filter(guaranteed=True, reason="all").count() == 30
    assert set(RunObject.objects.values_list("key", flat=True)) == {str(p.pk) for p in people}
    event = AuditEvent.objects.get()
    assert (event.details["runs"], event.reason, event.object_label) == (30, "all", "Echo every type")


def test_the_same_form_again_starts_nothing(echo: Job, people: list[User], olga: Actor) -> None:
    for created in (True, False):
        done = start_many(echo, [{"person": p.pk} for p in people], actor=olga, batch_id="b1")
        assert (done.count, done.created) == (30, created)
    assert Run.objects.count() == 30
    assert AuditEvent.objects.count() == 1


def test_one_that_does_not_fit_stops_all(echo: Job, people: list[User], olga: Actor) -> None:
    with pytest.raises(InvalidArguments):
        start_many(echo, [*({"person": p.pk} for p in people), {"person": 10**9}], actor=olga, batch_id="b1")
    assert not Run.objects.exists()


def test_bounds_and_permission(
    echo: Job, people: list[User], olga: Actor, vito: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "MAX_RUNS", 5)
    with pytest.raises(InvalidArguments, match="Nothing was started") as refused:
        start_many(echo, [{"person": p.pk} for p in people], actor=olga, batch_id="b1")
    assert "At most 5 runs" in refused.value.fields[""]
    with pytest.raises(InvalidArguments) as refused:
        start_many(echo, [], actor=olga, batch_id="b1")
    assert refused.value.fields[""] == "Nothing is selected any more."
    with pytest.raises(NotPermitted):
        start_many(echo, [{"person": people[0].pk}], actor=vito, batch_id="b1")
    assert not Run.objects.exists()
