"""History at a browser: the list, a run that tells, a schedule from form to run."""

from __future__ import annotations

from pathlib import Path

import pytest
from django_celery_beat.models import PeriodicTask
from playwright.sync_api import Page, expect

from jobs.catalog.registry import find_job
from jobs.ledger.audit import Actor
from jobs.ledger.start import start_run
from jobs.models import AuditEvent, Run
from jobs.states import State
from tests import jobs_under_test as under_test
from tests import tasks_observed as tasks
from tests.e2e.conftest import CHROMIUM, finished, in_state

RUNS = "/admin/jobs/run/"
SCHEDULES = "/admin/django_celery_beat/periodictask/"
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: apt install chromium)"),
]


def titles(page: Page) -> list[str]:
    return page.locator("tbody tr a.oc-subject").all_inner_texts()


def test_new_runs_wait_behind_a_bar(page: Page, actor: Actor) -> None:
    finished(start_run(find_job(under_test.add.name), {"a": 1}, actor=actor).run.task_id)
    page.goto(RUNS)
    before = page.locator("tbody tr").first.inner_text()
    for number in range(3):
        finished(start_run(find_job(under_test.add.name), {"a": 70 + number}, actor=actor).run.task_id)
    bar = page.get_by_role("link", name="Load 3 new runs")
    expect(bar).to_be_visible(timeout=15_000)
    assert page.locator("tbody tr").first.inner_text() == before, "nothing moves by itself"
    bar.click()
    expect(page.locator("tbody tr").first).to_contain_text("a=72")


def test_a_search_and_a_filter_are_an_address(page: Page, actor: Actor) -> None:
    wanted = start_run(find_job(under_test.fail.name), {"message": "needle in a haystack"}, actor=actor).run
    finished(wanted.task_id)
    page.goto(RUNS)
    page.get_by_role("searchbox").fill("needle")
    page.keyboard.press("Enter")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("link", name="Failed").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    address = page.url
    page.goto("/admin/")
    page.goto(address)
    page.locator("tbody tr a.oc-subject").first.click()
    expect(page.get_by_role("heading", name="ValueError: needle in a haystack")).to_be_visible()
    page.goto(f"{RUNS}?q=id:{wanted.task_id[:8]}")
    expect(page.locator("tbody tr")).to_have_count(1)


def test_a_view_is_exported_and_audited(page: Page) -> None:
    page.goto(f"{RUNS}?state=failed")
    with page.expect_download() as download:
        page.get_by_role("button", name="Export CSV").click()
    lines = Path(download.value.path()).read_text(encoding="utf-8-sig").splitlines()
    assert len(lines) >= 2 and all("failed" in line for line in lines[1:] if line)
    assert AuditEvent.objects.filter(verb="export_runs").exists()


def test_log_and_progress_move_before_ones_eyes(page: Page, root: Path) -> None:
    flag = root / "go-on-before-the-browser"
    result = tasks.count.delay(10, str(flag))
    in_state(result.id, State.RUNNING)
    page.goto(f"{RUNS}{result.id}/change/")
    expect(page.get_by_text("5 of 10 balances")).to_be_visible(timeout=10_000)
    flag.touch()
    expect(page.get_by_text("10 of 10 balances")).to_be_visible(timeout=10_000)
    expect(page.get_by_text("Succeeded").first).to_be_visible(timeout=10_000)

    flag = root / "talk-on-before-the-browser"
    talk = tasks.talk.delay(3, str(flag))
    in_state(talk.id, State.RUNNING)
    page.goto(f"{RUNS}{talk.id}/change/?tab=log")
    expect(page.get_by_text("with a second line")).to_be_visible()
    expect(page.get_by_text("the end")).to_have_count(0)
    flag.touch()
    expect(page.get_by_text("the end")).to_be_visible(timeout=5_000)
    page.reload()
    expect(page.get_by_text("the end")).to_be_visible()


def test_a_schedule_from_its_form_to_its_run(page: Page) -> None:
    page.goto(SCHEDULES)
    page.get_by_role("link", name="New schedule").click()
    page.locator("select[name=job]").select_option(under_test.add.name)
    page.wait_for_url("**add/?*job=*")
    page.get_by_label("Name").fill("Add each morning")
    page.locator("input[name=a]").fill("5")
    page.get_by_label("On days", exact=True).check()
    page.get_by_label("Mon", exact=True).check()
    page.locator("input[name='oc.clock']").fill("06:30")
    expect(page.locator(".oc-moments__sentence")).to_contain_text("at 06:30", timeout=10_000)
    page.get_by_role("button", name="Save schedule").click()
    schedule = PeriodicTask.objects.get(name="Add each morning")
    assert (schedule.task, schedule.kwargs) == (under_test.add.name, '{"a": 5, "b": 1}')

    page.goto(f"{SCHEDULES}{schedule.pk}/change/")
    page.get_by_text("Run now").first.click()
    page.get_by_role("button", name="Run").last.click()
    page.wait_for_url("**/jobs/run/*/change/")
    expect(page.get_by_text("Succeeded").first).to_be_visible(timeout=20_000)
    run = Run.objects.get(schedule_id=schedule.pk)
    assert run.actor_label == "Ana Petrova"
    page.get_by_role("link", name="Add each morning").first.click()
    page.wait_for_url(f"**{SCHEDULES}{schedule.pk}/change/")
