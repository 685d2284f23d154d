"""Failed runs are grouped, counted once, healed by equal successes; groups wake, regress and leave with their runs."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import Count
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs.catalog import registry
from jobs.failures import healing
from jobs.failures.hurting import hurting_cases, retryable_runs
from jobs.failures.lists import Status, View, group_slice, paces, status_of
from jobs.failures.record import note_failures
from jobs.failures.verbs import resolve, snooze
from jobs.ledger.audit import Actor
from jobs.ledger.keeping import Keeping
from jobs.ledger.needing_action import badge_counts
from jobs.ledger.old_failures import forget_failures
from jobs.ledger.retention import prune
from jobs.management import seeding
from jobs.models import FailureCase, FailureCount, FailureGroup, FailureNote, Run
from jobs.states import State
from tests import jobs_under_test as under_test

from .failure_facts import fact, failed, group_of, record, run_of, succeeded

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process remembers of other tests' databases."""
    monkeypatch.setattr(healing, "_read", (0.0, frozenset()))
    monkeypatch.setattr(healing, "_expected", {})


def status(group: FailureGroup) -> Status:
    now = timezone.now()
    group.refresh_from_db()
    return status_of(group, paces([group.pk], now)[group.pk], now)


def test_runs_that_are_alike_are_one_group_and_others_are_not() -> None:
    alike = [run_of(arguments=f"[[{number}], {{}}]") for number in range(3)]
    other = run_of()
    record(*(failed(run) for run in alike), failed(other, function="refund"))
    groups = {group_of(run).pk for run in alike}
    assert len(groups) == 1 and group_of(other).pk not in groups
    group = group_of(alike[0])
    assert (group.total, group.hurting, group.title, group.place) == (3, 3, "order <n> is wrong", "shop/pay.py, charge")
    assert group.last_run == alike[-1].task_id and group.sample_message == f"order {alike[-1].pk} is wrong"
    assert [one.n for one in FailureCount.objects.filter(group=group)] == [3]
    assert FailureCase.objects.filter(group=group).count() == 3


def test_a_batch_told_again_counts_nothing_twice() -> None:
    run, equal = run_of(), run_of(ago=30)
    batch = (failed(run), failed(equal), failed(run))
    for _ in range(3):
        record(*batch)
    group = group_of(run)
    assert (group.total, group.hurting) == (2, 1), "equal runs are one piece of work"
    assert [one.n for one in FailureCount.objects.all()] == [2]
    assert [one.hurting for one in FailureCase.objects.all()] == [2]


def test_a_failed_retry_is_no_second_piece_of_work() -> None:
    runs = [run_of(ago=90, arguments=f"[[{number}], {{}}]") for number in range(3)]
    record(*(failed(run) for run in runs))
    again = [run_of(ago=60, arguments=run.arguments, retry_of=run) for run in runs]
    record(*(failed(run) for run in again))
    group = group_of(runs[0])
    assert (group.total, group.hurting) == (6, 3)
    record(succeeded(run_of(ago=10, arguments="[[0], {}]")))
    assert group_of(runs[0]).hurting == 2
    record(failed(run_of(ago=5, arguments="[[0], {}]")))
    assert group_of(runs[0]).hurting == 3


def test_failures_of_which_nobody_knows_what_is_equal_are_one_each() -> None:
    runs = [run_of(arguments_exact=False) for _ in range(3)]
    record(*(failed(run) for run in runs))
    assert group_of(runs[0]).hurting == 3


def test_what_a_person_is_to_correct_is_nobodys_failure() -> None:
    run = run_of()
    record(failed(run, error_type="NothingImported", fingerprint="-"))
    run.refresh_from_db()
    assert run.state == State.FAILED and run.failure_group is None and not FailureGroup.objects.exists()


def test_each_attempt_of_an_id_that_is_used_again_counts() -> None:
    run = run_of(guaranteed=False, attempt=0, state=State.QUEUED)
    record(fact(run.task_id, "FAILURE", timezone.now(), n=None, guaranteed=False, error_type="A", error_message="a"))
    first = group_of(run)
    Run.objects.filter(pk=run.pk).update(state=State.QUEUED, attempts_before=1)
    record(fact(run.task_id, "FAILURE", timezone.now(), n=None, guaranteed=False, error_type="B", error_message="b"))
    assert group_of(run).pk != first.pk
    first.refresh_from_db()
    assert (first.total, group_of(run).total) == (1, 1), "both uses of the id have failed"


def test_a_batch_costs_a_fixed_number_of_statements() -> None:
    costs = []
    for size in (2, 40):
        runs = [run_of(f"shop.job{number % 7}", arguments=f"[[{number}], {{}}]") for number in range(size)]
        facts = [failed(run, function=f"f{number % 5}") for number, run in enumerate(runs)]
        record(*facts[: size // 2])
        rows = Run.objects.filter(pk__in=[run.pk for run in runs]).order_by("pk")
        told = list(zip(rows, facts, strict=True))
        for run, one in told:
            run.state, run.error_type, run.error_message = State.FAILED, one.error_type, one.error_message
        with CaptureQueriesContext(connection) as queries:
            note_failures(told[size // 2 :], [])
        costs.append(len(queries))
    assert costs[0] == costs[1] <= 5


def test_a_batch_without_failures_costs_nothing() -> None:
    run = run_of()
    record(succeeded(run))
    run.refresh_from_db()
    with CaptureQueriesContext(connection) as queries:
        note_failures([], [run] * 50)
    assert len(queries) == 0


def test_an_equal_success_heals_and_another_does_not() -> None:
    run = run_of(ago=100, arguments='[[], {"a": 1, "b": 2}]')
    record(failed(run))
    group = group_of(run)
    assert status(group) is Status.NEW
    record(succeeded(run_of(ago=50, arguments='[[], {"a": 1, "b": 3}]')))
    record(succeeded(run_of("shop.other", ago=50, arguments='[[], {"a": 1, "b": 2}]')))
    assert status(group) is Status.NEW
    healer = run_of(ago=10, arguments='[[], {"b": 2, "a": 1}]')
    record(succeeded(healer))
    assert status(group) is Status.HEALED
    assert (group.hurting, group.healed_by, group.total) == (0, healer.task_id, 1)
    record(failed(run_of(ago=5, arguments='[[], {"a": 1, "b": 2}]')))
    assert status(group) is Status.NEW and group.hurting == 1


def test_an_earlier_success_heals_nothing() -> None:
    early, run = run_of(ago=500), run_of(ago=100)
    record(failed(run))
    record(succeeded(early))
    assert group_of(run).hurting == 1


def test_failure_and_success_of_one_batch_are_told_by_time() -> None:
    run, healer = run_of(ago=100), run_of(ago=50)
    record(succeeded(healer), failed(run))
    assert group_of(run).hurting == 0


def test_a_retry_heals_what_it_retries_whatever_was_edited() -> None:
    run = run_of(ago=100, arguments="[[1], {}]")
    record(failed(run))
    record(succeeded(run_of(ago=10, arguments="[[2], {}]", retry_of=run)))
    assert group_of(run).hurting == 0


def test_what_is_not_known_to_be_equal_is_not_healed() -> None:
    run = run_of(ago=100, arguments_exact=False)
    record(failed(run))
    record(succeeded(run_of(ago=10, arguments_exact=False)))
    assert group_of(run).hurting == 1


def test_a_lost_run_that_turns_out_to_be_alive_was_no_failure() -> None:
    run = run_of()
    lost = failed(run, error_type="WorkerVanished", error_message="w@1 stopped", traceback="", note="worker vanished")
    record(lost)
    group = group_of(run)
    assert (run.state, group.basis) == (State.LOST, "type")
    record(succeeded(run, timezone.now()))
    run.refresh_from_db()
    group.refresh_from_db()
    assert run.failure_group is None and (group.total, group.hurting) == (0, 0)
    assert [one.n for one in FailureCount.objects.all()] == [0]


def test_a_guess_that_the_worker_corrects_moves_to_the_other_group() -> None:
    run = run_of()
    record(fact(run.task_id, "RETRY", timezone.now(), provisional=True, note="shutdown", error_type="Retry"))
    guessed = group_of(run)
    assert run.state == State.LOST
    record(failed(run, at=timezone.now()))
    told = group_of(run)
    guessed.refresh_from_db()
    assert told.pk != guessed.pk and (guessed.total, guessed.hurting, told.total) == (0, 0, 1)


def test_a_late_fact_of_an_earlier_attempt_changes_no_group() -> None:
    run = run_of(attempt=2)
    record(failed(run, n=2))
    group = group_of(run)
    record(failed(run, n=1, function="elsewhere", error_message="another"))
    assert group_of(run).pk == group.pk and FailureGroup.objects.count() == 1


def test_a_resolved_group_opens_only_when_a_later_run_fails(olga: Actor) -> None:
    before = run_of(ago=100)
    record(failed(before))
    at_work = run_of(ago=50)
    group = group_of(before)
    resolve(group.pk, seen=0, actor=olga)
    record(failed(at_work))
    assert status(group) is Status.RESOLVED and group.total == 2, "it began with the old code"
    later = run_of(ago=-5)
    record(failed(later))
    assert status(group) is Status.REGRESSED
    assert group.regressed_at is not None and group.decided_by == "Olga Berg"
    again = resolve(group.pk, seen=group.version, actor=olga)
    assert again.regressed_at is None


def test_a_snoozed_group_wakes_by_itself(olga: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_of()
    record(failed(run))
    group = group_of(run)
    snooze(group.pk, until=timezone.now() + timedelta(hours=1), seen=0, actor=olga)
    record(failed(run_of()))
    assert status(group) is Status.SNOOZED and badge_counts(cap=9)[1] == 0
    later = timezone.now() + timedelta(hours=2)
    assert [line.group.pk for line in group_slice(View.ACTION, number=0, per_page=9, now=later).lines] == [group.pk]


def test_escalating_is_ten_in_an_hour_and_five_times_the_usual() -> None:
    old = run_of(ago=5 * 86_400)
    record(failed(old))
    group = group_of(old)
    record(*(failed(run_of()) for _ in range(9)))
    assert status(group) is Status.ONGOING
    record(failed(run_of()))
    assert status(group) is Status.ESCALATING
    pace = paces([group.pk], timezone.now())[group.pk]
    assert (pace.last_hour, pace.week, sum(pace.hours)) == (10, 11, 11)


def test_what_a_retry_would_start_and_what_it_leaves_out() -> None:
    name = under_test.add.name
    equal = [run_of(name, ago=ago, arguments="[[1], {}]") for ago in (300, 200)]
    inexact, pruned, chosen = run_of(name, arguments_exact=False), run_of(name, arguments="[[8], {}]"), run_of(name)
    healed = run_of(name, ago=100, arguments="[[9], {}]")
    retried = run_of(name, arguments="[[7], {}]")
    record(*(failed(run) for run in (*equal, inexact, pruned, chosen, healed, retried)))
    record(succeeded(run_of(name, ago=10, arguments="[[9], {}]")))
    run_of(name, retry_of=retried, arguments="[[7], {}]")
    pruned.delete()
    group = group_of(chosen)
    found = retryable_runs(group)
    assert {run.pk for run in found.runs} == {equal[1].pk, chosen.pk}
    assert found.left_out == {
        "its arguments were not kept whole": 1,
        "pruned since": 1,
        "being retried already": 1,
    }
    assert [case.count for case in hurting_cases(group, limit=9) if case.line.run.pk == equal[1].pk] == [2]


def test_pruning_takes_groups_with_their_last_run(olga: Actor) -> None:
    old, kept = run_of(ago=40 * 86_400), run_of(ago=20 * 86_400)
    record(failed(old), failed(kept, function="other"))
    gone, stays = group_of(old), group_of(kept)
    FailureNote.objects.create(group=gone, actor_label="Olga", text="…")
    prune(Actor("nightly", "schedule"), keeping=Keeping(runs=timedelta(days=30)))
    assert list(FailureGroup.objects.all()) == [stays]
    assert (FailureNote.objects.count(), FailureCount.objects.count(), FailureCase.objects.count()) == (0, 0, 1)


def test_a_case_that_leaves_takes_what_hurt_with_it() -> None:
    old, young = run_of(ago=40 * 86_400, arguments="[[1], {}]"), run_of(arguments="[[2], {}]")
    record(failed(old), failed(young))
    forget_failures(timezone.now(), timedelta(days=30))
    assert group_of(young).hurting == 1 and FailureCase.objects.count() == 1


def test_invented_failures_have_groups_too() -> None:
    for first in (True, False):  # the second history finds the first one's groups
        seeding.seed(1_500, days=20, number=int(first), until=time.time(), progress=lambda written: None)
    troubled = Run.objects.filter(state__in=[State.FAILED, State.LOST])
    assert troubled.count() > 20 and not troubled.filter(failure_group=None).exists()
    groups = list(FailureGroup.objects.annotate(runs_kept=Count("runs")))
    assert all(group.title and group.first_seen <= group.last_seen for group in groups)
    assert all(group.total == group.runs_kept >= group.hurting for group in groups)
    assert len({group.fingerprint for group in groups}) == len(groups) < troubled.count()


def test_a_job_can_say_that_all_its_failures_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    name = under_test.add.name
    monkeypatch.setitem(registry._declared, name, replace(registry.find_job(name), fingerprint="all of it"))
    runs = [run_of(name), run_of(name)]
    record(failed(runs[0], function="a"), failed(runs[1], function="b", error_type="KeyError"))
    assert group_of(runs[0]) == group_of(runs[1]) and group_of(runs[0]).basis == "explicit"


@pytest.mark.parametrize(
    "hostile",
    [
        {"error_message": "<script>alert(1)</script>" * 20},
        {"error_message": "", "error_type": "", "traceback": ""},
        {"error_message": "?" * 500, "traceback": "x" * 64_000},
        {"error_message": "'" * 500, "error_type": "E" * 255},
        {"traceback": "Traceback (most recent call last):\n" + '  File "/srv/a/b.py", line 3, in f\n    f()\n' * 1_400},
    ],
)
def test_hostile_failures_are_recorded(hostile: dict[str, Any]) -> None:
    run = run_of()
    record(failed(run, **hostile))
    assert group_of(run).total == 1
