"""A person imports ten thousand users: tries it out, runs it, and a worker that dies in the middle changes nothing."""

from __future__ import annotations

import csv
import json
import re
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from playwright.sync_api import Page, expect

from jobs.library.diagnostics import echo
from jobs.library.user_import import import_users
from jobs.models import Run
from jobs.pipeline.told import progress_key
from jobs.states import State
from tests.e2e.conftest import CHROMIUM, finished, in_state
from tests.e2e.processes import Stack, wait_for

FORM = f"/admin/jobs/run/catalog/{import_users.name}/start/"
ROWS, BAD = 10_000, 37
GOOD = ROWS - BAD
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: apt install chromium)"),
]


@pytest.fixture
def people(tmp_path: Path) -> Iterator[Path]:
    """A file of ROWS rows, BAD of which no user can be made of."""
    path = tmp_path / "people.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["username", "email", "first_name", "last_name"])
        for number in range(ROWS):
            bad = number % 270 == 5 and number < 270 * BAD
            email = "no address" if bad else f"imported-{number:05}@example.com"
            writer.writerow([f"imported-{number:05}", email, "Zoë", "Öz"])
    yield path
    imported().delete()


def imported() -> QuerySet[User]:
    return User.objects.filter(username__startswith="imported-")


def run_of(page: Page) -> str:
    page.wait_for_url("**/change/")
    return page.url.rstrip("/").split("/")[-2]


def outcomes(page: Page) -> Counter[str]:
    """What the downloaded outcome says of each row."""
    with page.expect_download() as download:
        page.get_by_role("link", name="Download outcome.csv").click()
    lines = list(csv.DictReader(Path(download.value.path()).read_text(encoding="utf-8-sig").splitlines()))
    assert sorted(int(line["row"]) for line in lines) == list(range(2, ROWS + 2)), "one line for each row"
    return Counter(line["outcome"] for line in lines)


def has_read_all(stack: Stack, task_id: str) -> bool:
    told = stack.client().hget(progress_key(task_id), "progress")
    return told is not None and (json.loads(told)["done"] == ROWS or json.loads(told)["note"] == "making them")


def test_dry_run_real_run_killed_in_the_middle_and_run_again(page: Page, stack: Stack, people: Path) -> None:
    page.goto(FORM)
    page.locator("input[type=file]").set_input_files(people)
    page.get_by_role("button", name="Dry run").click()
    dry = finished(run_of(page), 60)
    assert dry.state == State.SUCCEEDED, dry.error_message
    expect(page.get_by_text(f"Would make {GOOD:,} users").first).to_be_visible(timeout=10_000)
    assert outcomes(page) == {"would create": GOOD, "refused": BAD} and not imported().exists()

    page.get_by_role("link", name="Run this for real").first.click()
    page.wait_for_url("**/start/**")
    page.locator("#oc-run-real").click()
    task_id = run_of(page)
    in_state(task_id, State.RUNNING, 30)
    with transaction.atomic():
        # The test has the database to itself, or at least one of the names: the import cannot come to its end.
        User.objects.create_user("imported-00000")
        wait_for(lambda: has_read_all(stack, task_id), "the import to have read its file")
        stack.worker.signal(signal.SIGSTOP)
        transaction.set_rollback(True)
    expect(page.locator("#oc-progress")).to_contain_text(re.compile("10,000 rows|9,963 users"), timeout=10_000)
    stack.worker.kill()
    assert not imported().exists(), "nothing is half imported"
    assert Run.objects.get(task_id=task_id).state == State.RUNNING
    stack.worker.start()

    healed = finished(task_id, 90)
    assert (healed.state, healed.attempt) == (State.SUCCEEDED, 2), healed.error_message
    expect(page.get_by_text(f"Made {GOOD:,} users; 0 existed already, {BAD} rows refused").first).to_be_visible(
        timeout=15_000
    )
    assert imported().count() == GOOD
    page.get_by_role("link", name="Preview outcome.csv").click()
    table = page.get_by_role("region", name="outcome.csv")
    expect(table.get_by_role("row", name=re.compile("7 imported-00005 refused .* no address"))).to_be_visible()
    assert outcomes(page) == {"created": GOOD, "refused": BAD}

    page.get_by_role("link", name="Run like this").first.click()
    page.wait_for_url("**/start/**")
    page.locator("#oc-run-real").click()
    again = finished(run_of(page), 60)
    assert again.state == State.SUCCEEDED, again.error_message
    expect(page.get_by_text(f"Made 0 users; {GOOD:,} existed already").first).to_be_visible(timeout=10_000)
    assert outcomes(page) == {"exists already": GOOD, "refused": BAD}
    assert imported().count() == GOOD, "no user twice"


def test_a_chosen_file_writes_into_no_other_field(page: Page, people: Path) -> None:
    """Unfold's own script would put its name into the nearest text field, which is another parameter."""
    page.goto(f"/admin/jobs/run/catalog/{echo.name}/start/")
    before = page.evaluate("[...document.querySelectorAll('#oc-start input[type=text]')].map((box) => box.value)")
    page.locator("input[type=file]").set_input_files(people)
    after = page.evaluate("[...document.querySelectorAll('#oc-start input[type=text]')].map((box) => box.value)")
    assert before == after
