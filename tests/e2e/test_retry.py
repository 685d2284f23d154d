"""A retry through a real worker: every type arrives as it was; from the failing run to the healed one in a browser."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from celery import current_app
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone
from playwright.sync_api import Page, expect

from jobs import File
from jobs.catalog.registry import find_job
from jobs.ledger.audit import Actor, Subject
from jobs.ledger.batches import batch_of_retry, of_batch, stop_rest
from jobs.ledger.retry import RetryRefused, retry_run
from jobs.ledger.retry_many import retry_many
from jobs.ledger.start import Wish, start_run
from jobs.models import Run
from jobs.states import State
from tests import jobs_under_test as under_test
from tests.e2e.conftest import finished, in_state
from tests.e2e.processes import Stack, wait_for
from tests.e2e.test_types import GOOD
from tests.jobs_under_test import book

SETS: list[dict[str, Any]] = []
for name, entered, _ in GOOD:
    fits = next((one for one in SETS if name not in one), None)
    SETS.append({name: entered}) if fits is None else fits.update({name: entered})


def failed(run: Run) -> Run:
    """As if its end had been another one: a job that echoes does not fail."""
    Run.objects.filter(pk=run.pk).update(state=State.FAILED)
    return Run.objects.get(pk=run.pk)


def received(run: Run) -> Any:
    (line,) = book(run.task_id)
    return line["received"]


def test_a_retry_says_again_what_its_message_said(stack: Stack, actor: Actor, tmp_path: Path) -> None:
    flag, said = tmp_path / "there", {"tenant": "acme", "traceparent": "00-4bf92f35-01"}
    old = current_app.send_task(
        under_test.tells_its_message.name, [str(flag)], headers=said, priority=3, expires=600, time_limit=77
    )
    old_run = in_state(old.id, State.FAILED)
    flag.touch()
    again = finished(retry_run(old_run, actor=actor).run.task_id)
    assert again.state == State.SUCCEEDED, again.error_message
    (before,), (after,) = book(old.id), book(again.task_id)
    told = [{name: line[name] for name in ("headers", "limits", "priority")} for line in (before, after)]
    assert told[0] == told[1] and told[1]["headers"].items() >= said.items() and told[1]["priority"] == 3
    assert datetime.fromisoformat(after["expires"]) > datetime.fromisoformat(before["expires"]), "it expires anew"


def test_every_type_is_retried_with_equal_values(stack: Stack, actor: Actor) -> None:
    assert {name for one in SETS for name in one} == {name for name, _, _ in GOOD}
    file = File(default_storage.save("uploads/again.csv", ContentFile(b"a,b\n")), "again.csv", 4)
    SETS[0] |= {"file": file, "person": actor.user, "people": [actor.user]}
    job = find_job(under_test.echo_types.name)
    firsts = [start_run(job, one, actor=actor).run.task_id for one in SETS]
    olds = [failed(finished(task_id)) for task_id in firsts]
    agains = [finished(retry_run(old, actor=actor).run.task_id) for old in olds]
    for old, again in zip(olds, agains, strict=True):
        assert again.state == State.SUCCEEDED, again.error_message
        assert again.arguments == old.arguments
        assert received(again) == received(old)


def test_a_secret_is_asked_for_again_and_arrives(stack: Stack, actor: Actor) -> None:
    job = find_job(under_test.echo_types.name)
    old = failed(finished(start_run(job, {"whole": 1, "pin": "canary-1"}, actor=actor).run.task_id))
    with pytest.raises(RetryRefused, match="type it again: Pin"):
        retry_run(old, actor=actor)
    again = finished(retry_run(old, actor=actor, arguments={"whole": 1, "pin": "canary-2"}).run.task_id)
    assert received(again)["pin"] == ["str", "'canary-2'"]


def test_what_code_published_is_retried_with_what_it_sent(stack: Stack, actor: Actor) -> None:
    sent: Any = [1, "x", Decimal("1.10"), date(2026, 1, 31), UUID(int=5)], {"k": {"deep": [None, 1.5]}}
    ended = finished(under_test.plain.apply_async(*sent).id)
    # The word of the publishing may come after that of the end.
    exact = Run.objects.filter(pk=ended.pk, arguments_exact=True)
    old = failed(wait_for(exact.first, "its arguments to be recorded"))
    again = finished(retry_run(old, actor=actor).run.task_id)
    assert (again.state, again.arguments) == (State.SUCCEEDED, old.arguments)


def test_many_start_at_their_pace_until_the_rest_is_stopped(stack: Stack, actor: Actor) -> None:
    job = find_job(under_test.add.name)
    olds = [start_run(job, {"a": n}, actor=actor).run for n in range(7)]
    olds = [failed(finished(old.task_id)) for old in olds]
    subject, wish = Subject("failure", "1", "Add"), Wish(reason="back")
    fast = retry_many(olds[:5], job, actor=actor, wish=wish, subject=subject, batch_id="fast", pace=600)
    slow = retry_many(olds[5:], job, actor=actor, wish=wish, subject=subject, batch_id="slow", pace=10)
    assert (fast.started, slow.started) == (5, 2)
    quick = Run.objects.filter(of_batch(batch_of_retry("fast"))).order_by("not_before")
    ended = [finished(run.task_id) for run in quick]
    assert all(run.started_at and run.not_before and run.started_at >= run.not_before for run in ended)
    one, other = Run.objects.filter(of_batch(batch_of_retry("slow"))).order_by("not_before")
    assert finished(one.task_id).state == State.SUCCEEDED
    assert stop_rest(batch_of_retry("slow"), actor=actor, subject=subject) == 1
    its_time = other.not_before
    assert its_time is not None
    wait_for(lambda: timezone.now() > its_time + timedelta(seconds=0.5), "the time of the other one")
    assert [len(book(run.task_id)) for run in (one, other)] == [1, 0]


def test_from_the_failing_run_to_the_healed_one(page: Page, stack: Stack, actor: Actor, tmp_path: Path) -> None:
    missing = tmp_path / "list"
    job = find_job(under_test.fail_without.name)
    old = finished(start_run(job, {"path": str(missing)}, actor=actor).run.task_id)
    assert old.state == State.FAILED
    missing.touch()
    page.goto(f"/admin/jobs/run/{old.task_id}/change/")
    page.locator(".oc-head__verbs").get_by_role("link", name="Retry…").click()
    page.get_by_label("Reason").fill("the file is there")
    page.get_by_role("button", name="Retry as it was").click()
    expect(page.get_by_text(f"Retry of run {old.short_id}.")).to_be_visible()
    again = Run.objects.get(retry_of=old)
    assert finished(again.task_id).state == State.SUCCEEDED
    expect(page.locator(".oc-head .oc-chip")).to_contain_text("Succeeded")
    page.get_by_role("link", name=f"run {old.short_id}").first.click()
    expect(page.get_by_text("Healed: retried by Ana Petrova as")).to_be_visible()
    page.set_viewport_size({"width": 390, "height": 844})
    page.locator(".oc-sticky").get_by_role("link", name="Retry…").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
