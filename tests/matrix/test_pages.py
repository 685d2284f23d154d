"""Five pages of a plain foreign project in a browser, wide and narrow: that what Unfold gives still fits what is ours.

FOREIGN_PYTHON names the Python that runs the project, MATRIX_PICTURES a folder that keeps a picture of each page.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.e2e.conftest import CHROMIUM
from tests.e2e.processes import Daemon, free_port
from tests.foreign.axes import PLAIN
from tests.foreign.projects import PYTHON, Project, make, prepare

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: apt install chromium)"),
]
#: As `look.py` makes it.
NAME, PASSWORD = "username@example.com", "a long password for tests"
WIDTHS = {"wide": 1440, "narrow": 390}


@pytest.fixture(scope="module")
def project(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Joined and running, with somebody who may sign in and a few runs."""
    made = make(tmp_path_factory.mktemp("pages"), packages, PLAIN)
    try:
        made.daemons[0].start()
        prepare(made, PLAIN)
        for daemon in made.daemons[1:]:
            daemon.start()
        made.look()
        yield made
    finally:
        made.down()


@pytest.fixture(scope="module")
def address(project: Project) -> Iterator[str]:
    """Where Django's own server answers, which has the style sheets too."""
    port = free_port()
    words = [PYTHON, "manage.py", "runserver", "--noreload", f"127.0.0.1:{port}"]
    web = Daemon("web", words, project.folder.parent, project.env, "Quit the server")
    web.cwd = project.folder
    web.start()
    yield f"http://127.0.0.1:{port}"
    web.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(params=WIDTHS)
def page(request: pytest.FixtureRequest, browser: Browser, address: str) -> Iterator[Page]:
    """Signed in; what the browser complains of, and what is not found, fails the test."""
    context = browser.new_context(base_url=address, viewport={"width": WIDTHS[request.param], "height": 900})
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda m: complaints.append(m.text) if m.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("response", lambda r: complaints.append(f"{r.status} {r.url}") if r.status >= 400 else None)
    page.goto("/admin/")
    page.get_by_label("Username").fill(NAME)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "/login/" not in url)
    yield page
    context.close()
    assert complaints == []


def test_five_pages(page: Page) -> None:
    look_at(page, "overview", "Machinery")
    page.goto("/admin/jobs/run/catalog/shop.tasks.add/start/")
    look_at(page, "form", "Adds two numbers.")
    page.get_by_label(re.compile("^x", re.IGNORECASE)).fill("20")
    page.get_by_label(re.compile("^y", re.IGNORECASE)).fill("22")
    page.locator("#oc-run-real").click()
    expect(page.locator("#main")).to_contain_text("succeeded", timeout=20_000, ignore_case=True)
    look_at(page, "run", "42")
    page.goto("/admin/jobs/run/")
    look_at(page, "runs", "shop")
    page.goto("/admin/django_celery_beat/periodictask/")
    look_at(page, "schedules", "Nightly housekeeping")


def look_at(page: Page, name: str, text: str) -> None:
    """It says `text`, wears our style and does not scroll sideways."""
    expect(page.locator("#main")).to_contain_text(text)
    width = page.evaluate("window.innerWidth")
    if "MATRIX_PICTURES" in os.environ:
        page.screenshot(path=f"{os.environ['MATRIX_PICTURES']}/{name}-{width}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= width, name
    style = "getComputedStyle(document.documentElement)"
    assert page.evaluate(f"{style}.getPropertyValue('--oc-ok-bg')"), "our style sheet"
    assert page.evaluate(f"{style}.getPropertyValue('--color-base-500')"), "Unfold's"
