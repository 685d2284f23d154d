"""A person on the Overview: it changes before their eyes, a trouble is put aside, the palette leads to a job."""

from __future__ import annotations

import json
import re
import time

import pytest
from playwright.sync_api import Page, expect

from jobs.fleet.beacon import last_key
from jobs.fleet.broker import BEACONS_KEY
from tests.e2e.conftest import CHROMIUM
from tests.e2e.processes import Stack, wait_for

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: apt install chromium)"),
]


def test_a_trouble_comes_is_put_aside_and_goes(page: Page, stack: Stack) -> None:
    client, name = stack.client(), "vanished@tests"
    trouble = page.locator(".oc-trouble").filter(has_text=f"Worker {name} is gone.")
    expect(page.locator("#oc-overview")).to_be_visible()
    expect(trouble).to_have_count(0)
    beacon = wait_for(stack.told, "the beacon")
    client.set(last_key(name), json.dumps({**beacon, "worker": name, "at": time.time() - 60}))
    client.zadd(BEACONS_KEY, {name: time.time()})
    try:
        expect(trouble).to_be_visible(timeout=10_000)  # the page asks by itself
        trouble.locator("summary").click()
        trouble.get_by_role("button", name="1 hour").click()
        expect(page.get_by_text("1 snoozed")).to_be_visible()
        page.get_by_role("link", name="show", exact=True).click()
        trouble.get_by_role("button", name="Show again").click()
        expect(trouble.locator("summary")).to_be_visible()
    finally:
        client.delete(last_key(name))
        client.zrem(BEACONS_KEY, name)
    expect(trouble).to_have_count(0, timeout=10_000)


def test_the_palette_leads_to_a_job(page: Page) -> None:
    page.keyboard.press("Control+k")
    box = page.locator("#search-input-command")
    expect(box).to_be_focused(timeout=15_000)
    box.press_sequentially("task activity")
    expect(page.get_by_role("link", name="Task activity report")).to_be_visible()
    page.get_by_role("link", name="Task activity report").click()
    page.wait_for_url("**/start/")


def test_enter_in_the_palette_opens_the_first_that_is_found(page: Page) -> None:
    """Whatever the script complains about fails the test, too."""
    box, first = page.locator("#search-input-command"), page.locator("#command-results-list li").first
    page.keyboard.press("Control+k")
    expect(box).to_be_focused(timeout=15_000)
    page.keyboard.press("Enter")  # nothing is asked for
    with page.expect_response(lambda response: "no%20such%20thing" in response.url):
        box.press_sequentially("no such thing")
    expect(first).to_have_text(re.compile("Search all runs for “no such thing”"))
    page.keyboard.press("Enter")
    page.wait_for_url("**/jobs/run/?q=no+such+thing")
    page.keyboard.press("Control+k")
    box.press_sequentially("activity report")
    expect(first).to_have_class(re.compile(r"\bactive\b"), timeout=15_000)
    wanted = first.locator("a").get_attribute("href")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{wanted}")
    page.keyboard.press("Control+k")
    box.press_sequentially("activity report")
    page.keyboard.press("Enter")  # before the answer
    page.wait_for_url(lambda url: url.endswith(wanted or ""))
