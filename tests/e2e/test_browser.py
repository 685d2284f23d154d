"""A person at a browser: signs in, runs the report, watches it end, opens its file."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from jobs.catalog.registry import find_job
from jobs.ledger.audit import Actor
from jobs.ledger.start import start_run
from jobs.models import Run
from jobs.states import State
from tests import jobs_under_test as under_test
from tests.e2e.conftest import CHROMIUM, in_state

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: apt install chromium)"),
]


def test_the_report_from_sign_in_to_its_file(page: Page) -> None:
    today = datetime.now(UTC).date().isoformat()
    page.get_by_role("link", name="Jobs").first.click()
    row = page.locator("tr, li, article").filter(has_text="Task activity report").last
    row.get_by_role("link", name="Run").click()
    page.locator("input[name=start]").fill(today)
    page.locator("input[name=end]").fill(today)
    page.get_by_role("textbox", name="Reason").fill("to see it work")
    page.locator("#oc-run-real").click()

    page.wait_for_url("**/change/")
    expect(page.get_by_text("Succeeded").first).to_be_visible(timeout=20_000)
    with page.expect_download() as download:
        page.locator("a[href*='/files/']").first.click()
    assert download.value.suggested_filename == "task-activity.csv"
    assert Path(download.value.path()).read_text().startswith('"job","runs"')
    page.get_by_role("link", name="Preview task-activity.html").click()
    report = page.frame_locator("iframe.oc-preview__page")
    expect(report.get_by_role("table")).to_be_visible()


def test_a_live_run_changes_before_ones_eyes(page: Page, actor: Actor, tmp_path: Path) -> None:
    flag = tmp_path / "go"
    run = start_run(find_job(under_test.hold.name), {"flag": str(flag)}, actor=actor).run
    in_state(run.task_id, State.RUNNING)
    page.goto(f"/admin/jobs/run/{run.task_id}/change/")
    expect(page.get_by_text("Running").first).to_be_visible()
    flag.touch()
    expect(page.get_by_text("Succeeded").first).to_be_visible(timeout=15_000)
    expect(page.locator("[hx-trigger*='every']")).to_have_count(0)


def test_an_impatient_double_click_is_one_run(page: Page) -> None:
    before = Run.objects.count()
    page.goto(f"/admin/jobs/run/catalog/{under_test.add.name}/start/")
    page.locator("input[name=a]").fill("1")
    page.locator("#oc-run-real").dblclick()
    page.wait_for_url("**/change/")
    assert Run.objects.count() == before + 1


@pytest.mark.parametrize("width", [1440, 390])
def test_no_page_scrolls_sideways(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    newest = Run.objects.order_by("-id").first()
    assert newest is not None
    paths = ["/admin/", "/admin/jobs/run/", "/admin/jobs/run/catalog/", f"/admin/jobs/run/{newest.task_id}/change/"]
    for path in [*paths, f"/admin/jobs/run/catalog/{under_test.add.name}/start/"]:
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_on_a_telephone_what_an_empty_list_offers_is_read_whole(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 900})
    page.goto(f"/admin/jobs/run/?q={'nothing-is-called-like-this-' * 4}")
    way = page.locator(".oc-empty__ways .oc-button").first
    box = way.bounding_box()
    assert box and box["x"] >= 0 and box["x"] + box["width"] <= 390
    assert way.evaluate("one => one.scrollWidth <= one.clientWidth")
