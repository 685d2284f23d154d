"""One act on many objects: one that does not fit is left out and named, one audit event, once."""

import pytest
from django.contrib.auth.models import User
from django.db import DataError

from jobs.catalog.registry import Job, find_job
from jobs.errors import InvalidArguments, NotPermitted
from jobs.ledger import start_many as start
from jobs.ledger.audit import Actor
from jobs.ledger.start import Prepared, Wish
from jobs.ledger.start import keep as keep_runs
from jobs.ledger.start_many import start_many
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


def test_one_that_does_not_fit_is_left_out_and_named(echo: Job, people: list[User], olga: Actor) -> None:
    sets = [{"person": 10**9}, *({"person": p.pk} for p in people)]
    done = start_many(echo, sets, actor=olga, batch_id="b1", names=["gone", *(p.username for p in people)])
    assert (done.count, done.created, list(done.left_out)) == (30, True, [0])
    assert "does not exist any more" in done.left_out[0]
    assert set(RunObject.objects.values_list("key", flat=True)) == {str(p.pk) for p in people}
    details = AuditEvent.objects.get().details
    assert (details["runs"], details["left_out"]) == (30, 1) and details["named"][0].startswith("gone: ")


def test_what_fits_none_starts_none(echo: Job, people: list[User], olga: Actor) -> None:
    with pytest.raises(InvalidArguments) as refused:
        start_many(echo, [{"person": p.pk, "whole": "many"} for p in people], actor=olga, batch_id="b1")
    assert set(refused.value.fields) == {"whole"}
    assert not Run.objects.exists()


def test_what_the_database_refuses_of_one_keeps_no_other(
    echo: Job, people: list[User], olga: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = keep_runs

    def keep(prepared: list[Prepared]) -> None:
        if any(one.objects and one.objects[0].pk == people[3].pk for one in prepared):
            raise DataError("a label that no table takes")
        real(prepared)

    monkeypatch.setattr(start, "keep", keep)
    done = start_many(echo, [{"person": p.pk} for p in people], actor=olga, batch_id="b1")
    assert (done.count, list(done.left_out)) == (29, [3]) and Run.objects.count() == 29


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
