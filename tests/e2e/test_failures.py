"""From a failing job to its group at a browser: seen, noted, resolved, regressed, healed; axe and phones."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Page, expect

from jobs.catalog.registry import find_job
from jobs.failures.healing import FRESH
from jobs.ledger.audit import Actor
from jobs.ledger.start import start_run
from jobs.models import FailureGroup, Run
from jobs.states import State
from tests import jobs_under_test as under_test
from tests.e2e.conftest import CHROMIUM, finished
from tests.e2e.processes import Stack, wait_for

LIST = "/admin/jobs/failuregroup/"
JOB = under_test.fail_without.name
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: apt install chromium)"),
]


@pytest.fixture(autouse=True)
def alone(stack: Stack) -> None:
    """Tests of other files let the same job fail."""
    Run.objects.filter(task_name=JOB).delete()
    FailureGroup.objects.filter(task_name=JOB).delete()


def run_it(path: Path, actor: Actor) -> Run:
    return finished(start_run(find_job(JOB), {"path": str(path)}, actor=actor).run.task_id)


def the_group(**wanted: object) -> FailureGroup:
    return wait_for(
        lambda: FailureGroup.objects.filter(task_name=JOB, **wanted).first(), f"a group with {wanted}", FRESH + 15
    )


def passes_axe(page: Page) -> None:
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21aa"]}).response["violations"]
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []


def test_from_a_failing_job_to_its_healed_group(page: Page, actor: Actor, root: Path) -> None:
    file = root / "made-later.txt"
    run = run_it(file, actor)
    assert run.state == State.FAILED
    group = the_group()
    assert (group.basis, group.place) == ("place", "tests/jobs_under_test.py, fail_without")

    page.goto(LIST)
    row = page.locator("tr", has_text="Fail without a file")
    expect(row).to_contain_text("New")
    row.locator("a.oc-failure").click()
    expect(page.get_by_role("heading", name="FileNotFoundError", exact=False).first).to_be_visible()
    expect(page.get_by_text("Make the file, then run it again.")).to_be_visible()
    expect(page.get_by_text("Job, exception and innermost frame of your own code, whatever the line.")).to_be_visible()
    passes_axe(page)
    page.get_by_label("A note about this failure").fill("The other team makes it at noon. <b>")
    page.get_by_role("button", name="Add the note").click()
    expect(page.get_by_text("The other team makes it at noon. <b>")).to_be_visible()

    page.goto(f"/admin/jobs/run/{run.task_id}/change/")
    page.get_by_role("link", name="The only one like this", exact=False).click()
    page.get_by_role("link", name="Resolve…").click()
    expect(page.get_by_text(re.compile(r"^1 of it still hurts"))).to_be_visible()
    passes_axe(page)
    page.get_by_label("Reason").fill("agreed on noon")
    page.get_by_role("button", name="Resolve it").click()
    expect(page.locator(".oc-head .oc-chip")).to_contain_text("Resolved")

    run_it(file, actor)
    the_group(regressed_at__isnull=False, total=2)
    page.goto(LIST)
    expect(row).to_contain_text("Regressed")
    expect(row.locator("[data-c=hurting]")).to_have_text("1")
    passes_axe(page)

    file.touch()
    healer = run_it(file, actor)
    assert healer.state == State.SUCCEEDED
    the_group(hurting=0, healed_by=healer.task_id)
    page.goto(LIST)
    expect(row).to_have_count(0)
    page.get_by_role("link", name="Healed").click()
    expect(row).to_contain_text("Healed")
    row.locator("a.oc-failure").click()
    page.get_by_role("link", name="The run that healed it").click()
    expect(page).to_have_url(f"{page.url.split('/admin/')[0]}/admin/jobs/run/{healer.task_id}/change/")


def test_an_exception_says_itself_what_it_is(stack: Stack, actor: Actor) -> None:
    for message in ("no route to host", "certificate has expired"):
        finished(start_run(find_job(under_test.fail_by_name.name), {"message": message}, actor=actor).run.task_id)
    group = wait_for(
        lambda: FailureGroup.objects.filter(task_name=under_test.fail_by_name.name).first(), "its group", 9
    )
    assert (group.basis, group.total, group.hurting) == ("explicit", 2, 2)


def test_it_can_be_snoozed_on_a_phone(page: Page, actor: Actor, root: Path) -> None:
    run_it(root / "never-made.txt", actor)
    group = the_group(hurting__gt=0)
    page.set_viewport_size({"width": 390, "height": 844})
    for address in (LIST, f"{LIST}{group.pk}/change/", f"{LIST}{group.pk}/change/?tab=runs&hurting=1"):
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, address
    page.goto(f"{LIST}{group.pk}/snooze/")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_text("1 week").click()
    page.get_by_role("button", name="Snooze it").click()
    expect(page.locator(".oc-head .oc-chip")).to_contain_text("Snoozed")
    page.get_by_role("link", name="Open again…").click()
    page.get_by_role("button", name="Open it again").click()
    expect(page.get_by_role("link", name="Snooze…")).to_be_visible()
