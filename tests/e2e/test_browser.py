"""A person at a browser: signs in, runs the report, watches it end, opens its file."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from jobs.catalog.registry import find_job
from jobs.ledger.audit import Actor
from jobs.ledger.start import start_run
from jobs.models import Run
from jobs.states import State
from tests import jobs_under_test as under_test
from tests.e2e.conftest import PASSWORD, in_state
from tests.e2e.processes import Stack

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: apt install chromium)"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, stack: Stack) -> Iterator[Page]:
    """Ana's browser, signed in; anything that the console of the browser complains about fails the test."""
    stack.up(stack.web)
    context = browser.new_context(base_url=stack.url, accept_downloads=True, viewport={"width": 1440, "height": 900})
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda m: complaints.append(m.text) if m.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto("/admin/")
    page.get_by_label("Username").fill("ana")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "/login/" not in url)
    yield page
    context.close()
    assert complaints == []


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
